"""Stage `pretrain`: a decoder learns to predict the next token, from random weights."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor

from rlenv.config import EnvSettings, Settings
from rlenv.models import checkpoint, presets
from rlenv.stage import Artifact, Context, Stage
from trainers.data import corpus
from trainers.loop import Parts, resumable_steps
from trainers.schedule import warmup_stable_decay


class PretrainSettings(Settings):
    """Settings of the stage.

    Attributes:
        model: a preset of `rlenv.models.presets`.
        corpus: sources in equal shares, or a mapping from source to share.
        tasks: how many solved tasks the source `tasks` holds.
        steps: optimizer steps.
        batch_size: sequences a step.
        length: tokens a sequence.
        learning_rate: at the plateau of a warmup-stable-decay schedule.
        warmup: share of the steps in which the learning rate rises.
        decay: share of the steps, at the end, in which it falls to zero.
        weight_decay: of AdamW, on matrices.
        max_grad_norm: gradients are scaled down to this norm.
        save_every: steps between saves of the state.
    """

    model: str = "nano"
    corpus: list[str] | dict[str, float] = Field(default=["python_topics", "tasks"], min_length=1)
    tasks: int = Field(100_000, ge=1)
    steps: int = Field(ge=1)
    batch_size: int = Field(64, ge=1)
    length: int = Field(128, ge=2)
    learning_rate: float = Field(3e-3, gt=0)
    warmup: float = Field(0.05, ge=0, le=1)
    decay: float = Field(0.3, ge=0, le=1)
    weight_decay: float = Field(0.1, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    save_every: int = Field(100, ge=1)


class PretrainStage(Stage[PretrainSettings]):
    """Train a small decoder on a mixture of texts."""

    needs: ClassVar[Artifact] = "tokenizer"
    gives: ClassVar[Artifact] = "model"
    Settings = PretrainSettings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""
        presets.preset(self.settings.model)
        for name in self.settings.corpus:
            corpus.check_source(name, env)

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        tokens = s.steps * s.batch_size * s.length
        return f"{s.model} from random weights, on {', '.join(s.corpus)}", f"{tokens:,} tokens"

    def steps(self) -> int:
        """See `Stage.steps`."""
        return self.settings.steps

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        s = self.settings
        assert context.source is not None
        tokenizer = checkpoint.load_tokenizer(context.source)
        device = checkpoint.pick_device(context.device)
        torch.manual_seed(context.seed)
        model = presets.build(
            s.model,
            vocabulary=len(tokenizer),
            max_length=max(s.length, tokenizer.model_max_length),
            tokenizer=tokenizer,
        ).to(device)
        optimizer = adamw(model, s.learning_rate, s.weight_decay)
        streams = _streams(s, context, tokenizer)
        started, seen = time.monotonic(), 0
        state = Parts({"model": model, "optimizer": optimizer})
        for step in resumable_steps(context, s.steps, state, save_every=s.save_every):
            rate = s.learning_rate * warmup_stable_decay(step, s.steps, s.warmup, s.decay)
            ids = draw_batch(streams, s.batch_size, s.length + 1, context.seed, step).to(device)
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
            loss = F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
            norm = take_step(loss, model, optimizer, rate, s.max_grad_norm)
            seen += ids[:, 1:].numel()
            context.log(
                step + 1,
                {
                    "loss": float(loss.detach()),
                    "grad_norm": norm,
                    "learning_rate": rate,
                    "num_tokens": (step + 1) * s.batch_size * s.length,
                    "tokens_per_second": seen / (time.monotonic() - started),
                },
            )
        checkpoint.save(model, tokenizer, context.out)


def adamw(model: Any, rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) with betas 0.9 and 0.95, decay on matrices only."""
    groups = parameter_groups(model, rate, weight_decay)
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)


def parameter_groups(model: Any, rate: float, weight_decay: float) -> list[dict[str, Any]]:
    """Return a model's parameters for an optimizer, those with weight decay apart."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay, "lr": rate},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0, "lr": rate},
    ]


def take_step(
    loss: Tensor, model: Any, optimizer: torch.optim.Optimizer, rate: float, max_norm: float
) -> float:
    """Step down the gradient of a loss; return the gradient's norm before clipping."""
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(norm)


def draw_batch(
    streams: dict[str, tuple[Tensor, float]], rows: int, length: int, seed: int, step: int
) -> Tensor:
    """Cut a batch of windows out of token streams.

    Args:
        streams: name to (tokens, share of the rows).
        rows: number of windows.
        length: tokens a window.
        seed: with `step`, decides which windows.
        step: number of the batch.

    Returns:
        token ids (rows, length).
    """
    generator = torch.Generator().manual_seed((seed << 32) + step)
    tokens, shares = zip(*streams.values(), strict=True)
    chosen = torch.multinomial(torch.tensor(shares), rows, replacement=True, generator=generator)
    places = torch.rand(rows, generator=generator, dtype=torch.float64)
    windows = []
    for source, place in zip(chosen.tolist(), places.tolist(), strict=True):
        stream = tokens[source]
        start = int(place * (len(stream) - length + 1))
        windows.append(stream[start : start + length])
    return torch.stack(windows)


def _streams(
    s: PretrainSettings, context: Context, tokenizer: Any
) -> dict[str, tuple[Tensor, float]]:
    begin = tokenizer.bos_token_id
    streams = {}
    for name, share in corpus.mixture(s.corpus).items():
        texts = corpus.documents(name, context.env, seed=context.seed, tasks=s.tasks)
        if name == "tasks":  # a page of short texts, as they would stand in a document
            texts = ["\n".join(texts[i : i + 16]) + "\n" for i in range(0, len(texts), 16)]
        ids: list[int] = []
        for encoded in tokenizer(texts, add_special_tokens=False)["input_ids"]:
            ids += [begin, *encoded]
        repeats = -(-(s.length + 1) // len(ids))
        streams[name] = (torch.tensor(ids * repeats), share)
    return streams
