"""Stage `sft`: supervised fine-tuning on demonstrations, with the loss on the replies alone.

A demonstration is a whole episode of a training task, as the environment's expert plays it.

TRL's `SFTTrainer` trains; the tokens and labels it gets are made here by the same `ChatFormat`
that rollouts use, so that the policy is fine-tuned on exactly the tokens it will be asked with.
"""

from __future__ import annotations

import random
import time
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from rlenv import registry
from rlenv.chat import ChatFormat
from rlenv.config import EnvSettings, Settings
from rlenv.demonstrations import demonstrate
from rlenv.engines.base import Sampling, mix
from rlenv.env import TextEnv
from rlenv.errors import UserError
from rlenv.evaluation import mean_reward
from rlenv.models import checkpoint
from rlenv.rollout import EnvPool, play
from rlenv.stage import Artifact, Context, Stage, clear

_SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear"}


class SFTSettings(Settings):
    """Settings of the stage.

    Attributes:
        demonstrations: how many to draw from the environment's train split.
        epochs: passes over them.
        batch_size: demonstrations a step.
        learning_rate: the highest.
        schedule: after the warmup the learning rate stays `constant`, or falls to zero in a
            `linear` way.
        warmup_steps: in which it rises.
        eval_every: steps between held-out evaluations, on the validation split.
        eval_tasks: how many tasks they play, once each at temperature 1.
        max_tokens: of a reply in these evaluations.
        stop_at: stop once the held-out reward reaches this; None trains to the end.
        weight_decay: of AdamW.
        max_grad_norm: gradients are scaled down to this norm.
        save_every: steps between saves of the state.
    """

    demonstrations: int = Field(10_000, ge=1)
    epochs: int = Field(1, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["constant", "linear"] = "linear"
    warmup_steps: int = Field(20, ge=0)
    eval_every: int = Field(50, ge=1)
    eval_tasks: int = Field(200, ge=1)
    max_tokens: int = Field(256, ge=1)
    stop_at: float | None = None
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    save_every: int = Field(100, ge=1)


class SFTStage(Stage[SFTSettings]):
    """Fine-tune on what the environment demonstrates."""

    needs: ClassVar[Artifact] = "model"
    gives: ClassVar[Artifact] = "chat model"
    Settings = SFTSettings

    def check(self, env: EnvSettings, source: str | None) -> None:
        """See `Stage.check`."""
        made = registry.make(env.id, split="train", **env.options)
        task = made.tasks.for_training()[0]
        if demonstrate(made, task, seed=0) is None:
            raise UserError(f"{env.id} demonstrates nothing, so sft has nothing to learn from")

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        count = self.settings.demonstrations
        until = (
            "" if self.settings.stop_at is None else f"until {self.settings.stop_at:g} held-out, "
        )
        return f"{count:,} demonstrations, loss on the replies", f"{until}{self.steps()} steps"

    def steps(self) -> int:
        """See `Stage.steps`."""
        s = self.settings
        return s.epochs * -(-s.demonstrations // s.batch_size)

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        s = self.settings
        assert context.source is not None
        device = checkpoint.pick_device(context.device)
        model, tokenizer = checkpoint.load(context.source, device=context.device)
        chat = ChatFormat(tokenizer, context.source)
        rows = demonstrations(context.make_env("train"), chat, s.demonstrations, context.seed)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else chat.stop_ids[0]
        context.state.mkdir(parents=True, exist_ok=True)
        reporter = _reporter(context, s, HeldOut(context, model, chat, s))
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=str(context.state),
                num_train_epochs=s.epochs,
                per_device_train_batch_size=s.batch_size,
                learning_rate=s.learning_rate,
                lr_scheduler_type=_SCHEDULES[s.schedule],
                warmup_steps=s.warmup_steps,
                weight_decay=s.weight_decay,
                adam_beta2=0.95,
                max_grad_norm=s.max_grad_norm,
                seed=context.seed,
                use_cpu=device == "cpu",
                bf16=False,
                **{_checkpointing(SFTConfig): False},
                dataset_kwargs={"skip_prepare_dataset": True},
                save_strategy="steps",
                save_steps=s.save_every,
                save_total_limit=2,
                logging_steps=1,
                report_to=[],
                disable_tqdm=True,
                dataloader_pin_memory=device != "cpu",
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            data_collator=lambda batch: collate(batch, pad),
            callbacks=[reporter],
        )
        _quieten(trainer)
        last = _last_save(context)
        context.forget_after(last[0])
        trainer.train(resume_from_checkpoint=last[1])
        finished = reporter.reached or trainer.state.global_step == trainer.state.max_steps
        if context.stop.requested and not finished:
            context.interrupt(trainer.state.global_step)
        model.config.use_cache = True
        checkpoint.save(model, tokenizer, context.out)
        clear(context.state)


def demonstrations(
    env: TextEnv, chat: ChatFormat, count: int, seed: int
) -> list[dict[str, list[int]]]:
    """Draw tasks of the train split and tokenize how an expert plays them.

    Args:
        env: the environment, on its train split.
        chat: how conversations become tokens.
        count: how many.
        seed: of the tasks, and of the episodes.

    Returns:
        Rows with `input_ids`, and `labels` that are -100 wherever no loss is taken.

    Raises:
        HeldOutError: the environment is not on its train split.
        UserError: the environment demonstrates nothing.
    """
    rng = random.Random(f"demonstrations/{seed}")
    tasks = env.tasks.for_training()
    rows = []
    for number in range(count):
        task = tasks.sample(rng)
        shown = demonstrate(env, task, seed=mix(seed, number) % 2**31)
        if shown is None:
            raise UserError(f"the environment demonstrates no reply to {task.question!r}")
        ids, mask = chat.conversation(shown.messages, shown.opening)
        labels = [token if on else -100 for token, on in zip(ids, mask, strict=True)]
        rows.append({"input_ids": ids, "labels": labels})
    return rows


def collate(batch: list[dict[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Pad rows on the right to (B, T) tensors `input_ids`, `labels`, `attention_mask`."""
    longest = max(len(row["input_ids"]) for row in batch)
    filled = {"input_ids": pad, "labels": -100}
    tensors = {
        name: torch.tensor([row[name] + [fill] * (longest - len(row[name])) for row in batch])
        for name, fill in filled.items()
    }
    lengths = torch.tensor([len(row["input_ids"]) for row in batch])
    tensors["attention_mask"] = (torch.arange(longest) < lengths[:, None]).long()
    return tensors


def _checkpointing(config: Any) -> str:
    """The name of the setting that trades computing for memory; it was renamed in TRL 1.16."""
    new = "activation_checkpointing"
    return new if new in config.__dataclass_fields__ else "gradient_checkpointing"


class HeldOut:
    """Plays validation tasks with the model as it is."""

    def __init__(self, context: Context, model: Any, chat: ChatFormat, s: SFTSettings) -> None:
        self.pool = EnvPool(lambda: context.make_env("validation"))
        self.tasks = self.pool.take(1)[0].tasks.distinct(s.eval_tasks)
        self.engine = checkpoint.engine_for(model, chat)
        self.chat = chat
        self.sampling = Sampling(max_tokens=s.max_tokens)
        self.max_length = checkpoint.context_length(model, chat.tokenizer)
        self.seed = context.seed

    def reward(self) -> float:
        """Return the mean reward, one sample a task."""
        return mean_reward(
            play(
                self.pool,
                self.engine,
                self.chat,
                self.tasks,
                samples=1,
                sampling=self.sampling,
                seed=self.seed,
                max_length=self.max_length,
            )
        )


def _reporter(context: Context, s: SFTSettings, held_out: HeldOut) -> Any:
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):
        """Passes the trainer's logs on, evaluates, and asks it to stop when it is time."""

        def __init__(self) -> None:
            self.started = time.monotonic()
            self.first: float | None = None
            self.extra: dict[str, float] = {}
            self.reached = False

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % s.eval_every == 0:
                self.extra["held_out/reward"] = reward = held_out.reward()
                if s.stop_at is not None and reward >= s.stop_at:
                    self.reached = control.should_training_stop = True
            if context.stop.requested:
                control.should_save = control.should_training_stop = True

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            kept = {k: float(v) for k, v in logs.items() if isinstance(v, (int, float))}
            tokens = kept.get("num_tokens", 0.0)
            if self.first is None:
                self.first, self.started = tokens, time.monotonic()
            elif tokens > self.first:
                spent = time.monotonic() - self.started
                kept["tokens_per_second"] = (tokens - self.first) / spent
            context.log(state.global_step, {**kept, **self.extra})
            self.extra = {}

    return Reporter()


def _quieten(trainer: Any) -> None:
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)


def _last_save(context: Context) -> tuple[int, str | None]:
    saves = [p for p in context.state.glob("checkpoint-*") if (p / "trainer_state.json").exists()]
    if not saves:
        return 0, None
    last = max(saves, key=lambda path: int(path.name.rpartition("-")[2]))
    return int(last.name.rpartition("-")[2]), str(last)
