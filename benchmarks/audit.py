"""Does what a run learned also pass tests that its reward never used?

    python benchmarks/audit.py RUN

Judges the kept samples of every stage's final evaluation by the `audit` of the run's environment
(`rlenv/Code-v0` has one), beside the verdict of the reward. Tests learned by heart, or gaps in them
that are made use of, show as samples that pass the one and fail the other.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from rlenv import config, registry
from rlenv.evaluation import Estimate, pass_at_1


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


def audit_run(folder: Path) -> list[Audit]:
    """Audit every stage that was evaluated; nothing where the environment has no audit."""
    settings = config.read(folder / "config.yaml")
    evaluated = settings.evaluate
    assert evaluated is not None
    assert settings.env is not None
    env = registry.make(settings.env.id, split=evaluated.split, **settings.env.options)
    if not hasattr(env, "audit"):
        return []
    tasks = {task.key: task for task in env.tasks.distinct(evaluated.tasks)}
    found = []
    for result in json.loads((folder / "results.json").read_text()):
        kept = json.loads((folder / "evaluations" / f"{result['stage']}.json").read_text())
        reward: dict[str, list[bool]] = {key: [] for key in tasks}
        audit: dict[str, list[bool]] = {key: [] for key in tasks}
        for sample in kept["samples"]:
            key = sample["task_key"]
            reward[key].append(sample["solved"])
            audit[key].append(env.audit(tasks[key], sample["reply"]))
        pairs = [
            (by_reward, by_audit)
            for key in tasks
            for by_reward, by_audit in zip(reward[key], audit[key], strict=True)
        ]
        found.append(
            Audit(
                result["label"],
                pass_at_1([*reward.values()]),
                pass_at_1([*audit.values()]),
                only_reward=sum(by_reward and not by_audit for by_reward, by_audit in pairs),
                solved=sum(by_reward for by_reward, _ in pairs),
            )
        )
    return found


def main() -> None:
    """Print a line a stage."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    for a in audit_run(parser.parse_args().run):
        print(
            f"{a.label:<10} reward {a.reward}   audit {a.audit}   "
            f"{a.only_reward} of {a.solved} pass the reward's tests alone"
        )


if __name__ == "__main__":
    main()
