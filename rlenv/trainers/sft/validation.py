"""How a model does on what it is not fitted to, measured as it is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from rlenv.engines.local import evaluating
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.rollouts.rollout import EnvPool, play
from rlenv.run.stage import Context
from rlenv.trainers.common.validation import EvalSampling, figures
from rlenv.trainers.sft.batches import collate
from rlenv.trainers.sft.rows import IGNORED, TokenRow


class PolicyEvaluator:
    """Plays validation tasks with the model as it is.

    Args:
        context: of the stage.
        model: the policy; it is read live.
        chat: its chat format.
        tasks: how many tasks.
        max_tokens: of a reply, where `how` does not say.
        how: they are sampled, by default once each at temperature 1.
    """

    def __init__(
        self,
        context: Context,
        model: Any,
        chat: ChatFormat,
        *,
        tasks: int,
        max_tokens: int,
        how: EvalSampling | None = None,
    ) -> None:
        how = how or EvalSampling()
        self.pool = EnvPool(lambda: context.make_env("validation"))
        env = self.pool.take(1)[0]
        self.tasks, self.solved_at = env.tasks.distinct(tasks), env.solved_at
        self.engine = checkpoint.engine_for(model, chat)
        self.chat = chat
        self.samples = how.samples
        self.sampling = how.sampling(temperature=1.0, max_tokens=max_tokens)
        self.max_length = checkpoint.context_length(model, chat.tokenizer)
        self.seed = context.seed

    def metrics(self) -> dict[str, float]:
        """Play, and return `rlenv.trainers.common.validation.figures`."""
        groups = play(
            self.pool,
            self.engine,
            self.chat,
            self.tasks,
            samples=self.samples,
            sampling=self.sampling,
            seed=self.seed,
            max_length=self.max_length,
        )
        return figures(groups, self.solved_at)


@torch.no_grad()
def mean_loss(model: Any, rows: Sequence[TokenRow], pad: int, batch: int = 16) -> float:
    """Return the mean loss of the tokens that have a label, in nats.

    Args:
        model: a causal LM.
        rows: at least one token of them has a label.
        pad: the token to pad with.
        batch: rows at once.
    """
    total, count = 0.0, 0
    rows = sorted(rows, key=lambda row: len(row["input_ids"]))  # little padding
    device = next(model.parameters()).device
    with evaluating(model):
        for start in range(0, len(rows), batch):
            inputs = collate(rows[start : start + batch], pad)
            labels = inputs.pop("labels")[:, 1:].flatten().to(device)
            inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
            logits = model(**inputs, use_cache=False).logits[:, :-1].flatten(0, 1).float()
            total += float(F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum"))
            count += int((labels != IGNORED).sum())
    return total / count
