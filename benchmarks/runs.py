"""Training runs and checkpoints, as several benchmarks need them."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness
import torch
import yaml
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from rlenv.core import registry
from rlenv.core.trajectory import Group
from rlenv.engines.base import Sampling
from rlenv.models import checkpoint, presets
from rlenv.models.chat_format import ChatFormat
from rlenv.rollouts.rollout import EnvPool, play


def train(folder: Path, stages: dict[str, Any], **settings: Any) -> harness.Usage:
    """Carry out a run in a process of its own, or find it done; return what it took.

    Args:
        folder: of the run; the configuration is written beside it.
        stages: of the run.
        settings: of the run besides; those that are None are left out.
    """
    chosen = {name: value for name, value in settings.items() if value is not None}
    config = folder.with_name(f"{folder.name}.yaml")
    folder.parent.mkdir(parents=True, exist_ok=True)
    run = {"run_dir": str(folder), "threads": 1, **chosen, "stages": stages}
    text = yaml.safe_dump(run, sort_keys=False)  # stages run in their order
    config.write_text(text, encoding="utf-8")
    return harness.carry_out(
        [sys.executable, "-m", "rlenv.train", str(config)], folder / "usage.json"
    )


def metrics(run: Path, stage: str) -> list[dict[str, Any]]:
    """Return what a stage of a run logged, step by step."""
    with (run / "metrics.jsonl").open(encoding="utf-8") as lines:
        return [record for record in map(json.loads, lines) if record["stage"] == stage]


def results(run: Path) -> list[dict[str, Any]]:
    """Return what the stages of a run scored on held-out tasks."""
    found: list[dict[str, Any]] = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return found


class Examiner:
    """Lets models play the same tasks of an environment.

    Args:
        source: the checkpoint whose tokenizer and chat template they have.
        env: the environment's id.
        options: of the environment, its split among them.
    """

    def __init__(self, source: str, env: str, **options: Any) -> None:
        self.chat = ChatFormat(checkpoint.load_tokenizer(source), source)
        self.pool = EnvPool(lambda: registry.make(env, **options))

    def play(
        self, model: Any, tasks: int, sampling: Sampling, *, samples: int = 1, seed: int = 0
    ) -> list[Group]:
        """Let a model, or the checkpoint of a folder, play the first distinct tasks."""
        if isinstance(model, (str, Path)):
            model, _ = checkpoint.load(str(model), device="cpu")
        return play(
            self.pool,
            checkpoint.engine_for(model, self.chat),
            self.chat,
            self.pool.take(1)[0].tasks.distinct(tasks),
            samples=samples,
            sampling=sampling,
            seed=seed,
            max_length=checkpoint.context_length(model, self.chat.tokenizer),
        )


def generate(
    model: Any, prompts: list[list[int]], max_tokens: int, *, pad: int, stop_ids: Sequence[int] = ()
) -> list[list[int]]:
    """Return how `transformers.generate` continues prompts, sampling, each up to its first stop."""
    longest = max(map(len, prompts))
    made = model.generate(
        input_ids=torch.tensor([[pad] * (longest - len(p)) + p for p in prompts]),
        attention_mask=torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts]),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        max_new_tokens=max_tokens,
        eos_token_id=list(stop_ids) or None,
        pad_token_id=pad,
    )
    replies = []
    for row in made[:, longest:].tolist():
        end = next((n for n, token in enumerate(row) if token in stop_ids), len(row) - 1)
        replies.append(row[: end + 1])
    return replies


class StepTimes(TrainerCallback):  # type: ignore[misc]
    """Notes when the steps of transformers' trainer end, and the tokens it had seen by then."""

    def __init__(self, clock: harness.Clock) -> None:
        self._clock = clock
        self.times: list[float] = []
        self.tokens: list[int] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The first step begins."""
        self.times.append(self._clock())
        self.tokens.append(state.num_input_tokens_seen)

    on_step_end = on_train_begin  # the next begins: fetching its batch is part of it

    def seconds(self) -> list[float]:
        """Return those of each step."""
        return [after - before for before, after in itertools.pairwise(self.times)]

    def rate(self) -> float:
        """Return tokens a second, from the end of the first step to that of the last."""
        return (self.tokens[-1] - self.tokens[1]) / (self.times[-1] - self.times[1])


def llama(size: str, **config: Any) -> LlamaForCausalLM:
    """Make a model of one of rlenv's presets with random weights, as transformers has it.

    Args:
        size: the preset's name.
        config: of `LlamaConfig` besides.
    """
    shape = presets.preset(size)
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=shape.width,
            intermediate_size=shape.mlp,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            tie_word_embeddings=True,
            **config,
        )
    )


def grpo_config(folder: Path, **settings: Any) -> Any:
    """Return TRL's configuration of GRPO as the rlenv side trains: DAPO's loss, no reference."""
    from trl import GRPOConfig

    from rlenv.trainers.common.trl_stage import checkpointing

    return GRPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        beta=0.0,
        loss_type="dapo",
        adam_beta2=0.95,
        weight_decay=0.0,
        max_grad_norm=1.0,
        report_to="none",
        **settings,
        **checkpointing(GRPOConfig, on=False),
    )
