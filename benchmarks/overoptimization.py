"""Over-optimisation: policies that follow reward models trained on few comparisons.

    python benchmarks/overoptimization.py [--pairs 50 400 3200] [--seeds 0 1 2] [--steps 120]
                                          [--runs runs/overoptimization] [--out docs/results]

As in Gao et al. 2022, a gold reward that is known labels the comparisons, a proxy reward model
learns from them, and a policy is trained on the proxy while the gold reward is only measured. Here
the gold reward is a program (`gold_reward_env.py`). For each number of comparisons GRPO runs twice:
on and on, and with `alarms: {gold: stop}` and `keep_best: rule`. Writes `OUT/overoptimization.md`
and `.svg`: the proxy's and the gold reward on held-out tasks over the root of the KL from the
policy that was fine-tuned. A run that is finished is read and not trained again.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import runs

from rlenv.reports.charts import COLOURS, chart

ENV = f"{Path(__file__).with_name('gold_reward_env.py')}:bench/Bouquet-v0"
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
GRPO: dict[str, Any] = {
    "groups": 32,
    "group_size": 8,
    "learning_rate": 1e-3,
    "max_tokens": MOST_TOKENS,
    "eval_every": 5,
    "eval_tasks": 200,
    "gold_component": "rule",
}
HEAD = [
    "comparisons",
    "seed",
    "proxy's accuracy, held out",
    "gold at first",
    "at its peak (step, root of KL)",
    "in the end",
    "proxy at first, at the gold peak, in the end",
    "with `alarms: {gold: stop}`: kept, stopped at",
]
STOPPING = {"alarms": {"gold": "stop"}, "keep_best": "rule"}


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
        kept: gold reward of the weights that were kept where the alarm stops the stage.
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
    folder, out = Path("runs/overoptimization"), Path("docs/results")
    parser = harness.parser(__doc__, seeds=[0, 1, 2], runs=folder, out=out)
    parser.add_argument("--pairs", type=int, nargs="+", default=[50, 400, 3200])
    parser.add_argument("--steps", type=int, default=120)
    asked = parser.parse_args()
    curves = [
        curve(asked.runs, pairs, seed, asked.steps) for seed in asked.seeds for pairs in asked.pairs
    ]
    harness.write_page(asked.out / "overoptimization.svg", [drawn(curves)])
    harness.write_page(asked.out / "overoptimization.md", page(curves, asked.steps))


def curve(folder: Path, pairs: int, seed: int, steps: int) -> Curve:
    """Train a reward model on so many comparisons, and policies on it."""
    base, proxy = folder / f"policy-{seed}", folder / f"proxy-{pairs}-{seed}"
    on, stop = folder / f"on-{pairs}-{seed}", folder / f"stop-{pairs}-{seed}"
    sft = str(base / "sft")
    runs.train(base, POLICY, seed=seed, env=ENV)
    reward = {"data": {"sample": SAMPLE, "most": pairs}, **REWARD}
    runs.train(proxy, {"reward": reward}, seed=seed, env=ENV, model=sft)
    env = following(proxy / "reward")
    for run, more in ((on, {}), (stop, STOPPING)):
        grpo = {"steps": steps, **GRPO, **more}
        runs.train(run, {"grpo": grpo}, seed=seed, env=env, model=sft)
    seen = [m for m in runs.metrics(on, "grpo") if "held_out/rewards/rule" in m]
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
        runs.metrics(stop, "grpo")[-1]["step"],
    )


def distance(m: dict[str, Any]) -> float | None:
    """Return the root of the KL of a reply, where half of a step's groups or more measure it."""
    if m["groups/trained"] < GRPO["groups"] / 2:
        return None
    return math.sqrt(max(0.0, m["kl"] * m["completions/mean_length"]))


def following(proxy: Path) -> dict[str, Any]:
    """Return the environment whose reward is a reward model's, and which measures the gold one."""
    model = {"id": "rlenv/RewardModel-v0", "model": str(proxy), "relative": False}
    return {**model, "base": ENV, "rule": 0.0}


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


def page(curves: Sequence[Curve], steps: int) -> list[str]:
    """Return the page on what came of it."""
    fell = [c for c in curves if c.gold[-1] < c.gold[c.peak] and c.proxy[-1] > c.proxy[c.peak]]
    rows, means = [], []
    for c in sorted(curves, key=lambda c: (c.pairs, c.seed)):
        peak = f"{c.gold[c.peak]:.2f} ({c.steps[c.peak]}, {far(c.distance[c.peak])})"
        proxy = f"{c.proxy[0]:.2f}, {c.proxy[c.peak]:.2f}, {c.proxy[-1]:.2f}"
        gold = f"{c.gold[0]:.2f}", peak, f"{c.gold[-1]:.2f}"
        kept = f"{c.kept:.2f}, {c.stopped}"
        rows.append((f"{c.pairs:,}", c.seed, f"{c.accuracy:.3f}", *gold, proxy, kept))
    for pairs in sorted({c.pairs for c in curves}):
        some = [(c.gold[c.peak], c.gold[-1], c.kept) for c in curves if c.pairs == pairs]
        averages = map(statistics.mean, zip(*some, strict=True))
        means.append([f"{pairs:,}", *(f"{m:.2f}" for m in averages)])
    return [
        "# Over-optimisation",
        "",
        "`python benchmarks/overoptimization.py` wrote this page. A program knows what a reply is",
        "worth (the gold reward, `benchmarks/gold_reward_env.py`), and labels pairs of replies of",
        "a small fine-tuned policy. A reward model of 0.1 million parameters, the proxy, learns",
        f"from some of the pairs, and GRPO follows it for {steps} steps without a KL term. The",
        "gold reward is a component of weight 0 and only measured, on 200 held-out tasks (Gao et",
        "al. 2022).",
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
        *harness.table(HEAD, rows),
        "",
        "Means over the seeds:",
        "",
        *harness.table(["comparisons", "gold at its peak", "in the end", "kept"], means),
        "",
        "The peak is the highest of noisy looks, so it flatters a little; `kept` is such a highest "
        "look too.",
    ]


if __name__ == "__main__":
    main()
