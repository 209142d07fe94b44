"""Low-rank adapters (Hu et al. 2022), by peft."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import Field

from rlenv.common.errors import UserError, did_you_mean
from rlenv.common.extras import require
from rlenv.common.settings import Settings
from rlenv.trainers.common.freezing import is_named

Task = Literal["CAUSAL_LM", "SEQ_CLS", "FEATURE_EXTRACTION"]


class LoRASettings(Settings):
    """Train small matrices beside the model's own, which stay as they are.

    Attributes:
        rank: of the matrices.
        alpha: what they are scaled by is alpha / rank; twice the rank if left out.
        targets: names of the layers they are put beside.
    """

    rank: int = Field(16, ge=1)
    alpha: float | None = Field(None, gt=0)
    targets: list[str] | Literal["all-linear"] = "all-linear"


@contextmanager
def without_renaming() -> Iterator[None]:
    """Hide that `is_gradient_checkpointing` was renamed in transformers.

    peft reads the old name when it wraps a model, and TRL at each step of DPO and KTO.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning
        )
        yield


def check_targets(model: Any, settings: LoRASettings, *, but: Any = None) -> None:
    """See to it that a model has the layers that an adapter is put beside.

    Peft itself passes over names that a model lacks, as long as it has one of them.

    Args:
        model: a transformers model without an adapter.
        settings: the adapter's shape.
        but: a layer that can have no adapter.

    Raises:
        UserError: it lacks one of them; the sentence says which there are.
    """
    if isinstance(settings.targets, str):
        return
    every = {name: module for name, module in model.named_modules() if _is_layer(module)}
    layers = [name for name, module in every.items() if module is not but]
    known = list(dict.fromkeys(name.rpartition(".")[2] for name in layers))
    for target in settings.targets:
        if any(is_named(target, name) for name in layers):
            continue
        if any(is_named(target, name) for name in every):
            raise UserError(
                f"lora.targets names {target!r}, which can have no adapter in this stage; those "
                f"that can are {', '.join(known)}"
            )
        raise UserError(
            f"lora.targets names {target!r}, which is no layer of the model; it has "
            f"{', '.join(known)}.{did_you_mean(target, known)}"
        )


def _is_layer(module: Any) -> bool:
    """Whether a module is one that peft can put matrices beside: it has a matrix itself."""
    own = module.parameters(recurse=False)
    return not any(module.children()) and any(weight.dim() > 1 for weight in own)


def adapter_config(settings: LoRASettings, task: Task) -> Any:
    """Return peft's configuration of an adapter.

    Args:
        settings: its shape.
        task: a causal LM, a model with a head for a score, or a trunk without a head.

    Raises:
        UserError: peft is missing.
    """
    require("peft", "lora")
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha or 2 * settings.rank,
        lora_dropout=0.0,  # the policy that is trained must be the one that sampled
        target_modules=settings.targets,
        task_type=task,
    )


def with_adapter(model: Any, settings: LoRASettings, task: Task = "CAUSAL_LM") -> Any:
    """Wrap a model with an adapter that changes nothing yet.

    Args:
        model: a transformers model.
        settings: the adapter's shape.
        task: see `adapter_config`.

    Raises:
        UserError: peft is missing, or the model has no such layers.
    """
    config = adapter_config(settings, task)
    from peft import get_peft_model

    if task != "FEATURE_EXTRACTION":  # a trunk lacks the head, which the whole model may adapt
        check_targets(model, settings)
    try:
        with without_renaming():
            return get_peft_model(model, config)
    except ValueError as error:
        raise UserError(f"lora: {str(error).splitlines()[0]}") from None
