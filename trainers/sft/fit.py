"""Fitting a model to rows of tokens with TRL's `SFTTrainer`.

The tokens and labels are made beforehand by the same `ChatFormat` that rollouts use, so that the
policy is fine-tuned on exactly the tokens it will be asked with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlenv.models import checkpoint
from rlenv.stage import Context
from trainers.sft.batches import collate, collate_packed, pack
from trainers.sft.rows import TokenRow
from trainers.sft.settings import FitSettings

_SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


@dataclass
class Watch:
    """What is measured while a model is fitted, and when that is enough.

    Attributes:
        measure: returns metrics of the model as it is.
        every: steps between measurements; there is one at the last step too.
        enough: told of the metrics, says whether to stop.
    """

    measure: Callable[[], dict[str, float]]
    every: int
    enough: Callable[[dict[str, float]], bool] = lambda metrics: False


def fit(
    context: Context,
    model: Any,
    tokenizer: Any,
    rows: Sequence[TokenRow],
    settings: FitSettings,
    watch: Watch,
    *,
    state: Path,
    before: int = 0,
) -> int:
    """Fit a model to rows; go on where an earlier call was stopped.

    Args:
        context: of the stage; the run ends here if the user asks for it.
        model: a causal LM, with its adapter if there is one.
        tokenizer: its tokenizer, whose padding token is used.
        rows: with `input_ids`, and `labels` that are -100 wherever no loss is taken.
        settings: how.
        watch: what to measure as it goes.
        state: the folder for what is needed to go on.
        before: steps that the stage took before this.

    Returns:
        Steps taken in all, `before` included.

    Raises:
        Interrupted: the user stopped the run; it can go on.
    """
    from trl import SFTTrainer

    s = settings
    state.mkdir(parents=True, exist_ok=True)
    reporter = _reporter(context, watch, before)
    trainer = SFTTrainer(
        model=model,
        args=_arguments(s, context, state),
        train_dataset=_dataset(rows, s, model, tokenizer),
        processing_class=tokenizer,
        data_collator=_collator(s, model, tokenizer.pad_token_id),
        callbacks=[reporter],
    )
    _quieten(trainer)
    last = _last_save(state)
    context.forget_after(before + last[0])
    trainer.train(resume_from_checkpoint=last[1])
    done = trainer.state.global_step
    if context.stop.requested and not reporter.enough and done < trainer.state.max_steps:
        context.interrupt(before + done)
    model.config.use_cache = True
    return before + done


def save(model: Any, tokenizer: Any, settings: FitSettings, folder: Path) -> None:
    """Save a model that was fitted, its adapter merged into it."""
    whole = model if settings.lora is None else model.merge_and_unload()
    checkpoint.save(whole, tokenizer, folder)


def steps(rows: int, settings: FitSettings) -> int:
    """Return how many steps `fit` takes for so many rows, packed or not."""
    return settings.epochs * -(-rows // settings.batch_size)


def _dataset(rows: Sequence[TokenRow], s: FitSettings, model: Any, tokenizer: Any) -> Any:
    from datasets import Dataset

    if not s.packing:
        return Dataset.from_list(list(rows))
    return pack(rows, s.max_length or checkpoint.context_length(model, tokenizer))


def _collator(s: FitSettings, model: Any, pad: int) -> Callable[[Any], Any]:
    if not s.packing:
        return lambda batch: collate(batch, pad)
    flat = "flash" in str(model.config._attn_implementation)
    return lambda batch: collate_packed(batch, pad, flat=flat)


def _arguments(s: FitSettings, context: Context, state: Path) -> Any:
    from trl import SFTConfig

    device = checkpoint.pick_device(context.device)
    at_once = s.micro_batch or s.batch_size
    return SFTConfig(
        output_dir=str(state),
        num_train_epochs=s.epochs,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=s.batch_size // at_once,
        learning_rate=s.learning_rate,
        lr_scheduler_type=_SCHEDULES[s.schedule],
        warmup_steps=s.warmup_steps,
        weight_decay=s.weight_decay,
        adam_beta2=0.95,
        max_grad_norm=s.max_grad_norm,
        seed=context.seed,
        use_cpu=device == "cpu",
        bf16=False,
        **{_checkpointing(SFTConfig): s.gradient_checkpointing},
        dataset_kwargs={"skip_prepare_dataset": True},
        include_num_input_tokens_seen="non_padding",  # TRL's own count takes rows for one
        save_strategy="steps",
        save_steps=s.save_every,
        save_total_limit=2,
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=device != "cpu",
    )


def _checkpointing(config: Any) -> str:
    """The name of the setting that trades computing for memory; it was renamed in TRL 1.16."""
    new = "activation_checkpointing"
    return new if new in config.__dataclass_fields__ else "gradient_checkpointing"


def _reporter(context: Context, watch: Watch, before: int) -> Any:
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):
        """Passes the trainer's logs on, measures, and asks it to stop when it is time."""

        def __init__(self) -> None:
            self.started = time.monotonic()
            self.first: float | None = None
            self.extra: dict[str, float] = {}
            self.enough = False

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            context.display.expect(before + state.max_steps)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % watch.every == 0 or state.global_step == state.max_steps:
                self.extra = watch.measure()
                if watch.enough(self.extra):
                    self.enough = control.should_training_stop = True
            if context.stop.requested:
                control.should_save = control.should_training_stop = True

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            kept = {k: float(v) for k, v in logs.items() if isinstance(v, (int, float))}
            tokens = kept["num_tokens"] = kept.pop("num_input_tokens_seen", 0.0)
            for of_the_whole in ("train_tokens_per_second", "train_runtime"):
                kept.pop(of_the_whole, None)
            if self.first is None:
                self.first, self.started = tokens, time.monotonic()
            elif tokens > self.first:
                spent = time.monotonic() - self.started
                kept["tokens_per_second"] = (tokens - self.first) / spent
            context.log(before + state.global_step, {**kept, **self.extra})
            self.extra = {}

    return Reporter()


def _quieten(trainer: Any) -> None:
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)


def _last_save(state: Path) -> tuple[int, str | None]:
    saves = [p for p in state.glob("checkpoint-*") if (p / "trainer_state.json").exists()]
    if not saves:
        return 0, None
    last = max(saves, key=lambda path: int(path.name.rpartition("-")[2]))
    return int(last.name.rpartition("-")[2]), str(last)
