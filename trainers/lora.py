"""Low-rank adapters (Hu et al. 2022), by peft."""

from __future__ import annotations

import warnings
from typing import Any, Literal

from pydantic import Field

from rlenv.config import Settings
from rlenv.errors import UserError

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


def adapter_config(settings: LoRASettings, task: Task) -> Any:
    """Return peft's configuration of an adapter.

    Args:
        settings: its shape.
        task: a causal LM, a model with a head for a score, or a trunk without a head.

    Raises:
        UserError: peft is missing.
    """
    try:
        from peft import LoraConfig
    except ImportError:
        raise UserError("lora needs peft; install it with: pip install 'rlenv[lora]'") from None
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

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what peft asks of transformers
            return get_peft_model(model, config)
    except ValueError as error:
        raise UserError(f"lora: {str(error).splitlines()[0]}") from None
