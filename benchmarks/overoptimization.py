"""Over-optimisation: policies that follow reward models trained on few comparisons.

    python benchmarks/overoptimization.py [--pairs 50 400 3200] [--seeds 0 1 2] [--steps 120]
                                          [--runs runs/overoptimization] [--out docs/results]

As in Gao et al. 2022, a gold reward that is known labels the comparisons, a proxy reward model
learns from them, and a policy is trained on the proxy while the gold reward is only measured. Here
the gold reward is a program (`gold_reward_env.py`). For each number of comparisons GRPO runs twice: on and
on, and with `signs: {gold: stop}` and `keep_best: rule`. Writes `OUT/overoptimization.md` and
`.svg`: the proxy's and the gold reward on held-out tasks over the root of the KL from the policy
that was fine-tuned. A run that is finished is read and not trained again.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rlenv.cli import train
from rlenv.reports.charts import chart

ENV = f"{Path(__file__).with_name('gold_reward_env.py')}:bench/Bouquet-v0"
COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3")
MOST_TOKENS = 40
LOWEST = -4.0  # gold reward in the chart
POLICY = {
    "tokenizer": {"vocabulary": 512, "corpus": ["tasks"], "max_length": 96},
    "pretrain": {
        "model": "nano",
        "corpus": ["tasks"],
        "tasks": 4000,
        "steps": 150,
        "batch_size": 16,
        "length": 96,
        "learning_rate": 3e-3,
    },
    "sft": {
        "demonstrations": 6000,
        "batch_size": 32,
        "learning_rate": 3e-3,
        "eval_every": 100,
        "eval_tasks": 100,
        "max_tokens": MOST_TOKENS,
    },
}
SAMPLE = {"tasks": 4000, "held_out": 400, "samples": 2, "max_tokens": MOST_TOKENS}
REWARD = {"epochs": 6, "batch_size": 16, "learning_rate": 1e-3, "weight_decay": 0.1}
GRPO = {
    "groups": 32,
    "group_size": 8,
    "learning_rate": 1e-3,
    "max_tokens": MOST_TOKENS,
    "eval_every": 5,
    "eval_tasks": 200,
    "gold": "rule",
}
STOPPING = {"signs": {"gold": "stop"}, "keep_best": "rule"}


@dataclass(frozen=True)
class Curve:
    """A policy on held-out tasks as it is trained.

    Attributes:
        pairs: comparisons that the proxy learned from.
        seed: of all runs.
        steps: at which it was looked at.
        distance: root of the KL of a whole reply from the policy that was fine-tuned, in nats; None
            where the replies to most tasks fared alike, so that too few were left to measure it on.
        proxy: mean reward of the reward model.
        gold: mean gold reward.
        accuracy: of the proxy on held-out comparisons.
        kept: gold reward of the weights that were kept where the sign stops the stage.
        stopped: the step at which that was.
    """

    pairs: int
    seed: int
    steps: list[int]
    distance: list[float | None]
    proxy: list[float]
    gold: list[float]
    accuracy: float
    kept: float
    stopped: int

    @property
    def peak(self) -> int:
        """Where the gold reward was highest."""
        return max(range(len(self.gold)), key=self.gold.__getitem__)


def main() -> None:
    """Run what is not done yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[50, 400, 3200])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--runs", type=Path, default=Path("runs/overoptimization"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    asked = parser.parse_args()
    began = time.monotonic()
    curves = [
        curve(asked.runs, pairs, seed, asked.steps) for seed in asked.seeds for pairs in asked.pairs
    ]
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "overoptimization.svg").write_text(drawn(curves), encoding="utf-8")
    (asked.out / "overoptimization.md").write_text(page(curves, asked.steps), encoding="utf-8")
    print(f"{asked.out}/overoptimization.md, after {time.monotonic() - began:.0f} s")


def curve(runs: Path, pairs: int, seed: int, steps: int) -> Curve:
    """Train a reward model on so many comparisons, and policies on it."""
    base = run(runs / f"policy-{seed}", seed, ENV, None, POLICY)
    proxy = run(
        runs / f"proxy-{pairs}-{seed}",
        seed,
        ENV,
        base / "sft",
        {"reward": {"data": {"sample": SAMPLE, "most": pairs}, **REWARD}},
    )
    env = following(proxy / "reward")
    grpo = {"steps": steps, **GRPO}
    on = run(runs / f"on-{pairs}-{seed}", seed, env, base / "sft", {"grpo": grpo})
    stop = run(
        runs / f"stop-{pairs}-{seed}", seed, env, base / "sft", {"grpo": {**grpo, **STOPPING}}
    )
    seen = [m for m in metrics(on) if "held_out/rewards/rule" in m]
    stopped = metrics(stop)
    kept = json.loads((stop / "grpo" / "kept.json").read_text())
    report = json.loads((proxy / "reward" / "reward_report.json").read_text())
    return Curve(
        pairs,
        seed,
        [m["step"] for m in seen],
        [distance(m) for m in seen],
        [m["held_out/reward"] for m in seen],
        [m["held_out/rewards/rule"] for m in seen],
        report["accuracy"]["value"],
        kept["held_out/rewards/rule"],
        stopped[-1]["step"],
    )


def distance(m: dict[str, Any]) -> float | None:
    """Return the root of the KL of a reply, where half of a step's groups or more measure it."""
    if m["groups/trained"] < GRPO["groups"] / 2:
        return None
    return math.sqrt(max(0.0, m["kl"] * m["completions/mean_length"]))


def run(folder: Path, seed: int, env: Any, model: Path | None, stages: dict[str, Any]) -> Path:
    """Carry out a run, or find it done."""
    config = written(folder, seed, env, model, stages)
    if code := train.main([str(config)]):
        raise SystemExit(code)
    return folder


def following(proxy: Path) -> dict[str, Any]:
    """Return the environment whose reward is a reward model's, and which measures the gold one."""
    model = {"id": "rlenv/RewardModel-v0", "model": str(proxy), "relative": False}
    return {**model, "base": ENV, "rule": 0.0}


def written(folder: Path, seed: int, env: Any, model: Path | None, stages: dict[str, Any]) -> Path:
    """Write the config of a run beside its folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    config = folder.with_suffix(".yaml")
    settings = {"seed": seed, "run_dir": str(folder), "env": env, "threads": 1, "stages": stages}
    if model is not None:
        settings["model"] = str(model)
    config.write_text(yaml.safe_dump(settings, sort_keys=False))
    return config


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Return what the policy's stage logged."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["stage"] == "grpo"]


def drawn(curves: Sequence[Curve]) -> str:
    """Draw both rewards over the distance, a colour for each number of comparisons."""
    colours = dict(zip(dict.fromkeys(c.pairs for c in curves), COLOURS, strict=False))

    def draw(axes: Any) -> None:
        for n, c in enumerate(curves):
            first = all(earlier.pairs != c.pairs for earlier in curves[:n])
            label = f"{c.pairs:,} comparisons" if first else None
            colour = colours[c.pairs]
            at = [n for n, away in enumerate(c.distance) if away is not None]
            x = [c.distance[n] for n in at]
            axes.plot(x, [c.gold[n] for n in at], color=colour, linewidth=1.4, label=label)
            axes.plot(x, [c.proxy[n] for n in at], color=colour, linewidth=0.9, linestyle="--")
        axes.set_ylim(max(LOWEST, min(min(c.gold) for c in curves) - 0.5), None)
        axes.legend(frameon=False, fontsize=7)

    title = "gold reward (lines) and the proxy's (dashed), held out"
    return chart(title, "root of the KL from the fine-tuned policy, nats a reply", draw)


def far(distance: float | None) -> str:
    """Write a distance."""
    return "not measured" if distance is None else f"{distance:.2f}"


def page(curves: Sequence[Curve], steps: int) -> str:
    """Write what came of it."""
    fell = [c for c in curves if c.gold[-1] < c.gold[c.peak] and c.proxy[-1] > c.proxy[c.peak]]
    lines = [
        "# Over-optimisation",
        "",
        "`python benchmarks/overoptimization.py` wrote this page. A program knows what a reply is",
        "worth (the gold reward, `benchmarks/gold_reward_env.py`), and labels pairs of replies of a small",
        "fine-tuned policy. A reward model of 0.1 million parameters, the proxy, learns from some",
        f"of the pairs, and GRPO follows it for {steps} steps without a KL term. The gold reward",
        "is a component of weight 0 and only measured, on 200 held-out tasks (Gao et al. 2022).",
        "",
        "![gold and proxy over the distance](overoptimization.svg)",
        "",
        f"The chart ends at a gold reward of {LOWEST:g}; the table has what fell below. The KL is",
        "estimated on the replies to tasks that were trained on, and is left out where there were",
        "fewer than half of a step's.",
        "",
        f"In {len(fell)} of {len(curves)} runs the proxy's reward was higher in the end than where",
        "the gold reward had its peak, and the gold reward lower.",
        "",
        "| comparisons | seed | proxy's accuracy, held out | gold at first | at its peak (step, "
        "root of KL) | in the end | proxy at first, at the gold peak, in the end | with `signs: "
        "{gold: stop}`: kept, stopped at |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for c in sorted(curves, key=lambda c: (c.pairs, c.seed)):
        peak = f"{c.gold[c.peak]:.2f} ({c.steps[c.peak]}, {far(c.distance[c.peak])})"
        proxy = f"{c.proxy[0]:.2f}, {c.proxy[c.peak]:.2f}, {c.proxy[-1]:.2f}"
        lines.append(
            f"| {c.pairs:,} | {c.seed} | {c.accuracy:.3f} | {c.gold[0]:.2f} | {peak} | "
            f"{c.gold[-1]:.2f} | {proxy} | {c.kept:.2f}, {c.stopped} |"
        )
    lines += [
        "",
        "Means over the seeds:",
        "",
        "| comparisons | gold at its peak | in the end | kept |",
    ]
    lines.append("| --- | --- | --- | --- |")
    for pairs in sorted({c.pairs for c in curves}):
        some = [c for c in curves if c.pairs == pairs]
        means = [
            statistics.mean(values)
            for values in (
                [c.gold[c.peak] for c in some],
                [c.gold[-1] for c in some],
                [c.kept for c in some],
            )
        ]
        lines.append(f"| {pairs:,} | " + " | ".join(f"{m:.2f}" for m in means) + " |")
    lines += [
        "",
        "The peak is the highest of noisy looks, so it flatters a little; `kept` is such a highest "
        "look too.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
