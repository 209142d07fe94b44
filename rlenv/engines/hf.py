"""Generation for every causal LM that transformers can run, through its own `generate`.

Transformers prepares the inputs and keeps the cache, whatever kind the model has; this engine
only chooses the tokens, as a logits processor that leaves one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rlenv.engines.base import Completion, EngineSetup, Request, Sampling
from rlenv.engines.local import InProcess, evaluating
from rlenv.engines.sampling import Sampler, Stops


class TransformersEngine(InProcess):
    """Generate with any transformers causal LM on its own device.

    Args:
        model: the causal LM, also wrapped by peft.
        stop_ids: tokens that end a completion.
        tokenizer: to find stop texts with.
        max_rows: how many conversations to decode at once.
    """

    def __init__(
        self, model: Any, *, stop_ids: Sequence[int], tokenizer: Any = None, max_rows: int = 64
    ) -> None:
        self.model = model
        self.stop_ids = sorted(stop_ids)
        self.tokenizer = tokenizer
        self.max_rows = max_rows

    @classmethod
    def build(cls, model: Any, setup: EngineSetup) -> TransformersEngine:
        """Make an engine; see `Engine.build`."""
        return cls(model, stop_ids=setup.stop_ids, tokenizer=setup.tokenizer)

    @torch.no_grad()
    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Continue every conversation; see `Engine.generate`."""
        stops = Stops(self.stop_ids, sampling.stop, self.tokenizer)
        done: list[Completion] = []
        with evaluating(self.model), _without_defaults(self.model):
            for start in range(0, len(requests), self.max_rows):
                some = requests[start : start + self.max_rows]
                sampler = Sampler(some, sampling, stops)
                limit = max(request.limit(sampling) for request in some)
                self._run([request.token_ids for request in some], limit, sampler)
                done += map(sampler.completion, range(len(some)))
        return done

    def _run(self, prompts: Sequence[Sequence[int]], limit: int, sampler: Sampler) -> None:
        longest = max(map(len, prompts))
        ids = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]

        def only_chosen(_: Tensor, scores: Tensor) -> Tensor:
            chosen = sampler.next(scores)[:, None]
            return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)

        def ended(so_far: Tensor, *_: Any, **__: Any) -> Tensor:
            return torch.from_numpy(~sampler.running).to(so_far.device)

        self.model.generate(
            input_ids=torch.tensor(ids, device=self.model.device),
            attention_mask=torch.tensor(mask, device=self.model.device),
            logits_processor=[only_chosen],
            stopping_criteria=[ended],
            do_sample=False,
            max_new_tokens=limit,
            pad_token_id=0,
        )


@contextmanager
def _without_defaults(model: Any) -> Iterator[None]:
    """Set a checkpoint's own generation settings aside; a penalty there would bend the logprobs."""
    from transformers import GenerationConfig

    owners = [model] if not hasattr(model, "get_base_model") else [model, model.get_base_model()]
    before = [owner.generation_config for owner in owners]
    for owner in owners:
        owner.generation_config = GenerationConfig()
    try:
        yield
    finally:
        for owner, config in zip(owners, before, strict=True):
            owner.generation_config = config
