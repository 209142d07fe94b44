"""Whether a policy still learns, said in words, with what usually helps, and what is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["warn", "stop", "raise"]

_AGAIN = 100  # steps before a word is said again
_LOST = 0.25  # share of what the gold reward had gained

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Sign:
    """A sign of trouble.

    Attributes:
        metric: what it is seen by; steps in which it was not measured say nothing.
        holds: whether its value is one of trouble, given the metrics of the step and of the first.
        says: what it means, with `{metric}` for the numbers, and what usually helps.
        patience: how many times in a row it must hold before it is told.
    """

    metric: str
    holds: Callable[[float, Metrics, Metrics], bool]
    says: str
    patience: int = 3


def _at_least(most: float) -> Callable[[float, Metrics, Metrics], bool]:
    return lambda value, now, first: value >= most


def _collapsed(entropy: float, now: Metrics, first: Metrics) -> bool:
    # a policy that has learned its task is sure of itself too, but then its groups still differ
    return (
        entropy < 0.02
        and entropy < 0.1 * first.get("entropy", 0.0)
        and now["frac_reward_zero_std"] > 0.5
    )


def _grown(times: float, metric: str, least: float = 0.0) -> Callable[..., bool]:
    """Whether a metric is over so many times what it was at first, and at least so much."""

    def holds(value: float, now: Metrics, first: Metrics) -> bool:
        return value >= least and value > times * first.get(metric, value)

    return holds


SIGNS = {
    "equal": Sign(
        "frac_reward_zero_std",
        _at_least(0.999),
        "all rewards of every group are equal (mean reward {reward:.2f}), so there is nothing to "
        "learn from. At a low reward the tasks are too hard: take easier ones (a curriculum), "
        "more SFT, or a larger group_size. At a high one they are too easy",
    ),
    "truncated": Sign(
        "completions/clipped_ratio",
        _at_least(0.95),
        "{completions/clipped_ratio:.0%} of the replies were cut off at the limit. Raise "
        "max_tokens, teach the stop token by SFT, or set overlong to make length cost something",
    ),
    "entropy": Sign(
        "entropy",
        _collapsed,
        "the entropy has collapsed to {entropy:.4f} nats a token: the policy says the same again "
        "and again. A lower learning_rate, a higher clip_high, an entropy_bonus or a higher "
        "temperature usually helps",
    ),
    "kl": Sign(
        "kl",
        _at_least(1.0),
        "the policy has run away from where it began: the KL is {kl:.2f} nats a token. Look at "
        "its replies for a reward that is being gamed; a lower learning_rate or a "
        "kl.coefficient keeps it nearer",
        patience=1,
    ),
    "disagreement": Sign(
        "rewards/disagreement/mean",
        _grown(2.0, "rewards/disagreement/mean", least=1e-9),
        "the members of the reward model disagree over twice as much as at first "
        "({rewards/disagreement/mean:.2f}): the policy has found replies that they were not "
        "trained on, whose scores mean little. A higher kl.coefficient, combine: cautious or "
        "fewer steps keeps to what they know",
    ),
    "length": Sign(
        "completions/mean_length",
        _grown(3.0, "completions/mean_length"),
        "replies are over three times as long as at first ({completions/mean_length:.0f} tokens). "
        "Where length is not what the task is about, a learned reward often pays for it; overlong "
        "or a higher kl.coefficient keeps them short",
    ),
    "repetition": Sign(
        "completions/repetition",
        _grown(2.0, "completions/repetition", least=0.3),
        "replies repeat themselves: {completions/repetition:.0%} of their runs of four tokens "
        "stood in the reply before, over twice as many as at first. A higher kl.coefficient, a "
        "higher temperature or a reward that looks at repetition helps",
    ),
    "gold": Sign(
        "gold/lost",
        _at_least(_LOST),
        "the gold reward on held-out tasks has lost {gold/lost:.0%} of what it had gained, while "
        "the reward that is trained on is no lower: the policy learns to please the reward, not "
        "to do well. Stop earlier (signs: {{gold: stop}}, keep_best), raise kl.coefficient, or "
        "train the reward model on what the policy says now",
        patience=2,
    ),
    "graders": Sign(
        "grader_errors",
        _at_least(0.05),
        "{grader_errors:.0%} of the rollouts could not be judged and left the batch; the log "
        "says why",
    ),
    "silent": Sign(
        "unparseable",
        _at_least(0.95),
        "{unparseable:.0%} of the replies hold no answer that could be read. Show the format by "
        "SFT or in the prompt, and check it with rlenv play",
    ),
}


@dataclass(frozen=True)
class Told:
    """Something that was said.

    Attributes:
        sign: its name in `SIGNS`.
        words: for people.
    """

    sign: str
    words: str


class Health:
    """Looks at the metrics of every step and says what is wrong, once in a while.

    Args:
        gold: a held-out metric that says how good the policy really is, where the reward does not.
    """

    def __init__(self, gold: str | None = None) -> None:
        self._gold = gold
        self._best: dict[str, float] = {}  # the gold reward at first and at best, and the reward
        self._first: Metrics = {}
        self._held: dict[str, int] = {}
        self._told: dict[str, int] = {}

    def look(self, step: int, metrics: Metrics) -> list[Told]:
        """Return what there is to say after a step, mostly nothing."""
        metrics = {**metrics, **self.gold(metrics)}
        self._first = self._first or dict(metrics)
        words = []
        for name, sign in SIGNS.items():
            if sign.metric not in metrics:
                continue
            holds = sign.holds(metrics[sign.metric], metrics, self._first)
            self._held[name] = self._held.get(name, 0) + 1 if holds else 0
            due = name not in self._told or step - self._told[name] >= _AGAIN
            if self._held[name] >= sign.patience and due:
                self._told[name] = step
                words.append(Told(name, sign.says.format(**metrics)))
        return words

    def gold(self, metrics: Metrics) -> dict[str, float]:
        """Return the share that the gold reward has lost of its gain, where it was measured.

        Over-optimisation (Gao et al. 2022) is a gold reward that falls while the reward that is
        trained on does not; where both fall, nothing is said of it.
        """
        if self._gold is None or self._gold not in metrics:
            return {}
        gold, reward = metrics[self._gold], metrics["held_out/reward"]
        best = self._best or {"first": gold, "gold": gold, "reward": reward}
        if gold >= best["gold"]:
            best = {**best, "gold": gold, "reward": reward}
        self._best = best
        gained = best["gold"] - best["first"]
        fell = gained > 0 and reward >= best["reward"]
        return {"gold/lost": (best["gold"] - gold) / gained if fell else 0.0}

    def state_dict(self) -> dict[str, Any]:
        """Return the state, of plain values."""
        counts = {"held": dict(self._held), "told": dict(self._told)}
        return {"first": dict(self._first), "gold": dict(self._best), **counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._first, self._best = dict(state["first"]), dict(state["gold"])
        self._held, self._told = dict(state["held"]), dict(state["told"])
