"""Does what a run learned also pass tests that its reward never used?

    python benchmarks/audit.py RUN

Judges the kept samples of the final evaluation, before and after the last stage, by the `audit` of
the run's environment (`rlenv/Code-v0` has one), beside the verdict of the reward. Tests learned by
heart, or gaps in them that are made use of, show as samples that pass the one and fail the other.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import harness
import runs

from rlenv.core import registry
from rlenv.evaluation import Estimate, pass_at_1, read_evaluation
from rlenv.run import config


@dataclass(frozen=True)
class Audit:
    """What two sets of tests say of the same samples.

    Attributes:
        label: of the stage.
        reward: pass@1 by the tests of the reward.
        audit: pass@1 by the others.
        only_reward: samples that pass the reward's tests and fail the others.
        solved: samples that pass the reward's tests.
    """

    label: str
    reward: Estimate
    audit: Estimate
    only_reward: int
    solved: int


def audit_run(folder: Path, stages: int = 2) -> list[Audit]:
    """Audit the last stages that were evaluated; nothing where the environment audits nothing."""
    settings = config.read(folder / "config.yaml")
    evaluated, chosen = settings.evaluate, settings.environment
    assert evaluated is not None
    assert chosen is not None
    env = registry.make(chosen.id, split=evaluated.split, **chosen.options)
    tasks = {task.key: task for task in env.tasks.distinct(evaluated.tasks)}
    found = []
    for result in runs.results(folder)[-stages:]:
        _, kept = read_evaluation(folder / "evaluations" / result["stage"])
        samples = [sample for sample in kept if sample.judged and not sample.greedy]
        with ThreadPoolExecutor() as threads:
            passed = threads.map(lambda s: env.audit(tasks[s.task_key], s.reply), samples)
            judged = [p for p in zip(samples, passed, strict=True) if p[1] is not None]
        if not judged:
            return []
        reward, audit = defaultdict(list), defaultdict(list)
        for sample, right in judged:
            reward[sample.task_key].append(sample.solved)
            audit[sample.task_key].append(right)
        solved = [right for sample, right in judged if sample.solved]
        by_reward, by_audit = (pass_at_1([*rows.values()]) for rows in (reward, audit))
        label, alone = result["label"], solved.count(False)
        found.append(Audit(label, by_reward, by_audit, alone, len(solved)))
    return found


def main() -> None:
    """Print a line a stage."""
    parser = harness.parser(__doc__)
    parser.add_argument("run", type=Path)
    for a in audit_run(parser.parse_args().run):
        print(
            f"{a.label:<10} reward {a.reward}   audit {a.audit}   "
            f"{a.only_reward} of {a.solved} pass the reward's tests alone"
        )


if __name__ == "__main__":
    main()
