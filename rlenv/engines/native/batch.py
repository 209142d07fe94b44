"""Conversations that are decoded together: which rows there are, and what each has read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from rlenv.engines.native.attention import Prompt, ReadPrompts, ReadToken, ReadTurn, additive
from rlenv.engines.native.cache import Own, PromptGroups, Segment, exchange, swaps
from rlenv.engines.native.model import Attend, Decoder

_TOKENS = 8192  # in one pass over prompts or turns: bounds what its activations take


class DecodingBatch:
    """Rows that continue prompts, several a prompt.

    Rows that run come first: one that has finished changes places with the last that runs, and
    `keep` says how the rows are numbered now.

    Args:
        decoder: the model.
        prompts: token ids, all different.
        group: (rows,) the number of each row's prompt.
        keep: rows that finish are kept for a later turn.

    Attributes:
        shrink_below: changing places pays off once a smaller share of the rows runs.
        logits: (rows, V), of what follows each row now.
        rows: for each place, the row that was there when the turn began.
    """

    shrink_below = 0.9

    def __init__(
        self, decoder: Decoder, prompts: Sequence[Sequence[int]], group: np.ndarray, *, keep: bool
    ) -> None:
        self.decoder = decoder
        self.shape = decoder.shape
        self._lengths = np.array([len(prompt) for prompt in prompts])
        self._prompts = Segment(
            self.shape.empty(len(prompts), int(self._lengths.max())), len(prompts)
        )
        self._prompt: Prompt
        self._positions: Tensor  # (rows,) of the token to come
        self._padding: Tensor | None
        logits = self._read_prompts(prompts)
        self._group = group
        self._start = np.zeros(len(group), dtype=np.int64)  # each row's first own column
        self._begin(Own(self.shape, len(group), keep=keep))
        self.logits = logits[self._put(group)]

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token to each row; return the logits (rows, V) that follow."""
        column = self._own.next()
        self.decoder.prepare(self._furthest + 1)
        self._furthest += 1
        read = ReadToken(
            self.decoder, self._prompt, self._own, column, self._padding, self._positions
        )
        hidden = self.decoder.forward(tokens, self._positions, read.attend)
        self._positions = self._positions + 1
        return self.decoder.logits(hidden)

    def keep(self, running: np.ndarray) -> np.ndarray:
        """Let rows go.

        Args:
            running: (rows,) which stay.

        Returns:
            For each row from now on, its number before.
        """
        some, others = swaps(running)
        order = np.arange(int(running.sum()))
        order[some] = others
        for array in (self.rows, self._group, self._start):
            exchange(array, some, others)
        self._own.shrink(len(order), self._put(some), self._put(others))
        self._arrange()
        return order

    def go_on(self, rows: Sequence[int], read: Sequence[int], new: Sequence[Sequence[int]]) -> None:
        """Begin another turn.

        Args:
            rows: which take part, by their numbers at the beginning of the last turn; they are
                numbered anew, in this order.
            read: how many tokens each has read.
            new: tokens to read before it replies, at least one each.
        """
        places = np.array([self._place(row) for row in rows])
        group = self._group[places]
        news = np.array([len(ids) for ids in new])
        olds = np.array(read) - self._lengths[group]
        width = int((olds + news).max())
        history = self.shape.empty(len(rows), width)
        for n, (place, old) in enumerate(zip(places, olds, strict=True)):
            first = width - news[n] - old
            self._own.copy(place, self._start[place], history[:, :, n, :, first : first + old])
        self._group, self._start = group, width - news - olds
        self._begin(Own(self.shape, len(rows), keep=self._own.keep, history=history))
        self.logits = self._read_turn(history, new, news, np.array(read))

    @property
    def bytes(self) -> int:
        """What the cache takes."""
        return self._own.bytes + self._prompts.kv.nbytes

    def _begin(self, own: Own) -> None:
        self._own = own
        self.rows = np.arange(own.live)
        self._seen = len(self._lengths)  # prompts that come first and are read
        self._arrange()

    def _place(self, row: int) -> int:
        return int(np.flatnonzero(self.rows == row)[0])

    def _arrange(self) -> None:
        """Take down what follows from which rows run where."""
        live = self._own.live
        used = np.bincount(self._group[:live], minlength=self._seen) > 0
        if used.sum() < self.shrink_below * len(used):
            some, others = swaps(used)
            self._prompts.swap(self._put(some), self._put(others))
            exchange(self._lengths, some, others)
            number = np.arange(len(self._lengths))
            exchange(number, some, others)  # its own inverse
            self._group = number[self._group]
            self._seen = int(used.sum())
        self._prompts.look(self._seen)
        group, start = self._group[:live], self._start[:live]
        self._prompt = self._prompt_of(group)
        positions = self._lengths[group] + self._own.length - start
        self._furthest = int(positions.max())
        self._positions = self._put(positions)
        self._padding = None
        if start.any():  # then there is a history
            columns = torch.arange(self._own.segments[0].columns, device=self.decoder.device)
            padding = columns < self._put(start)[:, None]
            self._padding = additive(padding[:, None, None, None])

    def _prompt_of(self, group: np.ndarray) -> Prompt:
        lengths = self._put(self._lengths[: self._seen])
        return Prompt(
            self._prompts, lengths, PromptGroups.of(group, self._seen, self.decoder.device)
        )

    def _read_prompts(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Compute the prompts' keys and values; return the logits after each."""
        order = np.argsort(self._lengths, kind="stable")  # the least padding
        logits = []
        for part in _parts(self._lengths[order]):
            rows = order[part]
            longest = int(self._lengths[rows].max())
            ids = torch.tensor([[*prompts[r], *[0] * (longest - len(prompts[r]))] for r in rows])
            read = ReadPrompts(self.decoder, self._prompts.kv, self._put(rows), longest)
            positions = torch.arange(longest).expand(len(rows), -1)
            hidden = self._forward(ids, positions, read.attend)
            last = torch.from_numpy(self._lengths[rows] - 1)[:, None, None]
            hidden = hidden.take_along_dim(last.to(hidden.device), 1)[:, 0]
            logits.append(self.decoder.logits(hidden))
        return torch.cat(logits)[self._put(np.argsort(order))]

    def _read_turn(
        self, history: Tensor, new: Sequence[Sequence[int]], news: np.ndarray, read: np.ndarray
    ) -> Tensor:
        """Compute the keys and values of what is new in a turn; return the logits after it."""
        logits = []
        for part in _parts(news):
            longest = int(news[part].max())
            ids = torch.tensor([[*[0] * (longest - len(row)), *row] for row in new[part]])
            ends = torch.from_numpy((read + news)[part])
            positions = (ends[:, None] - longest + torch.arange(longest)).clamp(min=0)
            turn = ReadTurn(
                self.decoder,
                self._prompt_of(self._group[part]),
                history[:, :, part],
                self._put(self._start[part]),
                self._put(news[part]),
                positions.to(self.decoder.device),
            )
            hidden = self._forward(ids, positions, turn.attend)
            logits.append(self.decoder.logits(hidden[:, -1]))
        return torch.cat(logits)

    def _forward(self, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Return hidden states (B, S, width) of tokens (B, S)."""
        self.decoder.prepare(int(positions.max()) + 1)
        device = self.decoder.device
        flat = self.decoder.forward(
            ids.flatten().to(device), positions.flatten().to(device), attend
        )
        hidden: Tensor = flat.unflatten(0, ids.shape)
        return hidden

    def _put(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.decoder.device)


def _parts(lengths: np.ndarray) -> Iterator[slice]:
    """Cut rows into runs that take at most so many tokens, padding counted."""
    first = 0
    while first < len(lengths):
        padded = np.maximum.accumulate(lengths[first:]) * np.arange(1, len(lengths) - first + 1)
        count = max(1, int(np.searchsorted(padded, _TOKENS, side="right")))
        yield slice(first, first + count)
        first += count
