"""What engines that run the model in this process have in common: one token after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rlenv.engines.base import Completion, Request, Sampling
from rlenv.engines.sampling import choose, uniforms
from rlenv.engines.stops import Stops

_BLOCK = 64  # positions for which there is room, and random numbers, made at a time


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put a model into evaluation mode, and back as it was."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()


class Sampler:
    """Chooses the tokens of completions, position by position, and takes them down.

    Args:
        requests: one a row.
        sampling: how to sample.
        stops: what ends a completion.

    Attributes:
        running: (rows,) which completions go on.
        ended: the requests whose completions ended at the last position.
    """

    def __init__(self, requests: Sequence[Request], sampling: Sampling, stops: Stops) -> None:
        count = len(requests)
        self._sampling, self._stops = sampling, stops
        self._limits = np.array([request.limit(sampling) for request in requests])
        self._seeds = np.array([request.seed for request in requests], dtype=np.uint64)
        self._row = np.arange(count)  # for each row that is decoded, its request
        self._position = 0
        # blocks of _BLOCK positions: random numbers to draw with, and by request what was drawn
        self._draws = torch.empty(count, 0)
        self._ids: list[np.ndarray] = []
        self._logprobs: list[np.ndarray] = []
        self._lengths = np.zeros(count, dtype=np.int64)
        self._stopped = np.zeros(count, dtype=bool)
        self.running = np.ones(count, dtype=bool)
        self.ended: list[int] = []

    def next(self, logits: Tensor) -> Tensor:
        """Choose the next token of each row (rows,), given the logits (rows, V)."""
        column = self._position % _BLOCK
        if column == 0:
            self._draws = uniforms(self._seeds, _BLOCK, start=self._position)
            shape = (len(self._seeds), _BLOCK)
            self._ids.append(np.zeros(shape, dtype=np.int64))
            self._logprobs.append(np.zeros(shape, dtype=np.float32))
        uniform = self._draws[:, column][torch.from_numpy(self._row)]
        tokens, logprobs = choose(logits, self._sampling, uniform.to(logits.device))
        ids = tokens.cpu().numpy()
        self._ids[-1][self._row, column] = ids
        self._logprobs[-1][self._row, column] = logprobs.cpu().numpy()
        self._position += 1
        stopped = self._stops.ended(ids)
        if self._sampling.stop:
            for n in np.flatnonzero(self.running & ~stopped):
                stopped[n] = self._stops.may_close(int(ids[n])) and self._stops.said(
                    _said(self._ids, self._row[n], self._position)
                )
        ended = self.running & (stopped | (self._limits[self._row] == self._position))
        requests = self._row[ended]
        self._lengths[requests] = self._position
        self._stopped[requests] = stopped[ended]
        self.running = self.running & ~ended
        self.ended = requests.tolist()
        return tokens

    def keep(self, rows: np.ndarray) -> None:
        """Go on with some rows only, in the order given."""
        self._row, self.running = self._row[rows], self.running[rows]

    def completion(self, request: int) -> Completion:
        """Return what was sampled for a request, which has ended."""
        length = int(self._lengths[request])
        return Completion(
            _said(self._ids, request, length),
            _said(self._logprobs, request, length),
            bool(self._stopped[request]),
        )


def _said(blocks: Sequence[np.ndarray], request: int, length: int) -> list[Any]:
    """Read the first positions of a request out of blocks of (requests, _BLOCK)."""
    return [value for block in blocks for value in block[request].tolist()][:length]


class Rows(Protocol):
    """Conversations that are decoded together.

    Attributes:
        shrink_below: letting rows go pays off once a smaller share of them runs.
        logits: (rows, V), of what follows each row now.
    """

    shrink_below: float
    logits: Tensor

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token (rows,) to each row; return the logits (rows, V) that follow."""
        ...

    def keep(self, running: np.ndarray) -> np.ndarray:
        """Let go of all rows but those that run; return the old number of each new row."""
        ...


def decode(rows: Rows, sampler: Sampler) -> Iterator[tuple[int, Completion]]:
    """Sample until every row has ended; yield requests' numbers and completions as they do."""
    logits = rows.logits
    while True:
        tokens = sampler.next(logits)
        for request in sampler.ended:
            yield request, sampler.completion(request)
        left = int(sampler.running.sum())
        if left == 0:
            return
        if left < rows.shrink_below * len(sampler.running):
            kept = rows.keep(sampler.running)
            sampler.keep(kept)
            tokens = tokens[torch.from_numpy(kept).to(tokens.device)]
        logits = rows.step(tokens)
