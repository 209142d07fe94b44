"""The steps of the text pipeline, by name. A step is imported when a configuration names it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from rlenv.common.errors import UserError, did_you_mean
from rlenv.common.settings import parse
from rlenv.data.pipeline.steps.step import Deduplication, TextFilter

STEPS = {
    "normalise": "rlenv.data.pipeline.steps.normalise:Normalise",
    "language": "rlenv.data.pipeline.steps.language:Language",
    "gopher_quality": "rlenv.data.pipeline.steps.gopher:GopherQuality",
    "gopher_repetition": "rlenv.data.pipeline.steps.gopher:GopherRepetition",
    "c4": "rlenv.data.pipeline.steps.c4:C4",
    "fineweb": "rlenv.data.pipeline.steps.fineweb:FineWeb",
    "quality": "rlenv.data.pipeline.steps.learned:Quality",
    "safety": "rlenv.data.pipeline.steps.learned:Safety",
    "exact": "rlenv.data.pipeline.steps.duplicates:Exact",
    "minhash": "rlenv.data.pipeline.steps.duplicates:MinHash",
    "personal": "rlenv.data.pipeline.steps.personal:Personal",
    "decontaminate": "rlenv.data.pipeline.steps.decontaminate:Decontaminate",
}


def make(
    name: str, settings: Mapping[str, Any] | None = None, where: str = "settings"
) -> TextFilter[Any]:
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
    kind: type[TextFilter[Any]] = getattr(importlib.import_module(module), attribute)
    return kind(parse(kind.Settings, settings or {}, where, f"steps.{name}."))


__all__ = ["STEPS", "Deduplication", "TextFilter", "make"]
