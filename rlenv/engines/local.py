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

_DRAWS = 64  # positions whose random numbers are made at a time


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
    """

    def __init__(self, requests: Sequence[Request], sampling: Sampling, stops: Stops) -> None:
        count = len(requests)
        self._sampling, self._stops = sampling, stops
        self._limits = np.array([request.limit(sampling) for request in requests])
        self._seeds = np.array([request.seed for request in requests], dtype=np.uint64)
        self._draws = torch.empty(count, 0)
        self._row = np.arange(count)  # for each row that is decoded, its request
        self._steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._lengths = np.zeros(count, dtype=np.int64)
        self._stopped = np.zeros(count, dtype=bool)
        self.running = np.ones(count, dtype=bool)

    def next(self, logits: Tensor) -> Tensor:
        """Choose the next token of each row (rows,), given the logits (rows, V)."""
        position = len(self._steps)
        if position % _DRAWS == 0:
            self._draws = uniforms(self._seeds, _DRAWS, start=position)
        uniform = self._draws[:, position % _DRAWS][torch.from_numpy(self._row)]
        tokens, logprobs = choose(logits, self._sampling, uniform.to(logits.device))
        ids = tokens.cpu().numpy()
        self._steps.append((self._row, ids, logprobs.cpu().numpy()))
        stopped = self._stops.ended(ids)
        if self._sampling.stop:
            for n in np.flatnonzero(self.running & ~stopped):
                stopped[n] = self._stops.may_close(int(ids[n])) and self._stops.said(
                    self._said(self._row[n])
                )
        ended = self.running & (stopped | (self._limits[self._row] == position + 1))
        if ended.any():
            self._lengths[self._row[ended]] = position + 1
            self._stopped[self._row[ended]] = stopped[ended]
            self.running = self.running & ~ended
        return tokens

    def keep(self, rows: np.ndarray) -> None:
        """Go on with some rows only, in the order given."""
        self._row, self.running = self._row[rows], self.running[rows]

    def _said(self, request: int) -> list[int]:
        return [int(ids[rows == request][0]) for rows, ids, _ in self._steps]

    def completions(self) -> list[Completion]:
        """Return what was sampled, one a request."""
        tokens = np.zeros((len(self._lengths), len(self._steps)), dtype=np.int64)
        logprobs = np.zeros(tokens.shape, dtype=np.float32)
        for position, (rows, ids, values) in enumerate(self._steps):
            tokens[rows, position] = ids
            logprobs[rows, position] = values
        return [
            Completion(tokens[n, :length].tolist(), logprobs[n, :length].tolist(), bool(stopped))
            for n, (length, stopped) in enumerate(zip(self._lengths, self._stopped, strict=True))
        ]


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


def decode(rows: Rows, sampler: Sampler) -> list[Completion]:
    """Sample until every row has ended."""
    logits = rows.logits
    while True:
        tokens = sampler.next(logits)
        left = int(sampler.running.sum())
        if left == 0:
            return sampler.completions()
        if left < rows.shrink_below * len(sampler.running):
            kept = rows.keep(sampler.running)
            sampler.keep(kept)
            tokens = tokens[torch.from_numpy(kept).to(tokens.device)]
        logits = rows.step(tokens)
