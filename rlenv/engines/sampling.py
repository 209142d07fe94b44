"""Sampling: filters, seeded draws, the logprobs of what was drawn from, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rlenv.engines.base import Completion, Request, Sampling

_BLOCK = 64  # positions for which there is room, and random numbers, made at a time
_RUN = 32  # tokens whose probabilities are added up at a time
_BELOW_ONE = 1 - 2.0**-23
_LIKELY = 256  # a nucleus is mostly smaller, and finding so many costs less than sorting all


def uniforms(seeds: Sequence[int] | np.ndarray, length: int, start: int = 0) -> Tensor:
    """Return numbers in [0, 1) that depend on seed and position alone.

    Args:
        seeds: one a row.
        length: how many positions.
        start: the first position.

    Returns:
        float32 (len(seeds), length), from a counter hashed by splitmix64.
    """
    first = np.asarray(seeds, dtype=np.uint64)[:, None]
    steps = np.arange(start + 1, start + length + 1, dtype=np.uint64)[None, :]
    with np.errstate(over="ignore"):
        bits = first + steps * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits ^= bits >> np.uint64(31)
    # 24 bits are what a float32 holds exactly, so the result never rounds up to 1
    return torch.from_numpy(((bits >> np.uint64(40)) / np.float64(1 << 24)).astype(np.float32))


def distribution(logits: Tensor, sampling: Sampling) -> Tensor:
    """Return the probabilities that are sampled with.

    Args:
        logits: (B, V).
        sampling: temperature above 0, top_k, top_p, min_p, applied in this order.

    Returns:
        (B, V) float32; 0 where a filter removed the token.
    """
    logits = logits.float()
    if sampling.temperature != 1.0:
        logits = logits / sampling.temperature
    shares = logits.softmax(-1)
    top_k = 0 < sampling.top_k < logits.shape[-1]
    if not top_k and sampling.top_p == 1.0 and sampling.min_p == 0.0:
        return shares
    floor = torch.zeros_like(shares[:, :1])  # what is less likely is removed
    if top_k:
        floor = shares.topk(sampling.top_k, dim=-1).values[:, -1:]
    if sampling.top_p < 1.0:
        last = _least_likely(_at_least(floor, shares), sampling.top_p)
        floor = floor.maximum(shares.gather(-1, last))
    if sampling.min_p > 0.0:
        floor = floor.maximum(shares.amax(-1, keepdim=True) * sampling.min_p)
    return _at_least(floor, shares)


def _at_least(floor: Tensor, shares: Tensor) -> Tensor:
    """Return the distribution (B, V) of what is no less likely than a floor (B, 1)."""
    kept = shares.masked_fill(shares < floor, 0.0)
    return kept / kept.sum(-1, keepdim=True)


def _least_likely(shares: Tensor, top_p: float) -> Tensor:
    """Return the last token (B, 1) of the nucleus, which holds `top_p` of the probability."""
    vocabulary = shares.shape[-1]
    for width in (min(_LIKELY, vocabulary), vocabulary):
        largest, order = shares.topk(width, dim=-1)
        held = largest.cumsum(-1)
        if width == vocabulary or bool((held[:, -1] >= top_p).all()):
            break
    # the nucleus ends with the first token that brings what is held to top_p
    last = (held < top_p).sum(-1, keepdim=True).clamp(max=width - 1)
    return order.gather(-1, last)


def choose(logits: Tensor, sampling: Sampling, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Choose a token a row by inverting the cumulative distribution.

    Args:
        logits: (B, V).
        sampling: how to sample.
        uniform: (B,) numbers in [0, 1).

    Returns:
        token ids (B,) and their logprobs (B,).
    """
    if sampling.temperature == 0:
        logprobs = logits.float().log_softmax(-1)
        tokens = logits.argmax(-1, keepdim=True)
        return tokens[:, 0], logprobs.gather(-1, tokens)[:, 0]
    shares = distribution(logits, sampling)
    tokens = _invert(shares, uniform[:, None])
    return tokens[:, 0], shares.gather(-1, tokens)[:, 0].log()


def _invert(shares: Tensor, uniform: Tensor) -> Tensor:
    """Return the tokens (B, 1) that hold given places (B, 1) of distributions (B, V).

    Adding up the vocabulary would take longer than all else that choosing does; so the place is
    looked for among sums over runs of tokens, then in one run.
    """
    missing = -shares.shape[-1] % _RUN
    runs = (F.pad(shares, (0, missing)) if missing else shares).unflatten(-1, (-1, _RUN))
    run, left = _place(runs.sum(-1), uniform)
    within, _ = _place(runs.take_along_dim(run[:, :, None], 1)[:, 0], left)
    return run * _RUN + within


def _place(weights: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Find where the sum of weights (B, N) from the first on exceeds a target (B, 1).

    Returns:
        the place (B, 1), always one with some weight, and how much of it the target takes (B, 1).
    """
    upto = weights.cumsum(-1)
    target = target.minimum(upto[:, -1:] * _BELOW_ONE)  # rounding must not lead beyond the end
    place = torch.searchsorted(upto, target, right=True)
    left = target - upto.gather(-1, place) + weights.gather(-1, place)
    return place, left.clamp_(min=0.0)


class Stops:
    """Stop tokens and stop texts.

    Args:
        ids: tokens that end a completion.
        texts: texts that end it.
        tokenizer: to read texts with.

    Raises:
        ValueError: there are texts but no tokenizer.
    """

    def __init__(
        self, ids: Sequence[int], texts: Sequence[str] = (), tokenizer: Any = None
    ) -> None:
        if texts and tokenizer is None:
            raise ValueError("an engine needs a tokenizer to stop at a text")
        self._ids = np.array(sorted(ids), dtype=np.int64)
        self._texts = texts
        self._tokenizer = tokenizer
        self._closes: dict[int, bool] = {}  # whether a token can be the last of a stop text

    def ended(self, tokens: np.ndarray) -> np.ndarray:
        """Return which of the newest tokens (B,) are stop tokens."""
        if len(self._ids) == 1:
            ended: np.ndarray = tokens == self._ids[0]
            return ended
        return np.isin(tokens, self._ids)

    def may_close(self, token: int) -> bool:
        """Return whether a token may be the last of a stop text."""
        if not self._texts:
            return False
        if token not in self._closes:
            text = self._tokenizer.decode([token])
            # a token of a few bytes shows as a replacement character and may be part of anything
            self._closes[token] = "\ufffd" in text or any(t[-1] in text for t in self._texts)
        return self._closes[token]

    def said(self, ids: Sequence[int]) -> bool:
        """Return whether a completion holds a stop text."""
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        return any(stop in text for stop in self._texts)


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
