"""What a model is asked about a text: the next token, masked tokens, or corrupted spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

from rlenv.trainers.pretraining import spans
from rlenv.trainers.pretraining.rows import NO_LABEL, PackedRows, next_token, pieces_of

ObjectiveName = Literal["causal", "masked", "spans"]
Tokens = NDArray[np.int32]
Owners = NDArray[np.int64]

_MASK = "<|mask|>"


class Objective(Protocol):
    """Makes rows of what was cut from streams.

    Attributes:
        generates: the model learns to go on with a text, so that it can be sampled from, and bits
            per byte can be told.
    """

    generates: bool

    def draws(self, length: int) -> int:
        """Return how many tokens to cut for a row of so many."""

    def rows(self, tokens: Tokens, documents: Owners, rng: np.random.Generator) -> PackedRows:
        """Make rows.

        Args:
            tokens: (B, T + 1), of which the last is the first of the source's next row.
            documents: (B, T + 1) number of the document of each.
            rng: for what is drawn at random.
        """


def make(
    name: ObjectiveName, tokenizer: Any, *, length: int, corruption: float, span: float
) -> Objective:
    """Return an objective, after adding the tokens that it needs to the tokenizer.

    Args:
        name: which.
        tokenizer: of the model that will be built.
        length: tokens a row.
        corruption: share of the tokens that `masked` and `spans` ask for.
        span: mean length of the spans.
    """
    if name == "causal":
        return Causal()
    if name == "masked":
        if tokenizer.mask_token_id is None:
            tokenizer.add_special_tokens({"mask_token": _MASK})
        special = set(tokenizer.all_special_ids)
        ordinary = [n for n in range(len(tokenizer)) if n not in special]
        return Masked(tokenizer.mask_token_id, np.array(ordinary), corruption)
    noise = spans.Noise(corruption, span)
    names = [f"<|span-{number}|>" for number in range(noise.counts(length)[1])]
    tokenizer.add_tokens(names, special_tokens=True)
    sentinels = np.array(tokenizer.convert_tokens_to_ids(names))
    return Spans(spans.Form(noise, sentinels, tokenizer.eos_token_id, length))


class Causal:
    """Each token is asked for the next one."""

    generates = True

    def draws(self, length: int) -> int:
        """See `Objective.draws`."""
        return length + 1

    def rows(self, tokens: Tokens, documents: Owners, rng: np.random.Generator) -> PackedRows:
        """See `Objective.rows`."""
        return next_token(tokens, documents)


@dataclass(frozen=True)
class Masked:
    """Some tokens are asked for, and every token sees its whole piece (Devlin et al. 2019, 3.1).

    Of those asked for, 80% are hidden behind the mask token, 10% are another token, and 10% stay:
    the model can't know which of the tokens that it sees it will be asked about.

    Attributes:
        mask: the mask token.
        ordinary: the tokens that may be asked for, and put in the place of others.
        share: how many of them are asked for.
    """

    mask: int
    ordinary: NDArray[np.int64]
    share: float
    generates = False

    def draws(self, length: int) -> int:
        """See `Objective.draws`."""
        return length + 1

    def rows(self, tokens: Tokens, documents: Owners, rng: np.random.Generator) -> PackedRows:
        """See `Objective.rows`."""
        ids = tokens[:, :-1].astype(np.int64)
        pieces, positions = pieces_of(torch.from_numpy(documents[:, :-1]))
        # what stands alone has nothing to be told from, or only fills a row
        alone = (positions == 0) & (F.pad(positions, (0, 1))[:, 1:] == 0)
        asked = (rng.random(ids.shape) < self.share) & np.isin(ids, self.ordinary) & ~alone.numpy()
        fate = rng.random(ids.shape)
        others = rng.choice(self.ordinary, ids.shape)
        shown = np.where(asked & (fate < 0.8), self.mask, ids)
        shown = np.where(asked & (fate >= 0.8) & (fate < 0.9), others, shown)
        labels = np.where(asked, ids, NO_LABEL)
        return PackedRows(
            torch.from_numpy(shown), torch.from_numpy(labels), positions, pieces, causal=False
        )


@dataclass(frozen=True)
class Spans:
    """Spans are cut out of a piece and asked for after it, see `spans`.

    Attributes:
        form: how much is cut out, and what stands for it.
    """

    form: spans.Form
    generates = False

    def draws(self, length: int) -> int:
        """See `Objective.draws`: as many as fit when they are one piece, with all that is added."""
        return self.form.noise.longest(length) + 1

    def rows(self, tokens: Tokens, documents: Owners, rng: np.random.Generator) -> PackedRows:
        """See `Objective.rows`. What does not fit into a row of several pieces is left out."""
        packed = [
            spans.pack(ids[:-1], owners[:-1], self.form, rng)
            for ids, owners in zip(tokens, documents, strict=True)
        ]
        ids, labels, owners, prefix = (
            torch.from_numpy(np.stack(part)) for part in zip(*packed, strict=True)
        )
        pieces, positions = pieces_of(owners)
        return PackedRows(ids, labels, positions, pieces, prefix=prefix)
