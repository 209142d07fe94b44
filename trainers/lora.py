"""Low-rank adapters (Hu et al. 2022), by peft."""

from __future__ import annotations

import warnings
from typing import Any, Literal

from pydantic import Field

from rlenv.config import Settings
from rlenv.errors import UserError


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


def with_adapter(model: Any, settings: LoRASettings, *, causal: bool = True) -> Any:
    """Wrap a model with an adapter that changes nothing yet.

    Args:
        model: a transformers model.
        settings: the adapter's shape.
        causal: whether it is a causal LM, or a trunk without a head.

    Raises:
        UserError: peft is missing, or the model has no such layers.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise UserError("lora needs peft; install it with: pip install 'rlenv[lora]'") from None

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha or 2 * settings.rank,
        lora_dropout=0.0,  # the policy that is trained must be the one that sampled
        target_modules=settings.targets,
        task_type="CAUSAL_LM" if causal else "FEATURE_EXTRACTION",
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what peft asks of transformers
            return get_peft_model(model, config)
    except ValueError as error:
        raise UserError(f"lora: {str(error).splitlines()[0]}") from None
