"""Conformance checks for any environment: can it be trusted to train on?

`run` plays an environment in ways that a policy, or a mistake of its author, might. Each check
has a name, passes, fails or is skipped, and says what to do about a failure.
"""

from __future__ import annotations

from rlenv.conformance.suite import CHECKS, CheckOutcome, CheckSettings, run

__all__ = ["CHECKS", "CheckOutcome", "CheckSettings", "run"]
