"""Whether the weights of a checkpoint are whole, and are those of the model that its config names.

A loader gives what is missing random values and passes over what it does not know, with a warning
at most. A model that was loaded so can be trained and evaluated, and every figure of it is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from rlenv.common.errors import UserError

_NAMED = 3  # weights that are named of many


def check_weights(source: str) -> None:
    """Check that the files of a local checkpoint's weights can be read to their end.

    Only their headers are read.

    Args:
        source: the checkpoint; anything but a folder is passed over.

    Raises:
        UserError: one is damaged or cut short.
    """
    from safetensors import SafetensorError, safe_open

    folder = Path(source).expanduser()
    if not folder.is_dir():
        return
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path} is damaged or was cut short ({error}); copy the checkpoint again"
            ) from None


def check_loaded(source: str, model: Any, found: Mapping[str, Any]) -> None:
    """Check what transformers tells of loading a model.

    Args:
        source: where it was loaded from, for messages.
        model: the model.
        found: with the names of `missing_keys`, `unexpected_keys` and `mismatched_keys`.

    Raises:
        UserError: weights are missing, unknown, of another shape, or no finite numbers.
    """
    missing, unexpected = found["missing_keys"], found["unexpected_keys"]
    kind = type(model).__name__
    wrong = []
    if shapes := found["mismatched_keys"]:
        name, has, wants = sorted(shapes)[0]
        wrong.append(f"{name} has the shape {tuple(has)} where its config says {tuple(wants)}")
    if missing:
        wrong.append(f"it lacks {_list(missing)}")
    if unexpected:
        wrong.append(f"it has {_list(unexpected)}, which no {kind} has")
    if wrong:
        raise UserError(
            f"the weights of {source} are not those of the {kind} that its config.json names: "
            f"{'; '.join(wrong)}.{_hint(missing, unexpected)}"
        )
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not bool(torch.isfinite(weight.detach().sum())):
            if bool(torch.isfinite(weight.detach()).all()):
                continue  # their sum alone is too large
            raise UserError(
                f"the weight {name} of {source} holds numbers that are not finite, as after a "
                "training that exploded; take an earlier checkpoint"
            )


def _hint(missing: Collection[str], unexpected: Collection[str]) -> str:
    """Return what to do about it."""
    for prefix in sorted({name.partition(".")[0] + "." for name in unexpected}):
        bare = {name.removeprefix(prefix) for name in unexpected if name.startswith(prefix)}
        if bare & set(missing):
            return (
                f" They were saved within a wrapper; save the model itself, or take {prefix!r} "
                "off their names"
            )
    return " Give the checkpoint its own config.json, or save the model again"


def _list(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
