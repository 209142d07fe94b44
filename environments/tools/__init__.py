"""Tools for `rlenv.ToolEnv`: functions with type hints and docstrings."""

from __future__ import annotations

from environments.tools.calculator import calculator
from environments.tools.python import python

__all__ = ["calculator", "python"]
