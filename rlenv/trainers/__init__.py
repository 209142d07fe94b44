"""The stages of training, one file each. A stage is imported when a run names it."""

from __future__ import annotations

import importlib
from typing import Any

from rlenv.common.errors import UserError, did_you_mean
from rlenv.run.stage import Stage

STAGES = {
    "tokenizer": "rlenv.trainers.tokenizer:TokenizerStage",
    "pretrain": "rlenv.trainers.pretraining.stage:PretrainStage",
    "extend": "rlenv.trainers.pretraining.extend:ExtendStage",
    "sft": "rlenv.trainers.sft.stage:SFTStage",
    "rejection": "rlenv.trainers.sft.rejection:RejectionStage",
    "reward": "rlenv.trainers.preference.reward_model:RewardStage",
    "dpo": "rlenv.trainers.preference.dpo:DPOStage",
    "kto": "rlenv.trainers.preference.kto:KTOStage",
    "revise": "rlenv.trainers.preference.constitution.revise:ReviseStage",
    "merge": "rlenv.trainers.merge:MergeStage",
    "grpo": "rlenv.trainers.rl.stage:GRPOStage",
    "ppo": "rlenv.trainers.rl.stage:PPOStage",
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
