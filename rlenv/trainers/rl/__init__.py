"""On-policy reinforcement learning: rollouts, advantages, the loss and the loop around them.

What a loop of one's own takes from here is loaded when it is first used:

- `Policy`, `Batch`, `group_rewards`, `policy_loss`: see docs/python.md;
- advantages `(rewards, mask) -> advantages`, all (P, G): `group_normalised` (GRPO),
  `group_centred` (Dr. GRPO), `leave_one_out` (RLOO), `batch_normalised` (REINFORCE++),
  `relative_to_success` (MaxRL); `gae` with a critic (PPO);
- `register_advantages` and `register_loss`, which add an algorithm.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_ROOM = "rlenv.trainers.rl"
_PUBLIC = {
    "Batch": f"{_ROOM}.batch:Batch",
    "LossInputs": f"{_ROOM}.algorithms:LossInputs",
    "Policy": f"{_ROOM}.policy:Policy",
    "batch_normalised": f"{_ROOM}.algorithms.reinforce_pp:batch_normalised",
    "gae": f"{_ROOM}.algorithms.ppo:gae",
    "group_centred": f"{_ROOM}.algorithms.dr_grpo:group_centred",
    "group_normalised": f"{_ROOM}.algorithms.grpo:group_normalised",
    "group_rewards": f"{_ROOM}.scripting:group_rewards",
    "leave_one_out": f"{_ROOM}.algorithms.rloo:leave_one_out",
    "policy_loss": f"{_ROOM}.scripting:policy_loss",
    "register_advantages": f"{_ROOM}.algorithms:advantages",
    "register_loss": f"{_ROOM}.algorithms:loss",
    "relative_to_success": f"{_ROOM}.algorithms.maxrl:relative_to_success",
}

__all__ = [
    "Batch",
    "LossInputs",
    "Policy",
    "batch_normalised",
    "gae",
    "group_centred",
    "group_normalised",
    "group_rewards",
    "leave_one_out",
    "policy_loss",
    "register_advantages",
    "register_loss",
    "relative_to_success",
]

if TYPE_CHECKING:
    from rlenv.trainers.rl.algorithms import LossInputs as LossInputs
    from rlenv.trainers.rl.algorithms import advantages as register_advantages
    from rlenv.trainers.rl.algorithms import loss as register_loss
    from rlenv.trainers.rl.algorithms.dr_grpo import group_centred as group_centred
    from rlenv.trainers.rl.algorithms.grpo import group_normalised as group_normalised
    from rlenv.trainers.rl.algorithms.maxrl import relative_to_success as relative_to_success
    from rlenv.trainers.rl.algorithms.ppo import gae as gae
    from rlenv.trainers.rl.algorithms.reinforce_pp import batch_normalised as batch_normalised
    from rlenv.trainers.rl.algorithms.rloo import leave_one_out as leave_one_out
    from rlenv.trainers.rl.batch import Batch as Batch
    from rlenv.trainers.rl.policy import Policy as Policy
    from rlenv.trainers.rl.scripting import group_rewards as group_rewards
    from rlenv.trainers.rl.scripting import policy_loss as policy_loss


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = globals()[name] = getattr(importlib.import_module(module), attribute)
    return value
