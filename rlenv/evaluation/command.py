"""Carrying out one evaluation for the command line, and showing its result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlenv.common.display import Display
from rlenv.common.errors import UserError
from rlenv.evaluation.folder import EvaluationFolder
from rlenv.evaluation.limits import Limits
from rlenv.evaluation.model_under_test import Subject
from rlenv.evaluation.plan import Plan
from rlenv.evaluation.run import evaluate
from rlenv.rollouts.rollout import EnvPool

_ROOT = Path("evaluations")


def folders(
    plans: Sequence[Plan], records: Sequence[Mapping[str, Any]], output: str | None
) -> list[EvaluationFolder]:
    """Return where evaluations are kept.

    Args:
        plans: the evaluations.
        records: what the figures of each depend on.
        output: the folder of a single evaluation, or of several ones' folders. If None, there is
            one for each in `evaluations/`: other settings, another folder.

    Raises:
        UserError: two of them would be kept in one place.
    """
    paths = []
    for plan, record in zip(plans, records, strict=True):
        name = slug(plan.name or f"{record['env'].rpartition('/')[2]}-{record['split']}")
        if output is None:
            text = json.dumps(record, sort_keys=True)
            model = slug("-".join(Path(record["model"]["name"]).parts[-2:]))
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            paths.append(_ROOT / model / f"{name}-{digest}")
        else:
            paths.append(Path(output) if len(plans) == 1 else Path(output) / name)
    for n, path in enumerate(paths):
        if path in paths[:n]:
            raise UserError(
                f"two evaluations would be kept in {path}; in a suite file, give one another name"
            )
    return [EvaluationFolder(path, record) for path, record in zip(paths, records, strict=True)]


def slug(text: str) -> str:
    """Return a text as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "model"


def evaluate_plan(
    plan: Plan,
    subject: Subject,
    folder: EvaluationFolder,
    display: Display,
    *,
    batch: int | None = None,
    label: str | None = None,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Carry out an evaluation, or go on with it, and return its result.

    Args:
        plan: what to do.
        subject: the model.
        folder: where to keep it.
        display: the screen.
        batch: episodes at once.
        label: what the screen calls it; the environment's id if left out.
        limits: on time and cost.

    Raises:
        UserError: the folder holds an evaluation of other settings, or the model can't generate in
            the plan's dtype.
        RunFailed: the grader could judge no sample.
    """
    player = subject.maker(plan.dtype)(plan.system)  # what is refused here leaves no folder
    with folder:
        display.begin(label or plan.env.id, plan.tasks * (plan.samples + plan.greedy))
        try:
            result = evaluate(
                EnvPool(plan.make_env),
                player,
                tasks=plan.tasks,
                samples=plan.samples,
                sampling=plan.sampling,
                seed=plan.seed,
                greedy=plan.greedy,
                batch=batch,
                folder=folder,
                most_grader_errors=plan.max_grader_errors,
                stop=(limits or Limits()).watch(folder.samples()),
                progress=lambda done, total: display.update(done, {}),
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped; the samples so far are in {folder.path}, and the same command goes on"
            ) from None
        finally:
            display.end()
    return {**folder.settings, **result.row(), "folder": str(folder.path)}


def show_result(result: Mapping[str, Any], display: Display) -> None:
    """Print a result as a table."""
    greedy = " beside a greedy one" if result["greedy"] is not None else ""
    samples = "1 sample" if result["samples"] == 1 else f"{result['samples']} samples"
    display.say(
        f"\n{result['model']['name']} on {result['env']}, {result['split']} split, "
        f"{result['tasks']} tasks x {samples} at temperature "
        f"{result['temperature']:g}{greedy}"
    )
    rows = []
    for name, estimate in result["estimates"].items():
        interval = "95% interval unknown: one task"
        if estimate["low"] is not None:
            interval = f"95% interval {estimate['low']:.3f} to {estimate['high']:.3f}"
        rows.append([name, f"{estimate['value']:.3f}   {interval}"])
    speed = result["tokens"] / result["seconds"] if result["seconds"] else 0.0
    rows += [
        ["truncated", f"{result['truncated']:.1%}"],
        ["unparseable", f"{result['unparseable']:.1%}"],
        ["timed out", f"{result['timeout']:.1%}"],
        ["grader errors", f"{result['grader_errors']:.1%}"],
        ["tokens sampled", f"{result['tokens']:,} in {result['seconds']:.1f} s ({speed:,.0f}/s)"],
        ["task set", result["fingerprint"]],
        ["kept in", result["folder"]],
    ]
    if result["stopped"]:
        rows.append(["incomplete", result["stopped"]])
    if result["invalid"]:
        rows.append(["INVALID", result["invalid"]])
    display.table(["", ""], rows)
