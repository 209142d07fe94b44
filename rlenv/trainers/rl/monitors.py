"""Whether a policy still learns: alarms on the metrics of its steps, with what usually helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["warn", "stop", "raise"]

_AGAIN = 100  # steps before an alarm is raised again
_LOST = 0.25  # share of what the gold reward had gained

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Alarm:
    """A symptom of a run that goes wrong.

    Attributes:
        metric: what it is seen by; steps in which it was not measured do not count.
        holds: whether its value means trouble, given the metrics of the step and of the first.
        message: what it means, with `{metric}` for the numbers, and what usually helps.
        patience: how many times in a row it must hold before the alarm is raised.
    """

    metric: str
    holds: Callable[[float, Metrics, Metrics], bool]
    message: str
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


ALARMS = {
    "equal": Alarm(
        "frac_reward_zero_std",
        _at_least(0.999),
        "all rewards of every group are equal (mean reward {reward:.2f}), so there is nothing to "
        "learn from. At a low reward the tasks are too hard: take easier ones (a curriculum), "
        "more SFT, or a larger group_size. At a high one they are too easy",
    ),
    "truncated": Alarm(
        "completions/clipped_ratio",
        _at_least(0.95),
        "{completions/clipped_ratio:.0%} of the replies were cut off at the limit. Raise "
        "max_tokens, teach the stop token by SFT, or set overlong to make length cost something",
    ),
    "entropy": Alarm(
        "entropy",
        _collapsed,
        "the entropy has collapsed to {entropy:.4f} nats a token: the policy says the same again "
        "and again. A lower learning_rate, a higher clip_high, an entropy_bonus or a higher "
        "temperature usually helps",
    ),
    "kl": Alarm(
        "kl",
        _at_least(1.0),
        "the policy has run away from where it began: the KL is {kl:.2f} nats a token. Look at "
        "its replies for a reward that is being gamed; a lower learning_rate or a "
        "kl.coefficient keeps it nearer",
        patience=1,
    ),
    "disagreement": Alarm(
        "rewards/disagreement/mean",
        _grown(2.0, "rewards/disagreement/mean", least=1e-9),
        "the members of the reward model disagree over twice as much as at first "
        "({rewards/disagreement/mean:.2f}): the policy has found replies that they were not "
        "trained on, whose scores mean little. A higher kl.coefficient, combine: cautious or "
        "fewer steps keeps to what they know",
    ),
    "length": Alarm(
        "completions/mean_length",
        _grown(3.0, "completions/mean_length"),
        "replies are over three times as long as at first ({completions/mean_length:.0f} tokens). "
        "Where length is not what the task is about, a learned reward often pays for it; overlong "
        "or a higher kl.coefficient keeps them short",
    ),
    "repetition": Alarm(
        "completions/repetition",
        _grown(2.0, "completions/repetition", least=0.3),
        "replies repeat themselves: {completions/repetition:.0%} of their runs of four tokens "
        "stood in the reply before, over twice as many as at first. A higher kl.coefficient, a "
        "higher temperature or a reward that looks at repetition helps",
    ),
    "gold": Alarm(
        "gold/lost",
        _at_least(_LOST),
        "the gold reward on held-out tasks has lost {gold/lost:.0%} of what it had gained, while "
        "the reward that is trained on is no lower: the policy learns to please the reward, not "
        "to do well. Stop earlier (alarms: {{gold: stop}}, keep_best), raise kl.coefficient, or "
        "train the reward model on what the policy says now",
        patience=2,
    ),
    "graders": Alarm(
        "grader_errors",
        _at_least(0.05),
        "{grader_errors:.0%} of the rollouts could not be judged and left the batch; the log "
        "says why",
    ),
    "silent": Alarm(
        "unparseable",
        _at_least(0.95),
        "{unparseable:.0%} of the replies hold no answer that could be read. Show the format by "
        "SFT or in the prompt, and check it with rlenv play",
    ),
}


@dataclass(frozen=True)
class Alert:
    """An alarm that was raised.

    Attributes:
        alarm: its name in `ALARMS`.
        message: for people, with the numbers of the step.
    """

    alarm: str
    message: str


class Monitor:
    """Checks the metrics of every step, and raises alarms, the same one only once in a while.

    Args:
        gold: a held-out metric that says how good the policy really is, where the reward does not.
    """

    def __init__(self, gold: str | None = None) -> None:
        self._gold = gold
        self._best: dict[str, float] = {}  # the gold reward at first and at best, and the reward
        self._first: Metrics = {}
        self._held: dict[str, int] = {}
        self._raised: dict[str, int] = {}

    def check(self, step: int, metrics: Metrics) -> list[Alert]:
        """Return the alarms that a step raises, mostly none."""
        metrics = {**metrics, **self.gold_lost(metrics)}
        self._first = self._first or dict(metrics)
        alerts = []
        for name, alarm in ALARMS.items():
            if alarm.metric not in metrics:
                continue
            holds = alarm.holds(metrics[alarm.metric], metrics, self._first)
            self._held[name] = self._held.get(name, 0) + 1 if holds else 0
            due = name not in self._raised or step - self._raised[name] >= _AGAIN
            if self._held[name] >= alarm.patience and due:
                self._raised[name] = step
                alerts.append(Alert(name, alarm.message.format(**metrics)))
        return alerts

    def gold_lost(self, metrics: Metrics) -> dict[str, float]:
        """Return the share that the gold reward has lost of its gain, where it was measured.

        Over-optimisation (Gao et al. 2022) is a gold reward that falls while the reward that is
        trained on does not; where both fall, it is something else.
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
        counts = {"held": dict(self._held), "raised": dict(self._raised)}
        return {"first": dict(self._first), "gold": dict(self._best), **counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._first, self._best = dict(state["first"]), dict(state["gold"])
        self._held, self._raised = dict(state["held"]), dict(state["raised"])
