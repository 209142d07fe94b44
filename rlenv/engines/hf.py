"""Generation for every causal LM that transformers can run, on its own forward pass and cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rlenv.engines.base import Completion, Engine, Request, Sampling
from rlenv.engines.sampling import choose, uniforms


class TransformersEngine(Engine):
    """Generate with any transformers causal LM on its own device.

    Args:
        model: the causal LM.
        stop_ids: tokens that end a completion.
        pad_id: a token to fill up shorter prompts with.
        max_rows: how many conversations to decode at once.
    """

    def __init__(
        self, model: Any, *, stop_ids: Sequence[int], pad_id: int = 0, max_rows: int = 64
    ) -> None:
        self.model = model
        self.stop_ids = set(stop_ids)
        self.pad_id = pad_id
        self.max_rows = max_rows

    @torch.no_grad()
    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Continue every prompt; see `Engine.generate`."""
        was_training = self.model.training
        self.model.eval()
        done: list[Completion] = []
        for start in range(0, len(requests), self.max_rows):
            done += self._decode(requests[start : start + self.max_rows], sampling)
        self.model.train(was_training)
        return done

    def _decode(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        prompts = [request.token_ids for request in requests]
        device = self.model.device
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self.pad_id, dtype=torch.long)
        mask = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        draws = uniforms([request.seed for request in requests], sampling.max_tokens).to(device)
        tokens_out: list[list[int]] = [[] for _ in prompts]
        logprobs_out: list[list[float]] = [[] for _ in prompts]
        running = [True] * len(prompts)
        cache = None
        for position in range(sampling.max_tokens):
            output = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = output.past_key_values
            tokens, logprobs = choose(output.logits[:, -1], sampling, draws[:, position])
            for row, (token, logprob) in enumerate(
                zip(tokens.tolist(), logprobs.tolist(), strict=True)
            ):
                if running[row]:
                    tokens_out[row].append(token)
                    logprobs_out[row].append(logprob)
                    running[row] = token not in self.stop_ids
            if not any(running):
                break
            ids = tokens[:, None]
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
        return [
            Completion(ids_, lps, not still)
            for ids_, lps, still in zip(tokens_out, logprobs_out, running, strict=True)
        ]
