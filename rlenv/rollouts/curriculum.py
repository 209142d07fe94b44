"""An adaptive curriculum: the level of the tasks follows the measured success rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field, model_validator

from rlenv.common.settings import Settings


class CurriculumSettings(Settings):
    """How the level moves.

    Attributes:
        option: the environment's option that is raised and lowered.
        start: the level to begin with.
        lowest, highest: it stays between them.
        raise_at: success rate over the window from which the level goes up by one.
        lower_at: success rate below which it goes down by one; 0 never lowers it.
        window: how many episodes of the present level are looked at.
        held_out: the level of held-out evaluation, which never moves; the highest if left out.
    """

    option: str = "level"
    start: int = 1
    lowest: int | None = None
    highest: int
    raise_at: float = Field(0.8, gt=0, le=1)
    lower_at: float = Field(0.0, ge=0, lt=1)
    window: int = Field(1024, ge=1)
    held_out: int | None = None

    @model_validator(mode="after")
    def _in_order(self) -> CurriculumSettings:
        if not self.floor <= self.start <= self.highest:
            raise ValueError("start must lie between lowest and highest")
        if self.lower_at >= self.raise_at:
            raise ValueError("lower_at must be below raise_at")
        return self

    @property
    def floor(self) -> int:
        """The lowest level: `start` unless given."""
        return self.start if self.lowest is None else self.lowest

    @property
    def evaluated(self) -> int:
        """The level of held-out evaluation."""
        return self.highest if self.held_out is None else self.held_out


class Curriculum:
    """The level, and the outcomes since it last moved.

    Args:
        settings: how it moves.

    Attributes:
        level: the present one.
    """

    def __init__(self, settings: CurriculumSettings) -> None:
        self.settings = settings
        self.level = settings.start
        self._outcomes: list[bool] = []

    @property
    def success(self) -> float:
        """The success rate over the window so far; 0 where it is empty."""
        return sum(self._outcomes) / len(self._outcomes) if self._outcomes else 0.0

    def record(self, outcomes: Iterable[bool]) -> int:
        """Take down episodes played at the present level, and move it if the window says so.

        The level moves once a call at most, and only when the window is full; then the window
        begins anew, since what was measured at one level says nothing about another.

        Args:
            outcomes: whether each episode was solved.

        Returns:
            The level from now on.
        """
        s = self.settings
        self._outcomes = [*self._outcomes, *map(bool, outcomes)][-s.window :]
        if len(self._outcomes) == s.window:
            step = (self.success >= s.raise_at) - (self.success < s.lower_at)
            level = max(s.floor, min(s.highest, self.level + step))
            if level != self.level:
                self.level = level
                self._outcomes = []
        return self.level

    def state_dict(self) -> dict[str, Any]:
        """Return the state, of plain values."""
        return {"level": self.level, "outcomes": list(self._outcomes)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state, within the levels that the settings allow."""
        s = self.settings
        self.level = max(s.floor, min(s.highest, int(state["level"])))
        self._outcomes = [bool(o) for o in state["outcomes"]][-s.window :]
