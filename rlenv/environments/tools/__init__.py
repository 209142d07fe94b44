"""Tools for `rlenv.ToolEnv`: functions with type hints and docstrings."""

from __future__ import annotations

from rlenv.environments.tools.calculator import calculator
from rlenv.environments.tools.python import python

__all__ = ["calculator", "python"]
