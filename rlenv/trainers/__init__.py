"""The stages of training, one file each. A stage is imported when a run names it.

A file or another package adds one of its own with `rlenv.register_stage`, see docs/python.md.
"""

from __future__ import annotations

from typing import Any

from rlenv.common.plugins import Registry
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

stages: Registry[type[Stage[Any]]] = Registry("stage", "rlenv.stages", STAGES)


def stage_class(ref: str) -> type[Stage[Any]]:
    """Return the class of a stage.

    Args:
        ref: its name, or `path/to/file.py:name`.

    Raises:
        UserError: there is no stage of that name.
    """
    return stages.find(ref)
