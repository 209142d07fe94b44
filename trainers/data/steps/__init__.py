"""The steps of the text pipeline, by name. A step is imported when a configuration names it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from rlenv import config
from rlenv.errors import UserError, did_you_mean
from trainers.data.steps.step import Deduplication, Step

STEPS = {
    "normalise": "trainers.data.steps.normalise:Normalise",
    "language": "trainers.data.steps.language:Language",
    "gopher_quality": "trainers.data.steps.gopher:GopherQuality",
    "gopher_repetition": "trainers.data.steps.gopher:GopherRepetition",
    "c4": "trainers.data.steps.c4:C4",
    "fineweb": "trainers.data.steps.fineweb:FineWeb",
    "quality": "trainers.data.steps.learned:Quality",
    "safety": "trainers.data.steps.learned:Safety",
    "exact": "trainers.data.steps.duplicates:Exact",
    "minhash": "trainers.data.steps.duplicates:MinHash",
    "personal": "trainers.data.steps.personal:Personal",
    "decontaminate": "trainers.data.steps.decontaminate:Decontaminate",
}


def make(
    name: str, settings: Mapping[str, Any] | None = None, where: str = "settings"
) -> Step[Any]:
    """Make a step.

    Args:
        name: of `STEPS`.
        settings: as read from YAML.
        where: the file they were read from, for messages.

    Raises:
        UserError: there is no such step or setting.
    """
    if name not in STEPS:
        raise UserError(
            f"{where}: there is no step {name!r}; there are {', '.join(STEPS)}."
            f"{did_you_mean(name, STEPS)}"
        )
    module, _, attribute = STEPS[name].partition(":")
    kind: type[Step[Any]] = getattr(importlib.import_module(module), attribute)
    return kind(config.parse(kind.Settings, settings or {}, where, f"steps.{name}."))


__all__ = ["STEPS", "Deduplication", "Step", "make"]
