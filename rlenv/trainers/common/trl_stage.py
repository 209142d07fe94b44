"""What the stages that TRL trains have in common: arguments, logs, saves, interruptions.

A stage makes its data and its model, asks `arguments` for TRL's configuration, and hands the
trainer to `fit`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from rlenv.common.settings import Settings
from rlenv.models import checkpoint
from rlenv.run.stage import Context
from rlenv.trainers.common.lora import without_renaming
from rlenv.trainers.common.validation import BestCheckpoint

_SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


class TRLSettings(Settings):
    """How an offline stage is optimized.

    Attributes:
        epochs: passes over the data.
        batch_size: rows a step.
        accumulate: forward passes that a step is made of, each of its share of the rows; more of
            them need less memory.
        learning_rate: the highest.
        schedule: after the warmup the learning rate stays `constant`, or falls to zero in a
            `linear` way or along a `cosine`.
        warmup_steps: in which it rises.
        weight_decay: of AdamW.
        max_grad_norm: gradients are scaled down to this norm.
        bf16: compute matrix products in bfloat16; weights and optimizer stay float32.
        save_every: steps between saves of the state.
    """

    epochs: int = Field(1, ge=1)
    batch_size: int = Field(64, ge=1)
    accumulate: int = Field(1, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup_steps: int = Field(20, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    bf16: bool = False
    save_every: int = Field(100, ge=1)

    def steps(self, rows: int) -> int:
        """Return how many optimizer steps so many rows of data make."""
        return self.epochs * -(-rows // self.batch_size)


def arguments(config: Any, context: Context, s: TRLSettings, **own: Any) -> Any:
    """Return a configuration of TRL.

    Args:
        config: its class, such as `trl.DPOConfig`.
        context: of the stage.
        s: how to optimize.
        **own: what else the trainer is told; takes precedence.
    """
    on_cpu = checkpoint.pick_device(context.device) == "cpu"
    context.state.mkdir(parents=True, exist_ok=True)
    values = {
        "output_dir": str(context.state),
        "num_train_epochs": s.epochs,
        "per_device_train_batch_size": -(-s.batch_size // s.accumulate),
        "gradient_accumulation_steps": s.accumulate,
        "learning_rate": s.learning_rate,
        "lr_scheduler_type": _SCHEDULES[s.schedule],
        "warmup_steps": s.warmup_steps,
        "weight_decay": s.weight_decay,
        "adam_beta2": 0.95,
        "max_grad_norm": s.max_grad_norm,
        "seed": context.seed,
        "use_cpu": on_cpu,
        "bf16": s.bf16,
        **checkpointing(config, on=False),
        "save_strategy": "steps",
        "save_steps": s.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": not on_cpu,
    }
    return config(**{**values, **own})


def checkpointing(config: Any, *, on: bool) -> dict[str, bool]:
    """Return the setting that trades computing for memory; it was renamed in TRL 1.16."""
    new = "activation_checkpointing"
    return {new if new in config.__dataclass_fields__ else "gradient_checkpointing": on}


def fit(
    trainer: Any,
    context: Context,
    *,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    eval_every: int = 1,
    stop_when: Callable[[Mapping[str, float]], bool] | None = None,
    best: BestCheckpoint | None = None,
) -> None:
    """Train, from where the stage was interrupted if it was.

    Args:
        trainer: any trainer of TRL, made with `arguments`.
        context: of the stage; gets the trainer's metrics of each step.
        evaluate: measures the model as it is; what it returns is logged with the step's metrics.
        eval_every: steps between two evaluations. There is one after the last step too.
        stop_when: early stopping: given an evaluation's metrics, whether to stop there.
        best: keeps the weights of the best evaluation; the model has them in the end.

    Raises:
        Interrupted: the user stopped the run; its state was saved.
    """
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    step, save = last_save(context)
    context.forget_after(step)
    reporter = _Reporter(context, evaluate, eval_every, stop_when, best)
    trainer.add_callback(reporter)
    with without_renaming():
        trainer.train(resume_from_checkpoint=save)
    finished = reporter.stopped_early or trainer.state.global_step == trainer.state.max_steps
    if context.stop.requested and not finished:
        context.interrupt(trainer.state.global_step)
    if best is not None:
        if (weights := best.load()) is not None:
            trainer.model.load_state_dict(weights)
        context.display.say(best.summary(context.stage))


def last_save(context: Context) -> tuple[int, str | None]:
    """Return the step and folder of the last whole save; 0 and None where there is none."""
    saves = [p for p in context.state.glob("checkpoint-*") if (p / "trainer_state.json").exists()]
    if not saves:
        return 0, None
    last = max(saves, key=lambda path: int(path.name.rpartition("-")[2]))
    return int(last.name.rpartition("-")[2]), str(last)


class _Reporter(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Passes the trainer's logs on, evaluates the model, and stops the trainer when it is time."""

    def __init__(
        self,
        context: Context,
        evaluate: Callable[[], Mapping[str, float]] | None,
        eval_every: int,
        stop_when: Callable[[Mapping[str, float]], bool] | None,
        best: BestCheckpoint | None,
    ) -> None:
        self._context, self._evaluate, self._best = context, evaluate, best
        self._eval_every, self._stop_when = eval_every, stop_when
        self._seen: dict[str, float] = {}
        self._clock: tuple[float, float] | None = None  # time and tokens at the first log
        self._before = _tokens_logged(context)  # the trainer counts from 0 when it resumes
        self.stopped_early = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        due = state.global_step % self._eval_every == 0 or state.global_step == state.max_steps
        if self._evaluate is not None and due:
            self._seen = dict(self._evaluate())
            if self._best is not None:
                self._best.rewind(state.global_step - 1)
                self._best.offer(state.global_step, self._seen, kwargs["model"].state_dict())
            control.should_log = True  # the trainer takes an evaluation for the step's log
            if self._stop_when is not None and self._stop_when(self._seen):
                self.stopped_early = control.should_training_stop = True
        if self._context.stop.requested:
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not logs or "loss" not in logs:  # the summary at the end
            return
        kept = {k: float(v) for k, v in logs.items() if isinstance(v, (int, float))}
        for of_all_steps in ("train_tokens_per_second", "train_runtime"):
            kept.pop(of_all_steps, None)
        if "num_input_tokens_seen" in kept:  # which is saved with the state
            kept["num_tokens"] = kept.pop("num_input_tokens_seen")
        elif "num_tokens" in kept:
            kept["num_tokens"] += self._before
        if "num_tokens" in kept:
            now = time.monotonic()
            if self._clock is None:
                self._clock = now, kept["num_tokens"]
            else:
                began, first = self._clock
                kept["tokens_per_second"] = (kept["num_tokens"] - first) / (now - began)
        self._context.log(state.global_step, {**kept, **self._seen})
        self._seen = {}


def _tokens_logged(context: Context) -> float:
    """Return how many tokens the stage has trained on so far, by its log."""
    counts = [
        record["num_tokens"]
        for record in context.run.read_log("metrics")
        if record["stage"] == context.stage and "num_tokens" in record
    ]
    return counts[-1] if counts else 0.0


@dataclass
class SubContext(Context):
    """The context of one of several trainings in a stage: a member of an ensemble, or a round.

    Attributes:
        name: of the training, unique in its stage.
        before: steps that the trainings before it took; its own are logged on from there.
    """

    name: str = ""
    before: int = 0

    @classmethod
    def of(cls, context: Context, name: str, *, seed: int, before: int, source: str) -> SubContext:
        """Return the context of a training, with a seed of its own and a checkpoint to begin at."""
        made = {f.name: getattr(context, f.name) for f in fields(Context)}
        return cls(**{**made, "seed": seed, "source": source}, name=name, before=before)

    @property
    def state(self) -> Path:
        """Where the training keeps its interim state."""
        return super().state / self.name

    @property
    def model(self) -> Path:
        """Where the training leaves its model, which is there only once it is finished."""
        return self.state / "model"

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Context.log`."""
        super().log(self.before + step, metrics)

    def forget_after(self, step: int) -> None:
        """See `Context.forget_after`."""
        super().forget_after(self.before + step)

    def interrupt(self, step: int) -> None:
        """See `Context.interrupt`."""
        super().interrupt(self.before + step)
