"""The stages of training, one file each. A stage is imported when a run names it."""

from __future__ import annotations

import importlib
from typing import Any

from rlenv.errors import UserError, did_you_mean
from rlenv.stage import Stage

PART_OF = "rlenv"  # tells this package from another of its name

STAGES = {
    "tokenizer": "trainers.tokenizer:TokenizerStage",
    "pretrain": "trainers.pretraining.stage:PretrainStage",
    "extend": "trainers.pretraining.extend:ExtendStage",
    "sft": "trainers.sft.stage:SFTStage",
    "rejection": "trainers.sft.rejection:RejectionStage",
    "reward": "trainers.reward_model:RewardStage",
    "dpo": "trainers.dpo:DPOStage",
    "kto": "trainers.kto:KTOStage",
    "revise": "trainers.constitution.revise:ReviseStage",
    "merge": "trainers.merge:MergeStage",
    "grpo": "trainers.on_policy:GRPOStage",
    "ppo": "trainers.on_policy:PPOStage",
}


def stage_class(name: str) -> type[Stage[Any]]:
    """Return the class of a stage.

    Raises:
        UserError: there is no stage of that name.
    """
    if name not in STAGES:
        raise UserError(
            f"there is no stage {name!r}; there are {', '.join(STAGES)}."
            f"{did_you_mean(name, STAGES)}"
        )
    module, _, attribute = STAGES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
