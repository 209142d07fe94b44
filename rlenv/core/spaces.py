"""The space that every environment's observations and actions come from."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import CustomSpaceError
from gymnasium.vector.utils import create_shared_memory


class UnicodeText(spaces.Text):
    """The space of every Unicode string, for observations and actions.

    Sampling draws short printable strings; membership admits any `str`.
    """

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length=64, seed=seed)

    def contains(self, x: Any) -> bool:
        """Return whether x is a string."""
        return isinstance(x, str)

    def __repr__(self) -> str:
        return "UnicodeText()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText)


@create_shared_memory.register
def _no_shared_memory(space: UnicodeText, n: int = 1, ctx: Any = None) -> Any:
    # a fixed block of memory can't hold strings of any length
    raise CustomSpaceError(f"{space} needs AsyncVectorEnv(..., shared_memory=False)")
