"""When an evaluation ends before its tasks do: limits on time and cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rlenv.evaluation.samples import Sample


@dataclass
class EvaluationLimits:
    """Limits of one command, over all its evaluations.

    They are looked at between batches, so a batch may go beyond them.

    Attributes:
        minutes: the most that may pass; None for no limit.
        cost: at most, of what this command's samples cost; None for no limit.
        price: of a million tokens read and of a million sampled.
        clock: the time in seconds.
    """

    minutes: float | None = None
    cost: float | None = None
    price: Sequence[float] | None = None
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _spent: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def watch(self, before: Sequence[Sample]) -> Callable[[Sequence[Sample]], str]:
        """Return what to ask between the batches of one evaluation.

        Args:
            before: samples of an earlier command, which cost this one nothing.
        """
        paid, spent = self._cost(before), self._spent

        def reached(kept: Sequence[Sample]) -> str:
            self._spent = spent + self._cost(kept) - paid
            return self._reached()

        return reached

    def _cost(self, samples: Sequence[Sample]) -> float:
        if self.price is None:
            return 0.0
        read, sampled = self.price
        tokens = sum(s.prompt_tokens * read + s.tokens * sampled for s in samples)
        return tokens / 1e6

    def _reached(self) -> str:
        if self.minutes is not None and self.clock() - self._began >= 60 * self.minutes:
            return f"the limit of {self.minutes:g} minutes was reached"
        if self.cost is not None and self._spent >= self.cost:
            return f"the limit on the cost, {self.cost:g}, was reached"
        return ""
