"""Learned reward models: checkpoints with a head that gives a conversation one score."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rlenv.common.errors import UserError
from rlenv.core.task import Message
from rlenv.engines.local import evaluating
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.models.checkpoint_folder import local_checkpoint
from rlenv.models.shared_backbone import AdapterScorer, SharedBackbone

MEMBER = "member-*"  # folders in a checkpoint that hold the other models of its ensemble
_TOKENS = 16_384  # in a forward pass, padding included


def check_checkpoint(source: str) -> None:
    """Check a reward model without loading its weights; a hub id is checked when it is loaded.

    Raises:
        UserError: a folder that is missing, holds no checkpoint, or one without a head.
    """
    local_checkpoint(source, needs_chat=True)
    path = Path(source).expanduser() / "config.json"
    if path.is_file():
        _check_head(source, json.loads(path.read_text(encoding="utf-8")).get("architectures"))


def load_scorer(source: str, device: str) -> tuple[Any, Any]:
    """Load a model with a head for one score, and its tokenizer.

    Raises:
        UserError: there is no such checkpoint, or it has no such head.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    check_checkpoint(source)
    chosen = checkpoint.pick_device(device)
    tokenizer = checkpoint.load_tokenizer(source)
    try:
        config = AutoConfig.from_pretrained(source)
        _check_head(source, config.architectures)
        model, found = AutoModelForSequenceClassification.from_pretrained(
            source, dtype="float32" if chosen == "cpu" else "auto", output_loading_info=True
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"no reward model could be loaded from {source}: {reason}") from None
    if found["missing_keys"]:
        raise UserError(
            f"{source} lacks weights of a reward model ({', '.join(sorted(found['missing_keys']))})"
            "; train one with a reward stage"
        )
    if model.config.num_labels != 1:
        raise UserError(
            f"{source} gives {model.config.num_labels} numbers, a reward model gives one score"
        )
    return model.to(chosen).eval(), tokenizer


class RewardModel:
    """One or several models that score conversations; several are an ensemble.

    Args:
        members: sequence classification models with one label.
        chat: how conversations become tokens, the same for all.
        source: where they came from, for messages.
    """

    def __init__(self, members: Sequence[Any], chat: ChatFormat, source: str) -> None:
        self.members = list(members)
        self.chat = chat
        self.source = source
        self.max_length = min(
            checkpoint.context_length(model, chat.tokenizer) for model in self.members
        )

    @classmethod
    def load(
        cls,
        sources: str | Sequence[str],
        *,
        device: str = "auto",
        backbone: SharedBackbone | None = None,
    ) -> RewardModel:
        """Load a checkpoint folder or hub id, or several as an ensemble.

        A folder that a reward stage left with several members is an ensemble by itself.

        Args:
            sources: where they are.
            device: where to compute, or `auto`.
            backbone: of a policy that is being trained. Models that were trained with adapters
                from the same checkpoint share it.

        Raises:
            UserError: one of them is no reward model, or their tokenizers differ.
        """
        named = [sources] if isinstance(sources, str) else list(sources)
        every = [one for source in named for one in members_of(source)]
        loaded = [_on(backbone, source) or load_scorer(source, device) for source in every]
        tokenizer = loaded[0][1]
        for source, (_, other) in zip(every[1:], loaded[1:], strict=True):
            check_same_tokenizer(tokenizer, every[0], other, source)
        return cls([model for model, _ in loaded], ChatFormat(tokenizer, every[0]), every[0])

    def tokens(self, messages: Sequence[Message], reply: str) -> list[int]:
        """Return the tokens of a conversation that ends in a reply, cut to what the models read.

        A reply that is too long loses its end, as it would have when it was sampled. What is no
        Unicode, such as half of a surrogate pair, becomes a question mark.
        """
        plain = reply.encode("utf-8", "replace").decode()
        return self.chat.solved(messages, plain)[0][: self.max_length]

    @torch.no_grad()
    def scores(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Score conversations, the long ones first and as many at once as fit.

        Args:
            sequences: N of them, as tokens.

        Returns:
            (M, N), a score of each member for each conversation, in float32 on the CPU.
        """
        found = torch.empty(len(self.members), len(sequences))
        for numbers in _batches([len(ids) for ids in sequences]):
            ids, mask = _padded([sequences[n] for n in numbers], self._pad)
            for row, model in enumerate(self.members):
                with evaluating(model):
                    out = model(
                        input_ids=ids.to(model.device),
                        attention_mask=mask.to(model.device),
                        use_cache=False,
                    )
                found[row, numbers] = out.logits[:, 0].float().cpu()
        return found

    @property
    def alive(self) -> bool:
        """Whether it can be used; a policy whose backbone it shares may be gone."""
        return all(model.alive for model in self.members if isinstance(model, AdapterScorer))

    def bytes(self) -> int:
        """Return how much memory the weights take that no policy shares."""
        own = (
            m.own_parameters() if isinstance(m, AdapterScorer) else m.parameters()
            for m in self.members
        )
        return sum(p.numel() * p.element_size() for weights in own for p in weights)

    @property
    def _pad(self) -> int:
        # the models look for the last token that is no padding, so this must be theirs
        return int(self.members[0].config.pad_token_id)


def _on(backbone: SharedBackbone | None, source: str) -> tuple[Any, Any] | None:
    """Return a reward model on a backbone, and its tokenizer, if the two go together."""
    check_checkpoint(source)
    scorer = None if backbone is None else backbone.acquire(source)
    return None if scorer is None else (scorer, checkpoint.load_tokenizer(source))


def members_of(source: str) -> list[str]:
    """Return the checkpoints of an ensemble that one folder holds, itself first."""
    folder = Path(source).expanduser()
    return [source, *map(str, sorted(folder.glob(MEMBER)))]


def check_same_tokenizer(ours: Any, our_source: str, theirs: Any, their_source: str) -> None:
    """Refuse two tokenizers that make different tokens of a conversation.

    Raises:
        UserError: their vocabularies or chat templates differ.
    """
    different = next(
        (
            name
            for name, same in (
                ("vocabulary", ours.get_vocab() == theirs.get_vocab()),
                ("chat template", ours.chat_template == theirs.chat_template),
            )
            if not same
        ),
        None,
    )
    if different is not None:
        raise UserError(
            f"{their_source} has another {different} than {our_source}; a reward model must be "
            "trained from a checkpoint with the same tokenizer"
        )


def _check_head(source: str, architectures: Sequence[str] | None) -> None:
    kinds = architectures or ["nothing"]
    if not any(kind.endswith("ForSequenceClassification") for kind in kinds):
        raise UserError(
            f"{source} has no head for a score (it is a {kinds[0]}); train a reward model from it "
            "with a reward stage"
        )


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of sequences of similar lengths that make one padded batch."""
    order = sorted(range(len(lengths)), key=lambda n: -lengths[n])
    batch: list[int] = []
    for n in order:
        longest = lengths[batch[0]] if batch else lengths[n]
        if batch and longest * (len(batch) + 1) > _TOKENS:
            yield batch
            batch = []
        batch.append(n)
    if batch:
        yield batch


def _padded(sequences: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Pad on the right; return ids and attention mask, each (rows, longest)."""
    longest = max(map(len, sequences))
    ids = torch.tensor([[*one, *[pad] * (longest - len(one))] for one in sequences])
    lengths = torch.tensor([len(one) for one in sequences])
    return ids, (torch.arange(longest) < lengths[:, None]).long()
