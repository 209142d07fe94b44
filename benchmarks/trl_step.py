"""One optimizer step on the same tokens: rlenv's learner and `trl.GRPOTrainer`."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import runs
import torch

import rlenv
from rlenv.core.trajectory import Trajectory
from rlenv.models import checkpoint, presets
from rlenv.models.tokenizer import character_tokenizer

PROMPT, SHORTEST, LONGEST = 100, 10, 100  # tokens
GROUPS, GROUP_SIZE, MICRO_BATCH = 8, 16, 32
ROUNDS = 5


def make_checkpoint(folder: Path, preset: str) -> None:
    """Save a model of random weights."""
    torch.manual_seed(0)
    text = "".join(map(chr, range(32, 127)))
    tokenizer = character_tokenizer([text, text], max_length=512)
    model = presets.build(preset, vocabulary=len(tokenizer), max_length=512, tokenizer=tokenizer)
    checkpoint.save(model, tokenizer, folder)


def tokens() -> tuple[list[Trajectory], torch.Tensor]:
    """Return rollouts of random tokens, and their advantages."""
    rng = random.Random(0)
    rows = []
    for _ in range(GROUPS):
        prompt = [rng.randrange(8, 100) for _ in range(PROMPT)]
        for _ in range(GROUP_SIZE):
            reply = [rng.randrange(8, 100) for _ in range(rng.randint(SHORTEST, LONGEST))]
            mask = [0] * len(prompt) + [1] * len(reply)
            rows.append(Trajectory(rlenv.Task("x"), prompt + reply, mask, [0.0] * len(mask)))
    return rows, torch.tensor([rng.gauss(0, 1) for _ in rows])


def measured(step: Callable[[], float], now: harness.Clock) -> dict[str, Any]:
    """Return the seconds of each round, and the loss of the first step."""
    loss, once = step(), harness.timed(step, now)
    seconds = [once() for _ in range(ROUNDS)]
    return {"loss": loss, "seconds": seconds, "median": statistics.median(seconds)}


def rlenv_step(folder: Path, now: harness.Clock) -> dict[str, Any]:
    """Take steps with the learner of the grpo stage."""
    from dataclasses import replace

    from accelerate import Accelerator

    from rlenv.trainers.rl.batch import Batch
    from rlenv.trainers.rl.learner import Learner
    from rlenv.trainers.rl.policy import Policy
    from rlenv.trainers.rl.settings import OnPolicySettings

    stage = {"steps": 1, "learning_rate": 1e-6, "aggregate": "token", "micro_batch": MICRO_BATCH}
    settings = OnPolicySettings.model_validate(stage)
    policy = Policy(str(folder), settings, "cpu", 0)
    learner = Learner(policy, settings, Accelerator(cpu=True))
    rows, advantages = tokens()
    batch = Batch.of(rows, advantages, pad=policy.pad)
    # sampled by this very policy, as the first step on a rollout batch sees it
    batch = replace(batch, old_logprobs=learner.logprobs(batch))
    return measured(lambda: learner.step(batch, 1.0)["loss"], now)


def trl_step(folder: Path, now: harness.Clock) -> dict[str, Any]:
    """Take steps with TRL's trainer."""
    from datasets import Dataset
    from trl import GRPOTrainer

    rows, advantages = tokens()
    accumulation = len(rows) // MICRO_BATCH
    trainer = GRPOTrainer(
        str(folder),
        reward_funcs=lambda prompts, **_: [0.0 for _ in prompts],
        args=runs.grpo_config(
            folder / "trl",
            per_device_train_batch_size=MICRO_BATCH,
            gradient_accumulation_steps=accumulation,
            num_generations=GROUP_SIZE,
            max_completion_length=LONGEST,
            learning_rate=1e-6,
        ),
        train_dataset=Dataset.from_list([{"prompt": "x"}] * len(rows)),
    )
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = accumulation
    trainer.model.train()
    parts = [
        trl_inputs(rows[part], advantages[part], trainer, total=rows)
        for part in (slice(n, n + MICRO_BATCH) for n in range(0, len(rows), MICRO_BATCH))
    ]

    def step() -> float:
        loss = 0.0
        for inputs in parts:
            part = trainer.compute_loss(trainer.model, inputs)
            trainer.accelerator.backward(part)
            loss += float(part.detach())
        trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), 1.0)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        return loss

    return measured(step, now)


def trl_inputs(
    rows: list[Trajectory], advantages: torch.Tensor, trainer: Any, total: list[Trajectory]
) -> dict[str, torch.Tensor]:
    """Return rollouts in the form in which they reach TRL's loss."""
    from trl.trainer.utils import pad

    def padded(lines: list[list[int]], value: int, side: str) -> torch.Tensor:
        made: torch.Tensor = pad(
            [torch.tensor(line) for line in lines], padding_value=value, padding_side=side
        )
        return made

    filler = trainer.processing_class.pad_token_id
    prompts = [row.token_ids[:PROMPT] for row in rows]
    replies = [row.token_ids[PROMPT:] for row in rows]
    return {
        "prompt_ids": padded(prompts, filler, "left"),
        "prompt_mask": padded([[1] * len(p) for p in prompts], 0, "left"),
        "completion_ids": padded(replies, filler, "right"),
        "completion_mask": padded([[1] * len(r) for r in replies], 0, "right"),
        "advantages": advantages,
        "num_items_in_batch": torch.tensor(float(sum(row.sampled_tokens for row in total))),
    }
