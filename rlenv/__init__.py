"""Train language models against rewards that can be checked.

Importing this package is cheap: every public name is loaded when it is first used, and torch
only by the parts that compute with it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rlenv import registry

__version__ = "0.1.0"

_PUBLIC = {
    "Engine": "rlenv.engines.base",
    "Completion": "rlenv.engines.base",
    "Sampling": "rlenv.engines.base",
    "UserError": "rlenv.errors",
    "decontaminate": "rlenv.decontamination",
    "SingleTurnEnv": "rlenv.env",
    "TextEnv": "rlenv.env",
    "UnicodeText": "rlenv.spaces",
    "done": "rlenv.response",
    "turn": "rlenv.response",
    "EnvSpec": "rlenv.registry",
    "make": "rlenv.registry",
    "register": "rlenv.registry",
    "registered": "rlenv.registry",
    "spec": "rlenv.registry",
    "Reward": "rlenv.reward",
    "Rubric": "rlenv.reward",
    "GeneratedTasks": "rlenv.task",
    "RowTasks": "rlenv.task",
    "Task": "rlenv.task",
    "TaskSet": "rlenv.task",
    "split_of": "rlenv.task",
    "ToolEnv": "rlenv.tools",
    "ToolFailed": "rlenv.tools",
    "tool": "rlenv.tools",
    "Group": "rlenv.trajectory",
    "Trajectory": "rlenv.trajectory",
}

# classes of bundled environments to build on, by id
_BUNDLED = {"MathWord": "rlenv/MathWord-v0"}

__all__ = [*sorted([*_PUBLIC, *_BUNDLED]), "parsing"]

if TYPE_CHECKING:
    from rlenv import parsing as parsing
    from rlenv.decontamination import decontaminate as decontaminate
    from rlenv.engines.base import Completion as Completion
    from rlenv.engines.base import Engine as Engine
    from rlenv.engines.base import Sampling as Sampling
    from rlenv.env import SingleTurnEnv as SingleTurnEnv
    from rlenv.env import TextEnv as TextEnv
    from rlenv.errors import UserError as UserError
    from rlenv.registry import EnvSpec as EnvSpec
    from rlenv.registry import make as make
    from rlenv.registry import register as register
    from rlenv.registry import registered as registered
    from rlenv.registry import spec as spec
    from rlenv.response import done as done
    from rlenv.response import turn as turn
    from rlenv.reward import Reward as Reward
    from rlenv.reward import Rubric as Rubric
    from rlenv.spaces import UnicodeText as UnicodeText
    from rlenv.task import GeneratedTasks as GeneratedTasks
    from rlenv.task import RowTasks as RowTasks
    from rlenv.task import Task as Task
    from rlenv.task import TaskSet as TaskSet
    from rlenv.task import split_of as split_of
    from rlenv.tools import ToolEnv as ToolEnv
    from rlenv.tools import ToolFailed as ToolFailed
    from rlenv.tools import tool as tool
    from rlenv.trajectory import Group as Group
    from rlenv.trajectory import Trajectory as Trajectory


def __getattr__(name: str) -> Any:
    if name == "parsing":
        return importlib.import_module("rlenv.parsing")
    if name in _BUNDLED:
        return registry.spec(_BUNDLED[name]).load()
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rlenv' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value  # the next look-up is a plain attribute
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


registry.load_bundled()
