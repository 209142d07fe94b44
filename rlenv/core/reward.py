"""Rewards as results: a value, its named components, and whether the grader could judge at all."""

from __future__ import annotations

import inspect
import math
import os
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from rlenv.common.verdicts import Verdict, verdict
from rlenv.core import background

Status = Literal["ok", "unparseable", "timeout", "grader_error"]
_STATUSES = get_args(Status)


@dataclass(frozen=True)
class Reward:
    """What a verifier says about one reply or one episode.

    Attributes:
        value: the scalar that is trained on; NaN when the grader failed, so that a failure can
            never pass for a reward of 0.
        components: named parts, each logged on its own.
        status: `ok`; `unparseable`: the reply held no answer; `timeout`: judging the reply ran
            into its limit, which is the reply's fault; `grader_error`: the grader itself failed,
            which says nothing about the reply and must never be trained on.
        detail: a short text for people.
    """

    value: float
    components: Mapping[str, float] = field(default_factory=dict)
    status: Status = "ok"
    detail: str = ""

    def __post_init__(self) -> None:
        if self.status not in _STATUSES:
            raise ValueError(f"status must be one of {_STATUSES}, not {self.status!r}")
        object.__setattr__(self, "value", float(self.value))
        if self.status == "grader_error":
            object.__setattr__(self, "value", math.nan)
        elif not math.isfinite(self.value):
            raise ValueError(f"a reward must be finite, not {self.value}; use Reward.failed(...)")

    @classmethod
    def of(cls, result: Reward | float | bool) -> Reward:
        """Accept what an author may return from `score`: a Reward, a number or a bool."""
        if isinstance(result, Reward):
            return result
        if isinstance(result, (bool, int, float)) or hasattr(result, "__float__"):
            return cls(float(result))
        raise TypeError(f"score must return a Reward, a number or a bool, not {result!r}")

    @classmethod
    def failed(cls, detail: str) -> Reward:
        """The grader failed: no verdict on the reply."""
        return cls(math.nan, status="grader_error", detail=detail)

    @property
    def judged(self) -> bool:
        """Whether this is a verdict at all, and so may be trained on and counted."""
        return self.status != "grader_error"

    def verdict(self, solved_at: float = 1.0, lowest: float = 0.0) -> Verdict:
        """Return the word for it: right, partly, wrong or not judged.

        Args:
            solved_at: the environment's.
            lowest: the lower end of the environment's `reward_range`.
        """
        return verdict(self.value, self.status, solved_at=solved_at, lowest=lowest)

    def __add__(self, other: Reward) -> Reward:
        """Sum over turns: values and components add up, a failure of any turn stays a failure."""
        if not (self.judged and other.judged):
            broken = self if not self.judged else other
            return Reward.failed(broken.detail)
        names = [*self.components, *(n for n in other.components if n not in self.components)]
        total = {n: self.components.get(n, 0.0) + other.components.get(n, 0.0) for n in names}
        return Reward(self.value + other.value, total, other.status, other.detail or self.detail)


def component_means(rewards: Iterable[Reward]) -> dict[str, float]:
    """Return the mean of each component, over the judged rewards that have it."""
    found: dict[str, list[float]] = {}
    for reward in rewards:
        if reward.judged:
            for name, value in reward.components.items():
                found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


@runtime_checkable
class Measured(Protocol):
    """A component that measures itself, such as `rlenv.Judged`, in place of a weight.

    Attributes:
        weight: of the component.
    """

    weight: float

    def expect(self, env: Any, task: Any, reply: str) -> None:
        """Be told of a reply that will be measured, so that many can be measured at once."""
        ...

    def measure(self, env: Any, task: Any, reply: str) -> float:
        """Return what a reply is worth, from 0 to 1; raise where there is no verdict."""
        ...


class Rubric:
    """Named components with weights, combined into one `Reward`.

    >>> rubric = Rubric(correct=1.0, format=0.1, gate="format")
    >>> rubric({"correct": 1.0, "format": 0.0}).value
    0.0

    Args:
        gate: the name of a component that must be above 0 for the others to count.
        max_concurrency: async components under way at once, over all episodes of a batch.
        **weights: component name to weight, or to what measures itself, such as `rlenv.Judged`.

    Raises:
        ValueError: no components, a gate that is not one of them, or a limit below 1.
    """

    def __init__(
        self, *, gate: str | None = None, max_concurrency: int = 64, **weights: float | Measured
    ) -> None:
        if not weights:
            raise ValueError("a rubric needs at least one component, as in Rubric(correct=1.0)")
        if gate is not None and gate not in weights:
            raise ValueError(f"the gate {gate!r} is not one of the components {sorted(weights)}")
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency is at least 1, not {max_concurrency}")
        self.measured = {n: w for n, w in weights.items() if isinstance(w, Measured)}
        self.weights = {
            name: float(weight.weight if isinstance(weight, Measured) else weight)
            for name, weight in weights.items()
        }
        self.gate = gate
        self.max_concurrency = max_concurrency

    def announce(self, judges: object, *arguments: Any) -> None:
        """Begin to measure what takes time: async components, and those of a judge model.

        The next `judge` with the same arguments takes their results; what it returns is the same
        as without.

        Args:
            judges: as for `judge`.
            *arguments: as for `judge`.
        """
        forget(judges)
        for component in self.measured.values():
            component.expect(judges, *arguments)
        slow = [
            name
            for name in self.weights
            if name not in self.measured and inspect.iscoroutinefunction(getattr(judges, name))
        ]
        if slow:
            work = [getattr(judges, name)(*arguments) for name in slow]
            started = background.start(work, self, self.max_concurrency)
            _announced[judges] = _Announced(arguments, dict(zip(slow, started, strict=True)))

    def judge(self, judges: object, *arguments: Any) -> Reward:
        """Measure every component and combine them.

        Args:
            judges: has a method for each component that does not measure itself, plain or async;
                async ones run at the same time, on an event loop in the background.
            *arguments: passed to each method, such as the task and the reply.

        Raises:
            AttributeError: a component has no method.
        """
        ahead = _announced.pop(judges, None) if _announced else None
        begun = ahead.started if ahead is not None and ahead.arguments == arguments else {}
        if ahead is not None and not begun:
            background.cancel(list(ahead.started.values()))
        values: dict[str, Any] = {}
        for name in self.weights:
            if name in self.measured:
                values[name] = self.measured[name].measure(judges, *arguments)
            elif name not in begun:
                values[name] = getattr(judges, name)(*arguments)
        waiting = {name: value for name, value in values.items() if inspect.isawaitable(value)}
        if waiting:
            found = background.run(list(waiting.values()), self, self.max_concurrency)
            values.update(zip(waiting, found, strict=True))
        if begun:
            values.update(zip(begun, background.results(list(begun.values())), strict=True))
        return self({name: float(values[name]) for name in self.weights})

    def reweighed(self, known: Rubric) -> Rubric:
        """Return this rubric with what measures itself taken from another one's components."""
        for name in self.weights.keys() & known.measured.keys() - self.measured.keys():
            self.measured[name] = known.measured[name]
        return self

    @property
    def maximum(self) -> float:
        """The value when every component with a positive weight is 1 and the others are 0."""
        return sum(weight for weight in self.weights.values() if weight > 0)

    @property
    def minimum(self) -> float:
        """The value when every component with a negative weight is 1 and the others are 0."""
        return sum((weight for weight in self.weights.values() if weight < 0), 0.0)

    def __call__(
        self, components: Mapping[str, float], *, status: Status = "ok", detail: str = ""
    ) -> Reward:
        """Combine measured components.

        Args:
            components: a value for every component of the rubric, and for no other.
            status: passed on to the Reward.
            detail: passed on to the Reward.

        Returns:
            The weighted sum; components are kept unweighted.

        Raises:
            ValueError: a component is missing or unknown.
        """
        if components.keys() != self.weights.keys():
            raise ValueError(
                f"the rubric has components {sorted(self.weights)}, got {sorted(components)}"
            )
        values = {name: float(components[name]) for name in self.weights}
        if self.gate is not None and values[self.gate] <= 0:
            return Reward(0.0, values, status, detail or f"gate {self.gate} not passed")
        total = sum([weight * values[name] for name, weight in self.weights.items()])
        return Reward(total, values, status, detail)

    def __repr__(self) -> str:
        parts = [f"{name}={weight:g}" for name, weight in self.weights.items()]
        return f"Rubric({', '.join([*parts, f'gate={self.gate!r}'] if self.gate else parts)})"


@dataclass(frozen=True)
class _Announced:
    """Components that are being measured ahead, and of what."""

    arguments: tuple[Any, ...]
    started: dict[str, background.Outcome]


# by the environment that was told; kept outside of it, so that it can still be pickled
_announced: weakref.WeakKeyDictionary[object, _Announced] = weakref.WeakKeyDictionary()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_announced.clear)  # nothing goes on in a child process


def forget(judges: object) -> None:
    """End what is measured ahead for an environment that is played anew."""
    ahead = _announced.pop(judges, None) if _announced else None
    if ahead is not None:
        background.cancel(list(ahead.started.values()))
