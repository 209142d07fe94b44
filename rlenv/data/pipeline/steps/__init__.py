"""The steps of the text pipeline, by name. A step is imported when a configuration names it.

A file or another package adds a text filter with `rlenv.register_text_filter`, see docs/python.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlenv.common.errors import UserError
from rlenv.common.plugins import Registry, short_name
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


text_filters: Registry[type[TextFilter[Any]]] = Registry("step", "rlenv.text_filters", STEPS)


def make(
    ref: str, settings: Mapping[str, Any] | None = None, where: str = "settings"
) -> TextFilter[Any]:
    """Make a step.

    Args:
        ref: its name, or `path/to/file.py:name`.
        settings: as read from YAML.
        where: the file they were read from, for messages.

    Raises:
        UserError: there is no such step or setting.
    """
    try:
        kind = text_filters.find(ref)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return kind(parse(kind.Settings, settings or {}, where, f"steps.{short_name(ref)}."))


__all__ = ["STEPS", "Deduplication", "TextFilter", "make", "text_filters"]
