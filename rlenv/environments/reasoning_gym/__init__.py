"""The families of reasoning-gym as environments, `rlenv/reasoning_gym/<family>-v0`."""

from __future__ import annotations

from gymnasium.envs import registration

from rlenv.core.registry import register
from rlenv.environments.reasoning_gym.families import FAMILIES, LEFT_OUT

__all__ = ["FAMILIES", "LEFT_OUT", "register_families"]


def register_families() -> None:
    """Register every family; the library is imported when one is first made.

    Gymnasium's ids have one namespace only: there they are `rlenv-reasoning_gym/<family>-v0`.
    """
    for family in FAMILIES:
        id = f"rlenv/reasoning_gym/{family}-v0"
        register(id, "rlenv.environments.reasoning_gym.env:ReasoningGym", family=family)
        theirs = f"rlenv-reasoning_gym/{family}-v0"
        if theirs not in registration.registry:
            registration.register(
                id=theirs, entry_point="rlenv.core.registry:make", kwargs={"ref": id}
            )
