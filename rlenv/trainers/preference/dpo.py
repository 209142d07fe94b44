"""Stage `dpo`: direct preference optimization and its family, by TRL's `DPOTrainer`.

    loss = -log sigmoid(beta (log p(chosen) / q(chosen) - log p(rejected) / q(rejected)))

for the policy p and the reference q (Rafailov et al. 2023, eq. 7); other losses by their names.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from rlenv.common.errors import UserError, did_you_mean
from rlenv.trainers.common import trl_stage
from rlenv.trainers.common.trl_stage import SubContext
from rlenv.trainers.preference import tokens
from rlenv.trainers.preference.data import Gathered
from rlenv.trainers.preference.direct import DirectSettings, DirectStage, on_tokens

# name in TRL -> where it comes from
LOSSES = {
    "sigmoid": "DPO (Rafailov et al. 2023)",
    "sigmoid_norm": "DPO on means over tokens, as in SimPO but with a reference (Meng et al. 2024)",
    "hinge": "SLiC (Zhao et al. 2023)",
    "ipo": "IPO (Azar et al. 2023)",
    "robust": "robust DPO, for labels that are wrong at times (Chowdhury et al. 2024)",
    "exo_pair": "EXO (Ji et al. 2024)",
    "nca_pair": "NCA (Chen et al. 2024)",
    "bco_pair": "BCO (Jung et al. 2024)",
    "sppo_hard": "SPPO (Wu et al. 2024)",
    "apo_zero": "APO-zero, for chosen replies better than the policy's (D'Oosterlinck et al. 2024)",
    "apo_down": "APO-down, for chosen replies worse than the policy's (D'Oosterlinck et al. 2024)",
    "aot": "AOT, on sorted pairs (Melnyk et al. 2024)",
    "aot_unpaired": "AOT, on sorted replies (Melnyk et al. 2024)",
    "discopop": "DiscoPOP (Lu et al. 2024)",
    "sft": "the likelihood of the chosen replies, to be mixed with others (Pang et al. 2024)",
}


class DPOSettings(DirectSettings):
    """Settings of the stage.

    Attributes:
        loss: the name of a loss in `LOSSES`, or a mapping from several to their weights.
        label_smoothing: how often the labels are taken to be wrong, for `robust` and `exo_pair`
            (which needs some, 0.001 is usual) and `aot`.
    """

    loss: str | dict[str, float] = "sigmoid"
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)

    @field_validator("loss")
    @classmethod
    def _known(cls, loss: str | dict[str, float]) -> str | dict[str, float]:
        for name in [loss] if isinstance(loss, str) else loss:
            if name not in LOSSES:
                raise UserError(
                    f"dpo has no loss {name!r}; there are {', '.join(LOSSES)}."
                    f"{did_you_mean(name, LOSSES)}"
                )
        return loss

    @property
    def weights(self) -> dict[str, float]:
        """The losses and their weights."""
        return {self.loss: 1.0} if isinstance(self.loss, str) else self.loss


class DPOStage(DirectStage[DPOSettings]):
    """Fit a policy to pairs."""

    Settings = DPOSettings

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        losses = " + ".join(s.weights)
        rounds = "" if s.rounds == 1 else f", {s.rounds} rounds"
        return f"{losses} on {s.data.words()}{rounds}", f"{self.steps()} steps"

    def make_trainer(
        self, context: SubContext, model: Any, reference: Any, tokenizer: Any, pairs: Gathered
    ) -> Any:
        """See `DirectStage.make_trainer`."""
        from datasets import Dataset
        from trl import DPOConfig, DPOTrainer

        s = self.settings
        made = [
            Dataset.from_list([tokens.for_dpo(one) for _, one in some]) if some else None
            for some in (pairs.train, pairs.held_out)
        ]
        return on_tokens(DPOTrainer)(
            model=model,
            ref_model=reference,
            args=trl_stage.arguments(
                DPOConfig,
                context,
                s,
                loss_type=list(s.weights),
                loss_weights=list(s.weights.values()),
                label_smoothing=s.label_smoothing,
                **self.common(),
            ),
            train_dataset=made[0],
            eval_dataset=made[1],
            processing_class=tokenizer,
            peft_config=self.adapter(),
        )
