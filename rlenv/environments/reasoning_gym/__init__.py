"""The families of reasoning-gym as environments, `rlenv/reasoning_gym/<family>-v0`."""

from __future__ import annotations

from rlenv.core.registry import register
from rlenv.environments.reasoning_gym.families import FAMILIES, LEFT_OUT

__all__ = ["FAMILIES", "LEFT_OUT", "register_families"]


def register_families() -> None:
    """Register every family; the library is imported when one is first made.

    In Gymnasium, whose ids have one namespace, they are `rlenv-reasoning_gym/<family>-v0`.
    """
    for family in FAMILIES:
        register(
            f"rlenv/reasoning_gym/{family}-v0",
            "rlenv.environments.reasoning_gym.env:ReasoningGym",
            family=family,
        )
