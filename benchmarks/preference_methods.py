"""Ways to learn from one set of comparisons, side by side.

PPO, GRPO, DPO, rounds of DPO and best-of-n.

    python benchmarks/preference_methods.py [--seeds 0 1 2] [--runs runs/preference_methods]
                                            [--out docs/results]

A gold reward that a program knows (`gold_reward_env.py`) labels pairs of replies of a small
fine-tuned policy. A reward model learns from the pairs, and PPO, GRPO, rounds of DPO and
best-of-n follow it; DPO learns from the same pairs. Every policy is then judged by the gold
reward on tasks of the test split. Writes `OUT/preference_methods.md`. Each stage is a command of
its own, whose time and memory are measured; one that is finished is read and not carried out
again.
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
import torch
from overoptimization import ENV, MOST_TOKENS, POLICY, following

from rlenv.core.trajectory import Group, Trajectory
from rlenv.engines.base import Sampling
from rlenv.models import checkpoint
from rlenv.models.reward_model import RewardModel

PAIRS, HELD_OUT = 4000, 400
TASKS, SAMPLES = 300, 4
BEST_OF = 16
ON_POLICY = {
    "steps": 60,
    "learning_rate": 3e-4,
    "max_tokens": MOST_TOKENS,
    "eval_every": 20,
    "eval_tasks": 100,
    "kl": {"coefficient": 0.3, "place": "reward"},
}
DPO = {"beta": 0.1, "batch_size": 32, "learning_rate": 1e-3, "eval_every": 50}
METHODS: dict[str, dict[str, Any]] = {
    "PPO": {"ppo": {**ON_POLICY, "groups": 256, "group_size": 1, "critic": {"shared": False}}},
    "GRPO": {"grpo": {**ON_POLICY, "groups": 32, "group_size": 8}},
    "DPO": {"dpo": {**DPO, "epochs": 2, "data": {"rows": "PAIRS"}}},
    "DPO, 3 rounds": {
        "dpo": {
            **DPO,
            "rounds": 3,
            "data": {"sample": {"tasks": 1500, "samples": 4, "max_tokens": MOST_TOKENS}},
        }
    },
}

INTRODUCTION = f"""\
# Ways to learn from comparisons

`python benchmarks/preference_methods.py` wrote this page. A program knows what a reply is worth
(`benchmarks/gold_reward_env.py`) and labels pairs of replies that a fine-tuned policy of 0.13
million parameters samples to {PAIRS:,} training tasks. The reward model and DPO learn from these
pairs; PPO, GRPO, the rounds of DPO and best-of-n follow the reward model.

Gold reward with its 95% interval on {TASKS} tasks of the test split, {SAMPLES} samples each,
temperature 1; the score of the reward model; the KL of a reply from the fine-tuned policy, which
for best-of-n is the bound log n - (n - 1) / n; wall-clock and peak memory of the method's own
stage, in a process of its own on one thread of a shared machine."""


@dataclass(frozen=True)
class Outcome:
    """What a method came to.

    Attributes:
        method: its name.
        seed: of all its runs.
        gold: mean gold reward on the test split.
        error: its standard error; the samples of a task count as one.
        proxy: mean score of the reward model.
        kl: divergence of a reply from the fine-tuned policy, in nats.
        usage: what the method's own stage took; None where nothing was trained.
    """

    method: str
    seed: int
    gold: float
    error: float
    proxy: float
    kl: float
    usage: harness.Usage | None = None


def main() -> None:
    """Run what is not done yet, and write the page."""
    folder, out = Path("runs/preference_methods"), Path("docs/results")
    asked = harness.parser(__doc__, seeds=[0, 1, 2], runs=folder, out=out).parse_args()
    torch.set_num_threads(1)
    outcomes = [o for seed in asked.seeds for o in of_seed(asked.runs / str(seed), seed)]
    harness.write_page(asked.out / "preference_methods.md", page(outcomes))


def of_seed(folder: Path, seed: int) -> list[Outcome]:
    """Carry out all methods with one seed."""
    sft, proxy, pairs = folder / "policy" / "sft", folder / "proxy", folder / "pairs.jsonl"
    runs.train(sft.parent, POLICY, seed=seed, env=ENV)
    if not pairs.exists():
        write_pairs(pairs, sft, seed)
    reward = {"data": {"rows": str(pairs)}, "epochs": 4, "batch_size": 32, "weight_decay": 0.1}
    took = runs.train(proxy, {"reward": reward}, seed=seed, env=ENV, model=str(sft))
    env = following(proxy / "reward")
    judge = Judge(sft, proxy / "reward", seed)
    outcomes = [judge.outcome("SFT", sft)]
    for method, stages in METHODS.items():
        run = folder / "".join(c for c in method.lower() if c.isalnum())
        made = json.loads(json.dumps(stages).replace('"PAIRS"', json.dumps(str(pairs))))
        usage = runs.train(run, made, seed=seed, env=env, model=str(sft))
        outcomes.append(judge.outcome(method, run / next(iter(stages)), usage))
    outcomes.append(judge.best_of(BEST_OF))
    print(f"seed {seed}: the reward model took {took.seconds:.0f} s and {took.megabytes:.0f} MB")
    return outcomes


def write_pairs(path: Path, sft: Path, seed: int) -> None:
    """Sample pairs of replies, those to validation tasks to measure with, and label them."""
    groups = {"train": PAIRS, "validation": HELD_OUT}
    lines = []
    for group in [g for split, count in groups.items() for g in played(sft, split, count, 2, seed)]:
        one, other = sorted(group.trajectories, key=lambda t: -t.reward.value)
        if one.reward.value > other.reward.value and one.reply.strip() and other.reply.strip():
            row = {"prompt": group.task.question, "chosen": one.reply, "rejected": other.reply}
            lines.append(json.dumps(row) + "\n")
    path.write_text("".join(lines))


def played(source: Path, split: str, tasks: int, samples: int, seed: int) -> list[Group]:
    """Let a checkpoint play tasks of a split."""
    examiner = runs.Examiner(str(source), ENV, split=split)
    sampling = Sampling(max_tokens=MOST_TOKENS)
    return examiner.play(source, tasks, sampling, samples=samples, seed=seed)


class Judge:
    """Measures policies on the test split.

    Args:
        sft: the policy that all began with.
        proxy: the reward model.
        seed: of the samples.
    """

    def __init__(self, sft: Path, proxy: Path, seed: int) -> None:
        self.sft, self.seed = sft, seed
        self.reference = checkpoint.load(str(sft), device="cpu")[0]
        self.proxy = RewardModel.load(str(proxy), device="cpu")

    def outcome(self, method: str, source: Path, usage: harness.Usage | None = None) -> Outcome:
        """Return what a checkpoint comes to."""
        groups = played(source, "test", TASKS, SAMPLES, self.seed)
        kl = self.divergence([t for group in groups for t in group.trajectories])
        return self._outcome(method, [g.trajectories for g in groups], kl, usage)

    def best_of(self, n: int) -> Outcome:
        """Return what the best of n samples of the fine-tuned policy comes to, by the proxy.

        Its divergence is at most log n - (n - 1) / n (Stiennon et al. 2020).
        """
        groups = played(self.sft, "test", TASKS, n, self.seed)
        best = [[g.trajectories[int(self.scores(g.trajectories).argmax())]] for g in groups]
        return self._outcome(f"best of {n}", best, math.log(n) - (n - 1) / n)

    def _outcome(
        self,
        method: str,
        by_task: list[list[Trajectory]],
        kl: float,
        usage: harness.Usage | None = None,
    ) -> Outcome:
        means = [statistics.mean(t.reward.value for t in some) for some in by_task]
        scores = self.scores([t for some in by_task for t in some])
        error = statistics.stdev(means) / math.sqrt(len(means))
        gold, proxy = statistics.mean(means), float(scores.mean())
        return Outcome(method, self.seed, gold, error, proxy, kl, usage)

    def scores(self, some: Sequence[Trajectory]) -> torch.Tensor:
        """Return the reward model's scores."""
        sequences = [self.proxy.tokens([t.messages[0]], t.reply) for t in some]
        return self.proxy.scores(sequences)[0]

    @torch.no_grad()
    def divergence(self, some: Sequence[Trajectory]) -> float:
        """Return the mean of log p(reply) - log p_sft(reply), in nats."""
        found = []
        for t in some:
            ids = torch.tensor([t.token_ids])
            logprobs = self.reference(ids).logits[0, :-1].log_softmax(-1)
            theirs = logprobs.gather(-1, ids[0, 1:, None])[:, 0]
            on = torch.tensor(t.loss_mask[1:], dtype=torch.bool)
            found.append(sum(t.logprobs) - float(theirs[on].sum()))
        return statistics.mean(found)


def page(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the page on what came of it."""
    seeds = sorted({o.seed for o in outcomes})
    names = list(dict.fromkeys(o.method for o in outcomes))
    at = {(o.method, o.seed): o for o in outcomes}
    rows, verdicts = [], []
    for name in names:
        found = [(at[name, seed], at["SFT", seed]) for seed in seeds]
        for o, before in found:
            gain = "" if name == "SFT" else f"{o.gold - before.gold:+.2f}"
            gold = f"{o.gold:.2f} ± {1.96 * o.error:.2f}"
            spent = (f"{o.usage.seconds:.0f}", f"{o.usage.megabytes:.0f}") if o.usage else ("", "")
            rows.append((name, o.seed, gold, gain, f"{o.proxy:.2f}", f"{o.kl:.2f}", *spent))
        better = sum(
            o.gold - before.gold > 1.96 * math.hypot(o.error, before.error) for o, before in found
        )
        verdicts.append(
            f"- {name}: better than SFT beyond chance in {better} of {len(seeds)} seeds."
        )
    head = ["method", "seed", "gold", "gain over SFT", "reward model", "KL, nats", "seconds", "MB"]
    return [*INTRODUCTION.splitlines(), "", *harness.table(head, rows), "", *verdicts[1:]]


if __name__ == "__main__":
    main()
