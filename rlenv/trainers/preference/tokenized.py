"""TRL's trainers on rows of tokens: those of our `ChatFormat`, where TRL would tokenize text."""

from __future__ import annotations

from typing import Any

from trl import DPOTrainer, KTOTrainer


class TokenDPOTrainer(DPOTrainer):
    """`DPOTrainer` on rows of `prompt_ids`, `chosen_ids` and `rejected_ids`."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset


class TokenKTOTrainer(KTOTrainer):
    """`KTOTrainer` on rows of `prompt_ids`, `completion_ids`, `label` and `KL_completion_ids`."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset
