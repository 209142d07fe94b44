"""From settings to an engine. Nobody outside of this room asks which kind it is.

What differs between kinds and matters elsewhere, an engine says itself: see `Engine.holds_weights`
and `Engine.importance_cap`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlenv.engines.base import Engine, EngineSetup
from rlenv.engines.registry import engines
from rlenv.engines.settings import AUTO, EngineSettings


def make(
    model: Any,
    settings: EngineSettings | None = None,
    *,
    stop_ids: Sequence[int],
    tokenizer: Any = None,
    sends_weights: bool = True,
) -> Engine:
    """Make the engine that generates with a model.

    Args:
        model: a causal LM, plain or with adapters from peft.
        settings: which engine; by default the fastest that runs this model here.
        stop_ids: tokens that end a completion.
        tokenizer: to find stop texts with.
        sends_weights: whether this process is the one that sends an engine its weights, where
            several share a server.

    Raises:
        UserError: there is no such engine, it does not run this model, or its server does not
            answer.
    """
    settings = settings or EngineSettings()
    setup = EngineSetup(settings, tuple(stop_ids), tokenizer, sends_weights)
    return _class(settings, model).build(model, setup)


def check(settings: EngineSettings) -> None:
    """Check, before a run starts, that an engine will be there.

    Raises:
        UserError: it will not, and what to do about it.
    """
    if settings.kind != AUTO:
        engines.find(settings.kind).check(settings)


def importance_cap(settings: EngineSettings) -> float | None:
    """Return the cap on importance weights that an engine asks for; see `Engine`."""
    return None if settings.kind == AUTO else engines.find(settings.kind).importance_cap


def _class(settings: EngineSettings, model: Any) -> type[Engine]:
    if settings.kind != AUTO:
        return engines.find(settings.kind)
    from rlenv.engines.native import unsupported

    # who asks for bfloat16 asks for the native engine, which says why it can't
    runs = settings.dtype != "model" or not unsupported(model)
    return engines.find("native" if runs else "transformers")
