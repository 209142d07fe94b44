"""Judging mathematical answers: right, never hanging, never executing what they say."""

from __future__ import annotations

from rlenv.environments.math.check import check_answer
from rlenv.environments.math.extract import Extracted, extract

__all__ = ["Extracted", "check_answer", "extract"]
