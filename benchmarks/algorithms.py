"""Train every algorithm from one checkpoint with one budget, and write down what came of it.

    python -m rlenv.train configs/quickstart.yaml run_dir=runs/quickstart
    python benchmarks/algorithms.py [--start runs/quickstart/sft] [--words grpo ppo ...]

Writes OUT/algorithms.md: pass@1 on held-out sums before and after. It shows that each of them
learns, not which is best: all have the learning rate that suits GRPO here. An algorithm whose run
is finished already is read and not trained again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import harness
import runs

from rlenv.trainers.rl.algorithms import BUILT_IN

ROLLOUTS = 1024  # a step
OPTIONS: dict[str, dict[str, Any]] = {
    "ppo": {"groups": ROLLOUTS},
    "ppo, shared trunk": {"groups": ROLLOUTS, "algorithm": "ppo", "critic": {"shared": True}},
    "ppo, by turn": {"groups": ROLLOUTS, "algorithm": "ppo", "critic": {"unit": "turn"}},
    "grpo, lora": {"algorithm": "grpo", "lora": {"rank": 16}},
}


def train(name: str, start: Path, folder: Path, steps: int) -> dict[str, Any]:
    """Train one of them, or read what it left; return its result on the test split."""
    run, options = folder / name.replace(", ", "-").replace(" ", "-"), OPTIONS.get(name, {})
    stage = {
        "algorithm": name,
        "groups": ROLLOUTS // 8,
        "group_size": ROLLOUTS // options.get("groups", ROLLOUTS // 8),
        "steps": steps,
        "learning_rate": 2e-3,
        "schedule": "linear",
        "max_tokens": 8,
        "overlong": None,  # right answers are two or three tokens long
        **options,
    }
    evaluate = {"split": "test", "tasks": 500, "samples": 4, "max_tokens": 8}
    model, env = str(start), "rlenv/Arithmetic-v0"
    runs.train(run, {"grpo": stage}, env=env, model=model, evaluate=evaluate)
    (result,) = runs.results(run)
    return result


def main() -> None:
    """Train and write."""
    parser = harness.parser(__doc__, runs=Path("runs/algorithms"), out=Path("docs/results"))
    parser.add_argument("--start", type=Path, default=Path("runs/quickstart/sft"))
    parser.add_argument("--words", nargs="+", default=[*BUILT_IN, *list(OPTIONS)[1:]])
    parser.add_argument("--steps", type=int, default=60)
    asked = parser.parse_args()
    start, steps = asked.start, asked.steps
    (before,) = [r for r in runs.results(start.parent) if r["stage"] == start.name]
    found = {name: train(name, start, asked.runs, steps) for name in asked.words}
    rows = [
        (name, harness.interval(r), f"{r['greedy']:.3f}")
        for name, r in {"before": before, **found}.items()
    ]
    lines = [
        "# Every algorithm from one checkpoint",
        "",
        f"Sums below 100, {steps} steps of {ROLLOUTS} rollouts, learning rate 2e-3, seed 0. "
        "It shows that each learns, not which is best. Made with `python benchmarks/algorithms.py` "
        "from the quickstart's SFT checkpoint.",
        "",
        *harness.table(["algorithm", "pass@1 [95% interval]", "greedy"], rows),
    ]
    harness.write_page(asked.out / "algorithms.md", lines)


if __name__ == "__main__":
    main()
