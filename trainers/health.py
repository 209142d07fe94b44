"""Whether a policy still learns, said in words, with what usually helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_AGAIN = 100  # steps before a word is said again

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


def _grown(times: float, metric: str) -> Callable[[float, Metrics, Metrics], bool]:
    return lambda value, now, first: value > times * first.get(metric, value) > 0


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
        _grown(2.0, "rewards/disagreement/mean"),
        "the members of the reward model disagree over twice as much as at first "
        "({rewards/disagreement/mean:.2f}): the policy has found replies that they were not "
        "trained on, whose scores mean little. A higher kl.coefficient, combine: cautious or "
        "fewer steps keeps to what they know",
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


class Health:
    """Looks at the metrics of every step and says what is wrong, once in a while."""

    def __init__(self) -> None:
        self._first: Metrics = {}
        self._held: dict[str, int] = {}
        self._told: dict[str, int] = {}

    def look(self, step: int, metrics: Metrics) -> list[str]:
        """Return what there is to say after a step, mostly nothing."""
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
                words.append(sign.says.format(**metrics))
        return words

    def state_dict(self) -> dict[str, Any]:
        """Return the state, of plain values."""
        return {"first": dict(self._first), "held": dict(self._held), "told": dict(self._told)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._first = dict(state["first"])
        self._held, self._told = dict(state["held"]), dict(state["told"])
