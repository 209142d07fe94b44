"""Training a model on mixtures of texts, whatever it starts from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlenv.common.errors import UserError
from rlenv.data.pipeline import corpus
from rlenv.engines.base import mix
from rlenv.run.stage import Context
from rlenv.trainers.common import optimizers
from rlenv.trainers.common.checkpointing import CombinedState, resumable_steps
from rlenv.trainers.pretraining import forward, objectives
from rlenv.trainers.pretraining.documents import Documents, Stream, hold_out
from rlenv.trainers.pretraining.measure import HeldOutLoss, continuations
from rlenv.trainers.pretraining.mixture import Mixture
from rlenv.trainers.pretraining.objectives import Objective
from rlenv.trainers.pretraining.rows import PackedRows
from rlenv.trainers.pretraining.settings import TrainingSettings

_PAGE = 16  # solved tasks that stand together in a document


def train(
    context: Context,
    s: TrainingSettings,
    steps: int,
    model: Any,
    tokenizer: Any,
    texts: Texts,
    *,
    at_the_end: Callable[[], dict[str, float]] = dict,
) -> None:
    """Train a model where it stands, and measure it on held-out text.

    Args:
        context: of the stage.
        s: how.
        steps: optimizer steps.
        model: on its device.
        tokenizer: its tokenizer.
        texts: what `read_texts` returned.
        at_the_end: gives metrics to log after the last step.
    """
    forward.check(model)
    mixture = Mixture(texts.streams, mixtures(s), steps)
    optimizer = optimizers.make(s.optimizer, model, s.learning_rate, s.weight_decay)
    device = str(next(model.parameters()).device)
    length, objective = texts.objective.draws(s.length), texts.objective
    started, seen = time.monotonic(), 0
    state = CombinedState({"model": model, "optimizer": optimizer, "mixture": mixture})
    for step in resumable_steps(context, steps, state, save_every=s.save_every):
        rng = np.random.default_rng([context.seed, step])
        rows = objective.rows(*mixture.draw(step, s.batch_size, length), rng).to(device)
        loss = accumulate(model, rows, s.micro_batch or s.batch_size, bf16=s.bf16)
        rate = s.rate(step, steps)
        norm = optimizer.step(rate, s.max_grad_norm)
        seen += rows.input_ids.numel()
        metrics = {
            "loss": loss,
            "grad_norm": norm,
            "learning_rate": rate,
            "num_tokens": (step + 1) * s.batch_size * s.length,
            "tokens_per_second": seen / (time.monotonic() - started),
        }
        last = step + 1 == steps
        if (step + 1) % s.eval_every == 0 or last:
            metrics |= texts.held_out.losses(model, bf16=s.bf16)
            metrics |= {f"epoch/{name}": read for name, read in mixture.epochs().items()}
            if objective.generates:
                seed = mix(context.seed, step)
                context.keep_samples(
                    step + 1,
                    continuations(model, tokenizer, s.prompts, tokens=s.sample_tokens, seed=seed),
                )
        if last:
            metrics |= at_the_end()
        context.log(step + 1, metrics)


def accumulate(model: Any, rows: PackedRows, size: int, *, bf16: bool = False) -> float:
    """Leave the gradient of the mean loss of a label on the parameters.

    Each part counts by its labels, so that the gradient does not depend on how rows are split.

    Args:
        model: a causal LM.
        rows: the batch, on the model's device.
        size: rows in a forward pass.
        bf16: compute matrix products in bfloat16.

    Returns:
        The loss, in nats.
    """
    asked, total = max(1, rows.asked), 0.0
    for part in rows.split(size):
        loss = forward.row_loss(model, part, bf16=bf16) / asked
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        total += float(loss.detach())
    return total


@dataclass(frozen=True)
class Texts:
    """The sources of a run.

    Attributes:
        streams: what is trained on, by the name of the source.
        held_out: what is not.
        objective: what the model is asked about them.
    """

    streams: dict[str, Stream]
    held_out: HeldOutLoss
    objective: Objective


def read_texts(s: TrainingSettings, context: Context, tokenizer: Any) -> Texts:
    """Read, split and tokenize the sources.

    Args:
        s: which, and how they are cut.
        context: of the stage.
        tokenizer: gets the tokens that the objective needs.

    Raises:
        UserError: a source holds no text.
    """
    objective = objectives.make(
        s.objective, tokenizer, length=s.length, corruption=s.corruption, span=s.span
    )
    streams, held_out = {}, {}
    for number, (name, short) in enumerate(short_names(s.sources).items()):
        texts = corpus.documents(name, context.env, seed=context.seed, tasks=s.tasks)
        texts = [text for text in texts if text]
        if not texts:
            raise UserError(f"the corpus {name} holds no text; leave it out")
        if name == "tasks":  # a page of short texts, as they would stand in a document
            texts = ["\n".join(texts[i : i + _PAGE]) + "\n" for i in range(0, len(texts), _PAGE)]
        learn, held_out[short] = hold_out(texts, s.held_out)
        streams[short] = Stream(Documents.of(learn, tokenizer), mix(context.seed, number))
    measured = HeldOutLoss(
        held_out,
        tokenizer,
        objective,
        length=s.length,
        characters=s.eval_characters,
        batch_size=s.micro_batch or s.batch_size,
    )
    return Texts(streams, measured, objective)


def mixtures(s: TrainingSettings) -> list[tuple[float, dict[str, float]]]:
    """Return each phase: its share of the steps, and the shares of its sources by short name."""
    short = short_names(s.sources)
    return [
        (p.share, {short[name]: share for name, share in corpus.mixture(p.corpus).items()})
        for p in s.mixtures
    ]


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return a name for each source to show: that of its file, where no other has the same."""
    stems = {name: Path(name).name.partition(".")[0] or name for name in names}
    shared = {stem for stem in stems.values() if list(stems.values()).count(stem) > 1}
    return {name: name if stem in shared else stem for name, stem in stems.items()}
