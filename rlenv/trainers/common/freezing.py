"""Training a few parts of a model, the rest of it frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlenv.common.errors import UserError, did_you_mean


def train_only(model: Any, names: Sequence[str]) -> None:
    """Freeze a model but for some of its parts.

    Where few may change, little can be learned by heart; docs/results/wordle.md has figures.

    Args:
        model: a transformers model.
        names: of modules, in full (`model.layers.1`) or the end of it (`norm`, `self_attn`). All
            that is inside them is trained. Weights that are tied are one: `lm_head` may be the
            embedding too.

    Raises:
        UserError: the model has no such part, or nothing in it to train; the sentence says which
            there are.
    """
    modules = dict(model.named_modules())
    parts = [name for name, m in modules.items() if name and next(m.parameters(), None) is not None]
    chosen = {name: [part for part in parts if is_named(name, part)] for name in names}
    for name, found in chosen.items():
        if not found:
            known = list(dict.fromkeys(part.rpartition(".")[2] for part in parts))
            known = [one for one in known if not one.isdigit()]
            raise UserError(
                f"train_only names {name!r}, which is no part of the model; it has "
                f"{', '.join(known)}.{did_you_mean(name, known)}"
            )
    model.requires_grad_(requires_grad=False)
    for part in (part for found in chosen.values() for part in found):
        modules[part].requires_grad_(requires_grad=True)


def is_named(name: str, module: str) -> bool:
    """Whether a name is a module's, in full or the end of it."""
    return module == name or module.endswith(f".{name}")
