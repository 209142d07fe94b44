"""The two contestants of `trl_grpo.py`: rlenv's grpo stage, and `trl.GRPOTrainer`.

Each runs in a process of its own, from the same checkpoint, with the same hyper-parameters, and
is evaluated by the same code on the same held-out tasks. The clock runs from the checkpoint's
folder, evaluations included.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import runs
import torch
from rich.console import Console

from rlenv.common.display import Display
from rlenv.core import registry
from rlenv.engines.base import Sampling
from rlenv.evaluation import mean_reward
from rlenv.integrations.trl import TRLAdapter
from rlenv.models.chat_format import ChatFormat
from rlenv.rollouts.rollout import EnvPool
from rlenv.run import config
from rlenv.runner import runner
from rlenv.trainers import stage_class

WARMUP = 5


@dataclass(frozen=True)
class Contest:
    """What both sides do.

    Attributes:
        name: of the contest.
        env: id of the environment.
        checkpoint: the folder to start from.
        target: pass@1 on held-out tasks at which the clock stops.
        turns: TRL plays episodes of several turns, with `transformers.generate` at each; else it
            generates replies in its own way.
        groups, group_size, max_tokens, learning_rate: as in rlenv's settings.
        steps: give up after so many.
        eval_every: steps between evaluations.
        eval_tasks: how many validation tasks they play.
        micro_batch: rows in a forward pass of training.
        now: the clock.
    """

    name: str
    env: str
    checkpoint: str
    target: float
    turns: bool
    groups: int
    group_size: int
    max_tokens: int
    learning_rate: float
    steps: int
    eval_every: int
    eval_tasks: int = 400
    micro_batch: int = 1024
    now: Callable[[], float] = time.perf_counter


@dataclass
class Clock:
    """When which pass@1 was reached."""

    contest: Contest

    def __post_init__(self) -> None:
        self.began = self.contest.now()
        self.curve: list[tuple[int, float, float]] = []  # step, seconds, pass@1

    def evaluated(self, step: int, value: float) -> bool:
        """Note an evaluation; return whether the target is reached."""
        self.curve.append((step, self.contest.now() - self.began, value))
        return value >= self.contest.target

    def result(self, steps: int, phases: dict[str, float]) -> dict[str, Any]:
        """Return what one side has to say for itself."""
        reached = self.curve and self.curve[-1][2] >= self.contest.target
        return {
            "seconds_to_target": self.curve[-1][1] if reached else None,
            "steps": steps,
            "pass_at_1": self.curve[-1][2] if self.curve else None,
            "curve": self.curve,
            "phases": phases,
            "seconds_per_step": sum(phases.values()) / max(1, steps),
        }


class Reached(Exception):
    """The target is reached."""


class Recorder(Display):
    """A silent screen that looks at what a run reports."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(Console(quiet=True))
        self.clock = clock
        self.phases = {"generate and play": 0.0, "train": 0.0}
        self.done = 0

    def update(self, step: int, metrics: Any) -> None:
        """Add up the phases; stop the run at the target."""
        self.done = step
        self.phases["generate and play"] += metrics["time/rollout"]
        self.phases["train"] += metrics["time/train"]
        if "held_out/reward" in metrics and self.clock.evaluated(step, metrics["held_out/reward"]):
            raise Reached


def rlenv_side(contest: Contest, folder: Path) -> dict[str, Any]:
    """Run the grpo stage, through the runner, as `rlenv train` does."""
    clock = Clock(contest)
    same = ("groups", "group_size", "max_tokens", "learning_rate", "micro_batch", "steps")
    stage = {
        **{name: getattr(contest, name) for name in (*same, "eval_every", "eval_tasks")},
        "warmup_steps": WARMUP,
        "aggregate": "token",
        "save_every": contest.steps,
    }
    settings = config.parse_run(
        {
            "run_dir": str(folder / "run"),
            "env": contest.env,
            "model": contest.checkpoint,
            "threads": torch.get_num_threads(),
            "stages": {"grpo": stage},
        },
        "benchmark",
    )
    recorder = Recorder(clock)
    planned = runner.check(settings, "benchmark", stage_class)
    with contextlib.suppress(Reached):
        runner.run(settings, planned, recorder)
    return clock.result(recorder.done, recorder.phases)


def trl_side(contest: Contest, folder: Path) -> dict[str, Any]:
    """Run `trl.GRPOTrainer`."""
    from transformers import TrainerCallback
    from trl import GRPOTrainer

    clock = Clock(contest)
    rows = contest.groups * contest.group_size
    micro = min(rows, contest.micro_batch)
    phases = {"generate and play": 0.0, "score": 0.0, "train": 0.0}

    @contextlib.contextmanager
    def timed(phase: str, inside: str | None = None) -> Iterator[None]:
        began = time.perf_counter()
        yield
        spent = time.perf_counter() - began
        phases[phase] += spent
        if inside is not None:  # it is a part of another phase
            phases[inside] -= spent

    class Timed(GRPOTrainer):  # type: ignore[misc]
        """Takes the time of its phases."""

        def _generate(self, prompts: list[Any]) -> Any:
            with timed("generate and play", inside="score"):
                return super()._generate(prompts)

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            with timed("score", inside="train"):
                return super()._generate_and_score_completions(inputs)

    examiner = runs.Examiner(contest.checkpoint, contest.env, split="validation")
    sampling = Sampling(max_tokens=contest.max_tokens)

    class Evaluate(TrainerCallback):  # type: ignore[misc]
        """Evaluates as rlenv's stage does, and ends the training at the target."""

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
            phases["train"] += time.perf_counter() - self.began
            step = state.global_step
            if step == 1 or step % contest.eval_every == 0:
                reward = mean_reward(examiner.play(model, contest.eval_tasks, sampling))
                control.should_training_stop |= clock.evaluated(step, reward)

    adapter = TRLAdapter(contest.env)
    if contest.turns:
        tasks = registry.make(contest.env).tasks.distinct(3000)
        source = turn_by_turn(tasks, contest)
        rewards: Callable[..., Any] = lambda prompts, episode_reward, **_: episode_reward  # noqa: E731
        arguments = {**source, "reward_funcs": rewards}
    else:
        arguments = {"train_dataset": adapter.dataset(tasks=3000), "reward_funcs": adapter.reward}
    trainer = Timed(
        contest.checkpoint,
        args=runs.grpo_config(
            folder / "trl",
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=rows // micro,
            num_generations=contest.group_size,
            max_completion_length=contest.max_tokens,
            temperature=1.0,
            top_k=0,
            learning_rate=contest.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=WARMUP,
            max_steps=contest.steps,
            logging_steps=contest.eval_every,
            save_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        callbacks=[Evaluate()],
        **arguments,
    )
    trainer.train()
    return clock.result(trainer.state.global_step, phases)


def turn_by_turn(tasks: Sequence[Any], contest: Contest) -> dict[str, Any]:
    """Return TRL's arguments to play episodes with `transformers.generate` at each turn.

    This is the loop that TRL's documentation describes: all conversations that go on are padded,
    generated from and handed to their environments, until none goes on.
    """
    from datasets import Dataset
    from trl.models import unwrap_model_for_generation

    dataset = Dataset.from_list(
        [{"prompt": [{**m, "task": n} for m in task.prompt]} for n, task in enumerate(tasks)]
    )
    pool = EnvPool(lambda: registry.make(contest.env))

    def rollout(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        chat = ChatFormat(trainer.processing_class)
        pad = chat.tokenizer.pad_token_id
        envs = pool.take(len(prompts))
        told = [
            env.reset(seed=0, options={"task": tasks[prompt[-1]["task"]]})[1]["messages"]
            for env, prompt in zip(envs, prompts, strict=True)
        ]
        ids = [chat.prompt(messages) for messages in told]
        starts = [len(row) for row in ids]
        masks: list[list[int]] = [[] for _ in ids]
        rewards = [0.0] * len(ids)
        live = list(range(len(ids)))
        unwrapped = unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator)
        with unwrapped as model, torch.no_grad():
            while live:
                told_so_far = [ids[i] for i in live]
                replies = runs.generate(
                    model, told_so_far, contest.max_tokens, pad=pad, stop_ids=chat.stop_ids
                )
                going_on = []
                for i, reply in zip(live, replies, strict=True):
                    ids[i] += reply
                    masks[i] += [1] * len(reply)
                    before = told[i]
                    _, reward, ended, truncated, info = envs[i].step(chat.decode(reply))
                    told[i] = info["messages"]
                    rewards[i] += reward
                    if not (ended or truncated) and reply[-1] in chat.stop_ids:
                        said = chat.after_reply(before, told[i][len(before) + 1 :])
                        ids[i] += said
                        masks[i] += [0] * len(said)
                        going_on.append(i)
                live = going_on
        return {
            "prompt_ids": [row[:n] for row, n in zip(ids, starts, strict=True)],
            "completion_ids": [row[n:] for row, n in zip(ids, starts, strict=True)],
            "env_mask": masks,
            "logprobs": None,  # TRL takes the model's own
            "episode_reward": rewards,
        }

    return {"train_dataset": dataset, "rollout_func": rollout}
