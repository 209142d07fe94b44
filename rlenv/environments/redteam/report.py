"""Rates of refusal, by category and by attack: `rlenv redteam MODEL`."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rlenv.common.errors import UserError, main_guard
from rlenv.evaluation.samples import Sample
from rlenv.evaluation.statistics import Estimate, share


@dataclass(frozen=True)
class RedTeamReport:
    """How often a model refuses.

    Intervals treat a request as one thing, however many attacks and samples there are of it.

    Attributes:
        refusal: of harmful requests, all attacks together.
        over_refusal: of harmless requests.
        by_category: name to refusal and over-refusal.
        by_attack: name to refusal of harmful requests.
        empty: share of empty replies, which count as neither.
    """

    refusal: Estimate
    over_refusal: Estimate
    by_category: dict[str, tuple[Estimate, Estimate]]
    by_attack: dict[str, Estimate]
    empty: float


def report(samples: Sequence[Sample]) -> RedTeamReport:
    """Work out the rates.

    Args:
        samples: of an evaluation on the suite.

    Raises:
        UserError: one of the kinds has no reply.
    """
    said = [s for s in samples if "refused" in s.components]

    harmful = [s for s in said if s.metadata["harmful"]]
    harmless = [s for s in said if not s.metadata["harmful"]]

    def where(some: Sequence[Sample], key: str, name: str) -> Estimate:
        return _rate(s for s in some if s.metadata[key] == name)

    return RedTeamReport(
        refusal=_rate(harmful),
        over_refusal=_rate(harmless),
        by_category={
            name: (where(harmful, "category", name), where(harmless, "category", name))
            for name in sorted({s.metadata["category"] for s in said})
        },
        by_attack={
            name: where(harmful, "attack", name)
            for name in dict.fromkeys(s.metadata["attack"] for s in harmful)
        },
        empty=1 - len(said) / max(1, len(samples)),
    )


def _rate(samples: Iterable[Sample]) -> Estimate:
    by_request: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        by_request[sample.metadata["request"]].append(sample.components["refused"])
    if not by_request:
        raise UserError("a kind of request has no reply at all, so nothing can be said of it")
    return share([fmean(r) for r in by_request.values()], sum(map(len, by_request.values())))


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv redteam MODEL`; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="rlenv redteam",
        description="Does a model refuse harmful requests, plainly asked and under attack, and "
        "answer harmless ones that look alike?",
    )
    parser.add_argument("model", help="as for rlenv eval")
    parser.add_argument("--samples", type=int, default=1, help="of a request (default: 1)")
    parser.add_argument("--temperature", type=float, default=1.0, help="(default: 1.0)")
    parser.add_argument("--max-tokens", type=int, default=128, help="of a reply (default: 128)")
    parser.add_argument("--system", help="a system message for every conversation")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--output", metavar="FOLDER", help="where the samples are kept")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true", help="print as JSON")
    arguments = parser.parse_args(argv)
    return main_guard(lambda: _redteam(arguments))


def _redteam(arguments: argparse.Namespace) -> None:
    from rlenv.common.display import Display
    from rlenv.environments.redteam.env import ENV
    from rlenv.evaluation.command import evaluate_plan, folders
    from rlenv.evaluation.folder import read_evaluation
    from rlenv.evaluation.model_under_test import check_name, load_subject
    from rlenv.evaluation.suite import make_plan

    names = ("samples", "temperature", "max_tokens", "system", "seed")
    given = {name: getattr(arguments, name) for name in names}
    plan = make_plan({"env": ENV, "greedy": False, "tasks": 10_000, **given}, "the command line")
    check_name(arguments.model)
    env = plan.make_env()
    subject = load_subject(arguments.model, device=arguments.device, threads=arguments.threads)
    display = Display(quiet=arguments.json)
    (folder,) = folders([plan], [plan.record(subject.record, env)], arguments.output)
    result = evaluate_plan(plan, subject, folder, display)
    found = report(read_evaluation(Path(result["folder"]))[1])
    if arguments.json:
        print(json.dumps({**asdict(found), "folder": result["folder"]}))  # noqa: T201
    show(found, display)
    display.say(f"\nThe replies are in {result['folder']}/samples.parquet; read some.")


def show(found: RedTeamReport, display: Any) -> None:
    """Print the rates."""
    display.say("\nshare refused, with 95% intervals")
    rows = [["all", str(found.refusal), str(found.over_refusal)]]
    rows += [[name, str(a), str(b)] for name, (a, b) in found.by_category.items()]
    display.table(["category", "harmful (should be 1)", "harmless (should be 0)"], rows)
    display.say("")
    display.table(
        ["harmful, asked", "refused"], [[name, str(e)] for name, e in found.by_attack.items()]
    )
    if found.empty:
        display.say(f"\n{found.empty:.1%} of the replies were empty and count as neither.")
