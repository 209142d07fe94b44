"""Judging mathematical answers: right, never hanging, never executing what they say."""

from __future__ import annotations

from rlenv.environments.math.answers.values import Tolerance
from rlenv.environments.math.check import check_answer
from rlenv.environments.math.extract import Extracted, extract

__all__ = ["Extracted", "Tolerance", "check_answer", "extract"]
