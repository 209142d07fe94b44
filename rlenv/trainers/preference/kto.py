"""Stage `kto`: Kahneman-Tversky optimization, by TRL's `KTOTrainer`.

Each reply is judged by itself, as good or bad, against what the policy gains on average
(Ethayarajh et al. 2024, eq. 8). Rows with labels are such replies, and so are the chosen and the
rejected replies of pairs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator

from rlenv.models import checkpoint
from rlenv.trainers.common import trl_stage
from rlenv.trainers.common.trl_stage import SubContext
from rlenv.trainers.preference import data
from rlenv.trainers.preference.data import Gathered, ReplyData
from rlenv.trainers.preference.direct import DirectSettings, DirectStage, on_tokens
from rlenv.trainers.preference.tokens import Row, TokenReply, apart

# good n_good : bad n_bad, the smallest and the largest advised (Ethayarajh et al. 2024)
_BALANCE = (1.0, 4 / 3)


class KTOSettings(DirectSettings):
    """Settings of the stage.

    Attributes:
        data: the replies, in pairs or with labels.
        good, bad: weights of the losses of good and of bad replies.
    """

    data: ReplyData
    good: float = Field(1.0, gt=0)
    bad: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _not_alone(self) -> KTOSettings:
        if -(-self.batch_size // self.accumulate) < 2:
            raise ValueError(
                "kto needs two rows or more in a forward pass, which is batch_size / accumulate: "
                "it estimates the divergence on prompts with each other's replies"
            )
        return self


class KTOStage(DirectStage[KTOSettings]):
    """Fit a policy to good and bad replies."""

    Settings = KTOSettings

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        rounds = "" if s.rounds == 1 else f", {s.rounds} rounds"
        return f"KTO on {s.data.words()}{rounds}", f"{self.steps()} steps"

    def steps(self) -> int:
        """See `Stage.steps`."""
        s = self.settings
        return s.rounds * s.steps(data.expected_replies(s.data))

    def make_trainer(
        self, context: SubContext, model: Any, reference: Any, tokenizer: Any, pairs: Gathered
    ) -> Any:
        """See `DirectStage.make_trainer`."""
        from datasets import Dataset
        from trl import KTOConfig, KTOTrainer

        s = self.settings
        arguments = trl_stage.arguments(
            KTOConfig,
            context,
            s,
            desirable_weight=s.good,
            undesirable_weight=s.bad,
            # a prompt with the reply to another one may be longer than the context
            **{**self.common(), "max_length": checkpoint.context_length(model, tokenizer)},
        )
        train = pairs.labelled or apart([one for _, one in pairs.train])
        held_out = pairs.labelled_held_out or apart([one for _, one in pairs.held_out])
        self._say_balance(context, train)
        rows = judged(train, arguments.per_device_train_batch_size, context.seed)
        measured = judged(
            spread(held_out, context.seed),
            arguments.per_device_eval_batch_size,
            None,
            spare=train[0].reply,
        )
        return on_tokens(KTOTrainer)(
            model=model,
            ref_model=reference,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            eval_dataset=Dataset.from_list(measured) if measured else None,
            processing_class=tokenizer,
            peft_config=self.adapter(),
        )

    def _say_balance(self, context: SubContext, train: Sequence[TokenReply]) -> None:
        """Tell the user if good or bad replies weigh more in the loss than is advised."""
        s = self.settings
        good = sum(one.good for one in train)
        bad = len(train) - good
        low, high = _BALANCE
        if not 0.99 * low <= s.good * good / (s.bad * bad) <= 1.01 * high:
            even, other = s.bad * bad / good, s.good * good / bad
            context.display.say(
                f"{context.stage:<9} {good:,} good replies and {bad:,} bad ones: advised is a "
                f"weight good from {low * even:.3g} to {high * even:.3g}, or a weight bad from "
                f"{other / high:.3g} to {other / low:.3g}"
            )


def judged(
    replies: Sequence[TokenReply],
    at_once: int,
    seed: int | None,
    *,
    spare: list[int] | None = None,
) -> list[Row]:
    """Return rows for `KTOTrainer`, in an order that the seed decides.

    The divergence of a batch is estimated on its prompts with each other's replies (Ethayarajh
    et al. 2024, section 4.1): every row holds the reply of the row before it in its batch. A row
    alone in the last batch holds that of the batch before.

    Args:
        replies: any number.
        at_once: rows in a forward pass, which are consecutive ones.
        seed: of the order; None keeps that of the replies.
        spare: a reply to another prompt, for a row that is alone altogether.
    """
    rows = [
        {"prompt_ids": one.prompt, "completion_ids": one.reply, "label": one.good}
        for one in replies
    ]
    if seed is not None:
        random.Random(f"judged/{seed}").shuffle(rows)
    for first in range(0, len(rows), at_once):
        batch = rows[first : first + at_once]
        for n, row in enumerate(batch):
            row["KL_completion_ids"] = batch[n - 1]["completion_ids"]
        if len(batch) == 1:
            before = rows[first - 1]["completion_ids"] if first else spare
            batch[0]["KL_completion_ids"] = before or batch[0]["completion_ids"]
    return rows


def spread(replies: Sequence[TokenReply], seed: int) -> list[TokenReply]:
    """Return replies in an order in which every stretch has its share of good and of bad ones.

    TRL averages what it measures over batches, and a batch of one kind has no margin.

    Args:
        replies: any number.
        seed: of the order within each kind.
    """
    rng = random.Random(f"spread/{seed}")
    places = []
    for good in (True, False):
        kind = [one for one in replies if one.good is good]
        rng.shuffle(kind)
        places += [((n + 0.5) / len(kind), one) for n, one in enumerate(kind)]
    return [one for _, one in sorted(places, key=lambda placed: placed[0])]
