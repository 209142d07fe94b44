"""Stage `kto`: Kahneman-Tversky optimization, by TRL's `KTOTrainer`.

Each reply is judged by itself, as good or bad, against what the policy gains on average
(Ethayarajh et al. 2024, eq. 8). The chosen and the rejected replies of pairs are such replies.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from trainers import trl_stage
from trainers.preferences.data import Gathered
from trainers.preferences.direct import DirectSettings, DirectStage
from trainers.preferences.tokens import Row, TokenPair
from trainers.trl_stage import Part


class KTOSettings(DirectSettings):
    """Settings of the stage.

    Attributes:
        good, bad: weights of the losses of good and of bad replies.
    """

    good: float = Field(1.0, gt=0)
    bad: float = Field(1.0, gt=0)

    def steps(self, rows: int) -> int:
        """Return how many optimizer steps so many pairs make, two replies each."""
        return super().steps(2 * rows)


class KTOStage(DirectStage[KTOSettings]):
    """Fit a policy to good and bad replies."""

    Settings = KTOSettings

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        rounds = "" if s.rounds == 1 else f", {s.rounds} rounds"
        return f"KTO on {s.data.words()}{rounds}", f"{self.steps()} steps"

    def make_trainer(
        self, context: Part, model: Any, reference: Any, tokenizer: Any, pairs: Gathered
    ) -> Any:
        """See `DirectStage.make_trainer`."""
        from datasets import Dataset
        from trl import KTOConfig

        from trainers.preferences.tokenized import TokenKTOTrainer

        s = self.settings
        arguments = trl_stage.arguments(
            KTOConfig,
            context,
            s,
            desirable_weight=s.good,
            undesirable_weight=s.bad,
            **self.common(),
        )
        at_once = arguments.per_device_train_batch_size
        made = [
            Dataset.from_list(judged([one for _, one in some], at_once, context.seed))
            if some
            else None
            for some in (pairs.train, pairs.held_out)
        ]
        return TokenKTOTrainer(
            model=model,
            ref_model=reference,
            args=arguments,
            train_dataset=made[0],
            eval_dataset=made[1],
            processing_class=tokenizer,
            peft_config=self.adapter(),
        )


def judged(pairs: Sequence[TokenPair], at_once: int, seed: int) -> list[Row]:
    """Return the replies of pairs one by one, in an order that the seed decides.

    The divergence of a batch is estimated on its prompts with each other's replies (Ethayarajh
    et al. 2024, section 4.1): every row holds the reply of the row before it in its batch.

    Args:
        pairs: any number.
        at_once: rows in a forward pass, which are consecutive ones.
        seed: of the order.
    """
    rows = [
        {"prompt_ids": pair.prompt, "completion_ids": reply, "label": good}
        for pair in pairs
        for reply, good in ((pair.chosen, True), (pair.rejected, False))
    ]
    random.Random(f"judged/{seed}").shuffle(rows)
    for first in range(0, len(rows), at_once):
        batch = rows[first : first + at_once]
        for n, row in enumerate(batch):
            row["KL_completion_ids"] = batch[n - 1]["completion_ids"]
    return rows
