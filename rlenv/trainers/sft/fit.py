"""Fitting a model to rows of tokens with TRL's `SFTTrainer`.

The tokens and labels are made beforehand by the same `ChatFormat` that rollouts use, so that the
policy is fine-tuned on exactly the tokens it will be asked with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.run.stage import Context
from rlenv.trainers.common import lora, optimizers, trl_stage
from rlenv.trainers.sft import soft
from rlenv.trainers.sft.batches import collate, collate_packed, pack
from rlenv.trainers.sft.rows import TokenRow
from rlenv.trainers.sft.settings import FitSettings


def prepare(model: Any, chat: ChatFormat, s: FitSettings, seed: int) -> Any:
    """Return a model as it will be fitted, with its adapter; its tokenizer gets a padding token.

    Args:
        model: a causal LM.
        chat: its chat format.
        s: how it will be fitted.
        seed: of the adapter's weights.
    """
    if chat.tokenizer.pad_token_id is None:
        chat.tokenizer.pad_token_id = chat.stop_ids[0]
    if s.lora is None:
        return model
    # TRL computes the loss from the output layer's weights, past an adapter
    lora.check_targets(model, s.lora, but=model.get_output_embeddings())
    torch.manual_seed(seed)
    return lora.with_adapter(model, s.lora)


def make_trainer(
    s: FitSettings, context: Context, model: Any, tokenizer: Any, rows: Sequence[TokenRow]
) -> Any:
    """Return TRL's trainer on rows of tokens; for soft targets, which it has not, `SoftTrainer`.

    Args:
        s: how to fit.
        context: of the stage, or of a part of it.
        model: a causal LM, with its adapter if there is one.
        tokenizer: its tokenizer, whose padding token is used.
        rows: with `input_ids`, and `labels` that are -100 wherever no loss is taken, and
            perhaps the columns of `soft.soften`.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    if any(soft.POSITIONS in row for row in rows):
        return _soft_trainer(s, context, model, tokenizer, rows)
    data = Dataset.from_list(list(rows))
    if s.packing:
        data = pack(rows, max_length(s, model, tokenizer))
    return SFTTrainer(
        model=model,
        args=trl_stage.arguments(
            SFTConfig,
            context,
            s,
            dataset_kwargs={"skip_prepare_dataset": True},
            **_sampling(s, SFTConfig),
        ),
        train_dataset=data,
        processing_class=tokenizer,
        data_collator=_collator(s, model, tokenizer.pad_token_id),
        optimizers=(_optimizer(s, model), None),
    )


def _soft_trainer(
    s: FitSettings, context: Context, model: Any, tokenizer: Any, rows: Sequence[TokenRow]
) -> Any:
    from transformers import TrainingArguments

    return soft.SoftTrainer(
        model=model,
        args=trl_stage.arguments(
            TrainingArguments,
            context,
            s,
            remove_unused_columns=False,
            **_sampling(s, TrainingArguments),
        ),
        train_dataset=list(rows),
        processing_class=tokenizer,
        data_collator=lambda batch: soft.collate_soft(batch, tokenizer.pad_token_id),
        optimizers=(_optimizer(s, model), None),
    )


def _sampling(s: FitSettings, config: Any) -> dict[str, Any]:
    return {
        "train_sampling_strategy": "group_by_length" if s.group_by_length else "random",
        "include_num_input_tokens_seen": "non_padding",  # of packed rows TRL itself counts one
        **trl_stage.checkpointing(config, on=s.gradient_checkpointing),
    }


def _optimizer(s: FitSettings, model: Any) -> optimizers.Joined | None:
    """Return the optimizer to train with; None for TRL's own AdamW."""
    if s.optimizer == "adamw":
        return None
    made = optimizers.make(
        s.optimizer, model, s.learning_rate, s.weight_decay, outside=s.outside_rate
    )
    return optimizers.Joined(made.parts)


def save(model: Any, tokenizer: Any, s: FitSettings, folder: Path) -> None:
    """Save a model that was fitted, its adapter merged into it."""
    model.config.use_cache = True
    whole = model if s.lora is None else model.merge_and_unload()
    checkpoint.save(whole, tokenizer, folder)


def max_length(s: FitSettings, model: Any, tokenizer: Any) -> int:
    """Return the longest row in tokens."""
    limit = checkpoint.context_length(model, tokenizer)
    return limit if s.max_length is None else min(s.max_length, limit)


def _collator(s: FitSettings, model: Any, pad: int) -> Callable[[Any], Any]:
    if not s.packing:
        return lambda batch: collate(batch, pad)
    flat = "flash" in str(model.config._attn_implementation)
    return lambda batch: collate_packed(batch, pad, flat=flat)
