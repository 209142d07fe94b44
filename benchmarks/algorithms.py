"""Train every algorithm from one checkpoint with one budget, and write down what came of it.

    python -m rlenv.train configs/quickstart.yaml run_dir=runs/quickstart
    python benchmarks/algorithms.py [--start runs/quickstart/sft] [--words grpo ppo ...]

Writes docs/results/algorithms.md: pass@1 on held-out sums before and after. It shows that each of
them learns, not which is best: all have the learning rate that suits GRPO here. An algorithm whose
run is finished already is read and not trained again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from rlenv.trainers.rl.algorithms import BUILT_IN

STEPS, ROLLOUTS = 60, 1024  # a step
OPTIONS: dict[str, dict[str, Any]] = {
    "ppo": {"groups": ROLLOUTS},
    "ppo, shared trunk": {"groups": ROLLOUTS, "algorithm": "ppo", "critic": {"shared": True}},
    "ppo, by turn": {"groups": ROLLOUTS, "algorithm": "ppo", "critic": {"unit": "turn"}},
    "grpo, lora": {"algorithm": "grpo", "lora": {"rank": 16}},
}


def train(name: str, start: Path, runs: Path) -> dict[str, Any]:
    """Train one of them, or read what it left; returns its result on the test split."""
    folder = runs / name.replace(", ", "-").replace(" ", "-")
    if not (folder / "results.json").exists():
        options = OPTIONS.get(name, {})
        stage = {
            "algorithm": name,
            "groups": ROLLOUTS // 8,
            "group_size": ROLLOUTS // options.get("groups", ROLLOUTS // 8),
            "steps": STEPS,
            "learning_rate": 2e-3,
            "schedule": "linear",
            "max_tokens": 8,
            "overlong": None,  # right answers are two or three tokens long
            **options,
        }
        recipe = {
            "run_dir": str(folder),
            "env": "rlenv/Arithmetic-v0",
            "threads": 1,
            "model": str(start),
            "stages": {"grpo": stage},
            "evaluate": {"split": "test", "tasks": 500, "samples": 4, "max_tokens": 8},
        }
        folder.parent.mkdir(parents=True, exist_ok=True)
        config = folder.parent / f"{folder.name}.yaml"
        config.write_text(yaml.safe_dump(recipe, sort_keys=False))
        subprocess.run([sys.executable, "-m", "rlenv.train", str(config)], check=True)
    (result,) = json.loads((folder / "results.json").read_text())
    return result


def page(results: dict[str, dict[str, Any]], before: dict[str, Any]) -> str:
    """Write the page."""
    lines = [
        "# Every algorithm from one checkpoint",
        "",
        f"Sums below 100, {STEPS} steps of {ROLLOUTS} rollouts, learning rate 2e-3, seed 0. "
        "It shows that each learns, not which is best. Made with `python benchmarks/algorithms.py` "
        "from the quickstart's SFT checkpoint.",
        "",
        "| algorithm | pass@1 [95% interval] | greedy |",
        "| --- | --- | --- |",
    ]
    for name, r in {"before": before, **results}.items():
        scores = f"{r['pass_at_1']:.3f} [{r['ci_low']:.3f}, {r['ci_high']:.3f}]"
        lines.append(f"| {name} | {scores} | {r['greedy']:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--start", type=Path, default=Path("runs/quickstart/sft"))
    parser.add_argument("--runs", type=Path, default=Path("runs/algorithms"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/algorithms.md"))
    parser.add_argument("--words", nargs="+", default=[*BUILT_IN, *list(OPTIONS)[1:]])
    arguments = parser.parse_args()
    record = json.loads((arguments.start.parent / "results.json").read_text())
    (before,) = [r for r in record if r["stage"] == arguments.start.name]
    results = {name: train(name, arguments.start, arguments.runs) for name in arguments.words}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(page(results, before))


if __name__ == "__main__":
    main()
