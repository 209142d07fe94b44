"""The engine: which requests are decoded together, and what is kept between turns."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from rlenv.common.errors import UserError
from rlenv.engines.base import Completion, Engine, EngineSetup, Request, Sampling, in_order
from rlenv.engines.local import InProcess, evaluating
from rlenv.engines.native.batch import DecodingBatch
from rlenv.engines.native.model import Decoder, unsupported
from rlenv.engines.sampling import Sampler, Stops


class NativeEngine(InProcess):
    """Generate from a model of the Llama, Qwen2, Qwen3 or Gemma 3 family on its own device.

    It reads the weights of the transformers model it is given when a session begins, so a policy
    that was just trained samples its next batch; LoRA adapters count, merged or not.

    Args:
        model: a causal LM that is not `unsupported`; peft-wrapped is fine.
        stop_ids: tokens that end a completion.
        tokenizer: to find stop texts with.
        dtype: to compute in; by default that of the model. In bfloat16 a float32 model generates
            faster, with logprobs that are off by some hundredths.
        max_rows: how many conversations to decode at once.
        cache_bytes: what the cache may take, all conversations together; by default a quarter of
            the device's memory. Fewer conversations are decoded at once if it is too small.

    Raises:
        ValueError: the model can't be run here.
    """

    def __init__(
        self,
        model: Any,
        *,
        stop_ids: Sequence[int],
        tokenizer: Any = None,
        dtype: torch.dtype | None = None,
        max_rows: int = 1024,
        cache_bytes: int | None = None,
    ) -> None:
        if reason := unsupported(model):
            raise ValueError(f"the native engine can't run this model: {reason}")
        self.model = model
        self.stop_ids = sorted(stop_ids)
        self.tokenizer = tokenizer
        self.dtype = dtype
        self.max_rows = max_rows
        self.cache_bytes = cache_bytes or memory(model.device) // 4

    @classmethod
    def build(cls, model: Any, setup: EngineSetup) -> NativeEngine:
        """Make an engine; see `Engine.build`."""
        half = setup.settings.dtype == "bfloat16"
        if why_not := unsupported(model):
            raise UserError(
                f"the native engine does not run this model ({why_not}); leave the engine's kind "
                "and dtype out"
            )
        if half and not has_bfloat16(model.device):
            raise UserError(
                f"{model.device.type} has no bfloat16 instructions here, so that it would be "
                "slower; leave the engine's dtype out"
            )
        dtype = torch.bfloat16 if half else None
        return cls(model, stop_ids=setup.stop_ids, tokenizer=setup.tokenizer, dtype=dtype)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Continue every conversation; see `Engine.generate`."""
        return in_order(self.stream(requests, sampling))

    def stream(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Continue every conversation; see `Engine.stream`."""
        with self.session() as session:
            yield from session.stream(requests, sampling)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session; see `Engine.session`."""
        with torch.inference_mode():
            decoder = Decoder(self.model, self.dtype)
        yield Session(self, decoder)


class Session(Engine):
    """Conversations of several turns, whose cache is kept from one to the next.

    Half of the cache's memory is for those that are being decoded, half for those that wait.

    Args:
        engine: that opened it.
        decoder: the model, as it stands.
    """

    def __init__(self, engine: NativeEngine, decoder: Decoder) -> None:
        self.engine, self.decoder = engine, decoder
        self.max_rows = engine.max_rows
        self._waiting: list[Talks] = []

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Continue every conversation; see `Engine.generate`."""
        return in_order(self.stream(requests, sampling))

    @torch.inference_mode()
    def stream(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Continue every conversation; see `Engine.stream`."""
        stops = Stops(self.engine.stop_ids, sampling.stop, self.engine.tokenizer)
        half = self.engine.cache_bytes // 2
        rest = [*range(len(requests))]
        waiting, self._waiting = self._waiting, []
        with evaluating(self.engine.model):
            for talks in waiting:
                known = [n for n in rest if talks.knows(requests[n])]
                mine = [requests[n] for n in known]
                if mine and talks.bytes_for(mine, sampling) <= half:
                    for n, completion in talks.go_on(mine, sampling, stops):
                        yield known[n], completion
                    self._waiting.append(talks)
                    rest = sorted({*rest} - {*known})
            while rest:
                talks = Talks(self.decoder)
                count = self._fitting([requests[n] for n in rest], sampling, half)
                some, rest = rest[:count], rest[count:]
                mine = [requests[n] for n in some]
                for n, completion in talks.begin(mine, sampling, stops):
                    yield some[n], completion
                self._waiting.append(talks)
                # what does not fit is computed again when its next turn comes
                while sum(talks.bytes for talks in self._waiting) > half:
                    del self._waiting[0]

    def _fitting(self, requests: Sequence[Request], sampling: Sampling, limit: int) -> int:
        """Return how many requests, from the first, can be decoded at once; at least one."""
        prompts: set[tuple[int, ...]] = set()
        longest = reply = 0
        for count, request in enumerate(requests[: self.max_rows]):
            prompts.add(tuple(request.token_ids))
            longest = max(longest, len(request.token_ids))
            reply = max(reply, request.limit(sampling))
            tokens = len(prompts) * longest + (count + 1) * reply
            if count and self.decoder.shape.bytes(tokens) > limit:
                return count
        return min(len(requests), self.max_rows)


class Talks:
    """Conversations that began together, and what each has read and said."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._batch: DecodingBatch | None = None
        self._row: dict[Hashable, int] = {}  # by the conversation's name
        self._read: list[list[int]] = []  # by row; all but the last token that was sampled

    def knows(self, request: Request) -> bool:
        """Return whether a request goes on from where one of these conversations is."""
        if request.conversation is None or request.conversation not in self._row:
            return False
        read = self._read[self._row[request.conversation]]
        return len(request.token_ids) > len(read) and request.token_ids[: len(read)] == read

    def begin(
        self, requests: Sequence[Request], sampling: Sampling, stops: Stops
    ) -> Iterator[tuple[int, Completion]]:
        """Read prompts and reply."""
        number: dict[tuple[int, ...], int] = {}
        group = [number.setdefault(tuple(r.token_ids), len(number)) for r in requests]
        self._batch = DecodingBatch(
            self._decoder,
            list(number),
            np.array(group),
            keep=any(request.conversation is not None for request in requests),
        )
        return self._reply(self._batch, requests, sampling, stops)

    def go_on(
        self, requests: Sequence[Request], sampling: Sampling, stops: Stops
    ) -> Iterator[tuple[int, Completion]]:
        """Read what is new since the last reply, and reply."""
        assert self._batch is not None
        rows = [self._row[request.conversation] for request in requests]
        read = [len(self._read[row]) for row in rows]
        new = [request.token_ids[n:] for request, n in zip(requests, read, strict=True)]
        self._batch.go_on(rows, read, new)
        return self._reply(self._batch, requests, sampling, stops)

    def _reply(
        self, batch: DecodingBatch, requests: Sequence[Request], sampling: Sampling, stops: Stops
    ) -> Iterator[tuple[int, Completion]]:
        read: dict[int, list[int]] = {}
        for n, completion in decode(batch, Sampler(requests, sampling, stops)):
            read[n] = [*requests[n].token_ids, *completion.token_ids[:-1]]
            yield n, completion
        self._row = {request.conversation: n for n, request in enumerate(requests)}
        self._read = [read[n] for n in range(len(requests))]

    @property
    def bytes(self) -> int:
        """What the cache takes."""
        return 0 if self._batch is None else self._batch.bytes

    def bytes_for(self, requests: Sequence[Request], sampling: Sampling) -> int:
        """Return what the cache may take after another turn, the prompts counted with each."""
        longest = max(len(r.token_ids) + r.limit(sampling) for r in requests)
        return self._decoder.shape.bytes(longest * len(requests))


def decode(batch: DecodingBatch, sampler: Sampler) -> Iterator[tuple[int, Completion]]:
    """Sample until every row has ended; yield requests' numbers and completions as they do."""
    logits = batch.logits
    while True:
        tokens = sampler.next(logits)
        for request in sampler.ended:
            yield request, sampler.completion(request)
        left = int(sampler.running.sum())
        if left == 0:
            return
        if left < batch.shrink_below * len(sampler.running):
            kept = batch.keep(sampler.running)
            sampler.keep(kept)
            tokens = tokens[torch.from_numpy(kept).to(tokens.device)]
        logits = batch.step(tokens)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16 by instructions of its own."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return True


def memory(device: torch.device) -> int:
    """Return how many bytes of memory a device has."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
