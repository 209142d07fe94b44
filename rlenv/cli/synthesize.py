"""Conversations of a teacher, to fine-tune on: `rlenv synthesize TEACHER --env ENV`."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlenv.cli.options import (
    CommandParser,
    add_compute,
    add_env_options,
    add_sampling,
    add_seed,
    compute_with,
)
from rlenv.cli.values import at_least
from rlenv.common.errors import RunFailed, UserError, main_guard
from rlenv.common.files import check_writable, write_atomically
from rlenv.common.settings import parse
from rlenv.core import registry
from rlenv.core.task import Message
from rlenv.data.prompts import read_prompts
from rlenv.engines.base import Engine, Sampling
from rlenv.engines.chat import ChatModel, ChatModelSettings
from rlenv.engines.openai import PREFIX, parse_endpoint
from rlenv.engines.settings import EngineSettings
from rlenv.models.checkpoint_folder import local_checkpoint
from rlenv.run.config import read_options

Row = dict[str, Any]


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv synthesize",
        description="Let a teacher answer, and write its conversations as JSON Lines that the sft "
        "stage reads. An environment's tasks are verified: only replies that solve them are kept.",
    )
    made.add_argument(
        "teacher", help="a checkpoint folder or hub id; for --prompts also openai:NAME@URL"
    )
    source = made.add_mutually_exclusive_group(required=True)
    source.add_argument("--env", help="an environment id, or file.py:Id; its train split is played")
    source.add_argument(
        "--prompts", metavar="FILE", help="see `rlenv compare`; nothing is verified"
    )
    made.add_argument("--output", required=True, metavar="FILE", help="a .jsonl file")
    made.add_argument("--tasks", type=int, default=1000, help="or prompts (default: 1000)")
    made.add_argument("--samples", type=int, default=4, help="replies to each (default: 4)")
    made.add_argument("--keep", type=int, default=1, help="most right ones of a task (default: 1)")
    add_sampling(made, temperature=1.0, max_tokens=256)
    add_seed(made, of="of tasks and sampling")
    add_env_options(made)
    made.add_argument("--engine", default="auto", help="(default: auto)")
    made.add_argument("--url", default=EngineSettings().url, help="of the vLLM server")
    add_compute(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv synthesize`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _synthesize(arguments))


def _synthesize(arguments: argparse.Namespace) -> None:
    at_least(0, temperature=arguments.temperature, seed=arguments.seed)
    for name in ("tasks", "samples", "keep", "max_tokens"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} is at least 1")
    output = Path(arguments.output)
    if output.suffix != ".jsonl":
        raise UserError(f"--output {output} must be a .jsonl file")
    check_writable(output, "--output")
    named = {"kind": arguments.engine, "url": arguments.url}
    engine_settings = parse(EngineSettings, named, "--engine", "")
    options = read_options(arguments.option)
    prompts: list[list[Message]] = []
    if arguments.env is None:
        prompts, _ = read_prompts(Path(arguments.prompts), arguments.tasks)
    else:
        registry.make(arguments.env, split="train", **options).tasks.for_training()
    from rlenv.common.display import Display, quieten_transformers
    from rlenv.models import checkpoint
    from rlenv.models.chat_format import ChatFormat

    served = arguments.teacher.startswith(PREFIX)
    if served and arguments.env is not None:
        raise UserError(
            "a teacher behind a server answers --prompts alone; for --env give a checkpoint"
        )
    if not served:
        local_checkpoint(arguments.teacher, needs_chat=True)
    quieten_transformers()
    compute_with(arguments.threads)
    if arguments.env is None:
        teacher = _teacher(arguments, engine_settings)
        rows = list(from_prompts(prompts, teacher, arguments.samples, arguments.seed))
        tried = len(prompts) * arguments.samples
    else:
        model, tokenizer = checkpoint.load(arguments.teacher, device=arguments.device)
        chat = ChatFormat(tokenizer, arguments.teacher)
        rows = list(
            from_environment(
                arguments.env,
                options,
                checkpoint.engine_for(model, chat, engine_settings),
                chat,
                Sampling(temperature=arguments.temperature, max_tokens=arguments.max_tokens),
                tasks=arguments.tasks,
                samples=arguments.samples,
                keep=arguments.keep,
                seed=arguments.seed,
                max_length=checkpoint.context_length(model, tokenizer),
            )
        )
        tried = arguments.tasks * arguments.samples
    if not rows:
        raise RunFailed(f"none of {tried:,} replies was right or complete; nothing was written")
    made = {
        "teacher": arguments.teacher,
        "engine": arguments.engine,
        "temperature": arguments.temperature,
        "seed": arguments.seed,
    }
    lines = (
        json.dumps({**row, "made": {**made, **row["made"]}}, ensure_ascii=False) for row in rows
    )
    write_atomically(output, "".join(line + "\n" for line in lines))
    verified = "verified " if arguments.env is not None else ""
    Display().say(f"{output}: {len(rows):,} {verified}conversations of {tried:,} replies")


def from_environment(
    ref: str,
    options: dict[str, Any],
    engine: Engine,
    chat: Any,
    sampling: Sampling,
    *,
    tasks: int,
    samples: int,
    keep: int,
    seed: int,
    max_length: int,
) -> Iterator[Row]:
    """Let a teacher play training tasks, and yield the episodes that solve them.

    Args:
        ref: the environment, an id or `file.py:Id`.
        options: the environment's options.
        engine: the teacher.
        chat: its chat format.
        sampling: how it samples; max_tokens holds for each turn.
        tasks: how many to draw from the train split.
        samples: episodes of each.
        keep: the most of one task that are yielded.
        seed: decides which tasks are drawn and what is sampled.
        max_length: the most tokens of an episode.

    Yields:
        `messages`, and in `made` where they come from: `env`, `options`, `task` (its key),
        `reward`, `components`, `verified`.
    """
    from rlenv.rollouts.rollout import EnvPool, play
    from rlenv.trainers.sft.rejection import solved_episodes

    pool = EnvPool(lambda: registry.make(ref, split="train", **options))
    env = pool.take(1)[0]
    known = env.tasks.for_training()
    rng = random.Random(f"synthesize/{seed}")
    groups = play(
        pool,
        engine,
        chat,
        [known.sample(rng) for _ in range(tasks)],
        samples=samples,
        sampling=sampling,
        seed=seed,
        max_length=max_length,
    )
    name = registry.spec(ref).id
    for t in solved_episodes(groups, solved_at=env.solved_at, keep=keep):
        yield {
            "messages": [dict(message) for message in t.messages],
            "made": {
                "env": name,
                "options": options,
                "task": t.task.key,
                "reward": t.reward.value,
                "components": dict(t.reward.components),
                "verified": True,
            },
        }


def from_prompts(
    prompts: Sequence[Sequence[Message]], teacher: ChatModel, samples: int, seed: int
) -> Iterator[Row]:
    """Let a teacher answer prompts, and yield the answers that came to an end, each text once.

    Nobody verifies them, and `made` says so. What the teacher can't answer, such as a prompt that
    leaves no room for an answer, is passed over.

    Args:
        prompts: chat messages each.
        teacher: the model that answers them.
        samples: how many answers to each.
        seed: decides what is sampled.

    Raises:
        RunFailed: not one answer came to an end.
    """
    numbers = [n for n in range(len(prompts)) for _ in range(samples)]
    replies = teacher.reply([prompts[n] for n in numbers], seed)
    if all(reply.problem for reply in replies):
        raise RunFailed(f"no prompt was answered to its end ({replies[0].problem})")
    seen: set[tuple[int, str]] = set()
    for n, reply in zip(numbers, replies, strict=True):
        if not reply.problem and reply.text.strip() and (n, reply.text) not in seen:
            seen.add((n, reply.text))
            said = {"role": "assistant", "content": reply.text}
            yield {
                "messages": [*map(dict, prompts[n]), said],
                "made": {"prompt": n, "verified": False},
            }


def _teacher(arguments: argparse.Namespace, engine: EngineSettings) -> ChatModel:
    from rlenv.models.chat_models import LocalChatModel, load_chat_model

    name, url = arguments.teacher, None
    if name.startswith(PREFIX):
        name, url = parse_endpoint(name)
    settings = ChatModelSettings(
        model=name,
        url=url,
        temperature=arguments.temperature,
        max_tokens=arguments.max_tokens,
        device=arguments.device,
    )
    return load_chat_model(settings) if url else LocalChatModel.load(settings, engine)
