"""Train language models against rewards that can be checked.

Importing this package is cheap: every public name is loaded when it is first used, and torch
only by the parts that compute with it.
"""

from __future__ import annotations

import importlib
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from rlenv.common.extras import explained
from rlenv.common.version import __version__ as __version__
from rlenv.core import registry

_PUBLIC = {
    "Engine": "rlenv.engines.base",
    "Completion": "rlenv.engines.base",
    "Sampling": "rlenv.engines.base",
    "UserError": "rlenv.common.errors",
    "decontaminate": "rlenv.data.decontamination",
    "SingleTurnEnv": "rlenv.core.env",
    "TextEnv": "rlenv.core.env",
    "UnicodeText": "rlenv.core.episode",
    "done": "rlenv.core.episode",
    "turn": "rlenv.core.episode",
    "EnvSpec": "rlenv.core.registry",
    "make": "rlenv.core.registry",
    "register": "rlenv.core.registry",
    "registered": "rlenv.core.registry",
    "spec": "rlenv.core.registry",
    "Judged": "rlenv.judges.judged",
    "Reward": "rlenv.core.reward",
    "Rubric": "rlenv.core.reward",
    "GeneratedTasks": "rlenv.core.task",
    "RowTasks": "rlenv.core.task",
    "Task": "rlenv.core.task",
    "TaskSet": "rlenv.core.task",
    "split_of": "rlenv.core.task",
    "ToolEnv": "rlenv.core.tools",
    "ToolFailed": "rlenv.core.tools",
    "tool": "rlenv.core.tools",
    "Group": "rlenv.core.trajectory",
    "Trajectory": "rlenv.core.trajectory",
    # loops and evaluations of one's own, see docs/python.md
    "Batch": "rlenv.trainers.rl.batch",
    "Policy": "rlenv.trainers.rl.policy",
    "evaluate": "rlenv.evaluation.of_policy",
    "group_rewards": "rlenv.trainers.rl.scripting",
    "rollout": "rlenv.rollouts.rollout",
    # what files and packages add
    "EngineSetup": "rlenv.engines.base",
    "Request": "rlenv.engines.base",
    "Settings": "rlenv.common.settings",
    "Stage": "rlenv.run.stage",
    "TextFilter": "rlenv.data.pipeline.steps.step",
    "register_engine": "rlenv.engines.registry:engines.register",
    "register_stage": "rlenv.trainers:stages.register",
    "register_text_filter": "rlenv.data.pipeline.steps:text_filters.register",
}

# classes of bundled environments to build on, by id
_BUNDLED = {"MathWord": "rlenv/MathWord-v0"}

__all__ = [*sorted([*_PUBLIC, *_BUNDLED]), "parsing"]

if TYPE_CHECKING:  # what environments may not import, this file may not either: no trainers here
    from rlenv import parsing
    from rlenv.common.errors import UserError as UserError
    from rlenv.common.settings import Settings as Settings
    from rlenv.core.env import SingleTurnEnv as SingleTurnEnv
    from rlenv.core.env import TextEnv as TextEnv
    from rlenv.core.episode import UnicodeText as UnicodeText
    from rlenv.core.episode import done as done
    from rlenv.core.episode import turn as turn
    from rlenv.core.registry import EnvSpec as EnvSpec
    from rlenv.core.registry import make as make
    from rlenv.core.registry import register as register
    from rlenv.core.registry import registered as registered
    from rlenv.core.registry import spec as spec
    from rlenv.core.reward import Reward as Reward
    from rlenv.core.reward import Rubric as Rubric
    from rlenv.core.task import GeneratedTasks as GeneratedTasks
    from rlenv.core.task import RowTasks as RowTasks
    from rlenv.core.task import Task as Task
    from rlenv.core.task import TaskSet as TaskSet
    from rlenv.core.task import split_of as split_of
    from rlenv.core.tools import ToolEnv as ToolEnv
    from rlenv.core.tools import ToolFailed as ToolFailed
    from rlenv.core.tools import tool as tool
    from rlenv.core.trajectory import Group as Group
    from rlenv.core.trajectory import Trajectory as Trajectory
    from rlenv.data.decontamination import decontaminate as decontaminate
    from rlenv.data.pipeline.steps.step import TextFilter as TextFilter
    from rlenv.engines.base import Completion as Completion
    from rlenv.engines.base import Engine as Engine
    from rlenv.engines.base import EngineSetup as EngineSetup
    from rlenv.engines.base import Request as Request
    from rlenv.engines.base import Sampling as Sampling
    from rlenv.evaluation.of_policy import evaluate as evaluate
    from rlenv.judges.judged import Judged as Judged
    from rlenv.rollouts.rollout import rollout as rollout
    from rlenv.run.stage import Stage as Stage


def __getattr__(name: str) -> Any:
    if name == "parsing":
        return importlib.import_module("rlenv.parsing")
    if name in _BUNDLED:
        return registry.spec(_BUNDLED[name]).load()
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rlenv' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    with explained(f"rlenv.{name}"):
        value = attrgetter(attribute or name)(importlib.import_module(module))
    globals()[name] = value  # the next look-up is a plain attribute
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


import rlenv.data.builtin_rows  # noqa: E402 registers the rows that need no file
import rlenv.environments  # noqa: E402, F401 registers the bundled ones, with Gymnasium too
