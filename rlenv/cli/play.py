"""Sitting in the policy's chair: `rlenv play ENV`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rlenv.cli.options import (
    CommandParser,
    add_compute,
    add_env,
    add_json,
    add_sampling,
    add_seed,
    add_split,
    compute_with,
)
from rlenv.cli.values import at_least
from rlenv.common.display import Display
from rlenv.common.errors import RunFailed, main_guard
from rlenv.common.terminal import say_json
from rlenv.common.verdicts import scored
from rlenv.core import registry
from rlenv.core.env import TextEnv
from rlenv.core.protocols import styled
from rlenv.core.reward import Reward
from rlenv.core.task import Message, check_split
from rlenv.core.tools import ToolEnv
from rlenv.parsing import write_tool_call
from rlenv.run.config import read_options

Policy = Callable[[Sequence[Message]], str]


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv play",
        description="Play an episode yourself, or watch a checkpoint play, and see the reward "
        "broken down. An empty line sends what you typed; Ctrl-D gives up.",
    )
    add_env(made)
    made.add_argument("--policy", metavar="CHECKPOINT", help="let this checkpoint play")
    add_split(made, "train")
    add_seed(made, None, of="decides the task")
    add_sampling(made, temperature=0.0, max_tokens=256, of="a reply of --policy")
    add_compute(made)
    add_json(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv play`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _play(arguments))


def _play(arguments: argparse.Namespace) -> None:
    check_split(arguments.split)
    at_least(1, max_tokens=arguments.max_tokens)
    at_least(0, seed=arguments.seed, temperature=arguments.temperature)
    env = registry.make(arguments.env, split=arguments.split, **read_options(arguments.option))
    display = Display()
    if arguments.policy is None:
        policy: Policy = lambda _: ask(display)  # noqa: E731
    else:
        compute_with(arguments.threads)
        policy = checkpoint_policy(
            arguments.policy,
            arguments.temperature,
            arguments.max_tokens,
            arguments.seed or 0,
            arguments.device,
        )
    if arguments.policy is None and not arguments.json:
        display.say(how_to_reply(env, typed=sys.stdin.isatty()))
    episode = play(env, policy, arguments.seed, None if arguments.json else display)
    if arguments.json:
        say_json(episode)
    if episode["status"] == "grader_error":
        raise RunFailed(f"the reply could not be judged: {episode['detail']}")


def how_to_reply(env: TextEnv, *, typed: bool) -> str:
    """Return how a person replies in an environment: how to send, and which tools there are.

    Args:
        env: the environment.
        typed: at a terminal, not through a pipe.
    """
    lines = [
        "Each line is a reply, and so is a block from ``` to ```; where they end, you give up."
    ]
    if typed:
        lines = [
            "Type a reply. An empty line sends it, and so does the ``` that closes a code block; "
            "Ctrl-D gives up."
        ]
    if isinstance(env, ToolEnv):
        lines.append("Tools that you may call before you answer:")
        for name, tool in env.tools.items():
            about = tool.schema["function"]
            given = about["parameters"]["properties"]
            takes = ", ".join(f"{one}: {kind.get('type', 'any')}" for one, kind in given.items())
            call = write_tool_call(name, dict.fromkeys(given, "...")).replace("\n", "")
            lines += [f"  {name}({takes})   {about['description'].splitlines()[0]}", f"    {call}"]
    return "\n".join([*lines, ""])


def play(env: TextEnv, policy: Policy, seed: int | None, display: Display | None) -> dict[str, Any]:
    """Play one episode.

    Args:
        env: the environment.
        policy: from the messages so far to a reply; `EOFError` gives up.
        seed: the environment's.
        display: where to show it as it happens; None for nowhere.

    Returns:
        `messages`, `reward`, `components`, `status`, `detail`, `truncated` and `gave_up`.
    """
    _, info = env.reset(seed=seed)
    total: Reward | None = None
    truncated = over = gave_up = False
    shown = 0
    while not over:
        shown = _show(display, env, info["messages"], shown)
        try:
            reply = policy(info["messages"])
        except EOFError:
            gave_up = True
            break
        _, _, terminated, truncated, info = env.step(reply)
        earned = info["reward"]
        total = earned if total is None else total + earned
        over = terminated or truncated
    _show(display, env, info["messages"], shown)
    if display is not None:
        _verdict(display, env, total, truncated, gave_up)
    return {
        "messages": info["messages"],
        "reward": total.value if total is not None and total.judged else None,
        "components": dict(total.components) if total else {},
        "status": total.status if total else None,
        "detail": total.detail if total else "",
        "truncated": truncated,
        "gave_up": gave_up,
    }


def ask(display: Display) -> str:
    """Read a reply from standard input: up to an empty line, or one line in a pipe.

    A line that opens a code block begins a reply that ends where the block is closed.

    Raises:
        EOFError: the input ended.
    """
    asks = sys.stdin.isatty()
    lines = [input("you> " if asks else "")]
    fenced = lines[0].startswith("```")
    while lines[-1] != "```" if fenced else asks and lines[-1]:
        lines.append(input("...> " if asks else ""))
    return "\n".join(lines if fenced or not asks else lines[:-1])


def checkpoint_policy(
    source: str, temperature: float, max_tokens: int, seed: int, device: str = "auto"
) -> Policy:
    """Return a policy that replies with a checkpoint."""
    from rlenv.common.display import quieten_transformers
    from rlenv.engines.base import Request, Sampling
    from rlenv.models import checkpoint
    from rlenv.models.chat_format import ChatFormat

    quieten_transformers()
    model, tokenizer = checkpoint.load(source, device=device)
    chat = ChatFormat(tokenizer, source)
    engine = checkpoint.engine_for(model, chat)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)

    def reply(messages: Sequence[Message]) -> str:
        (completion,) = engine.generate([Request(chat.prompt(messages), seed)], sampling)
        return chat.decode(completion.token_ids)

    return reply


def _show(display: Display | None, env: TextEnv, messages: Sequence[Message], shown: int) -> int:
    if display is not None:
        for message in messages[shown:]:
            display.message(message["role"], message["content"], styled(env, message))
    return len(messages)


def _verdict(
    display: Display, env: TextEnv, total: Reward | None, truncated: bool, gave_up: bool
) -> None:
    if total is None:
        display.say("\nno reply, no reward")
        return
    ended = " (gave up)" if gave_up else " (out of turns)" if truncated else ""
    word = total.verdict(env.solved_at, env.reward_range[0])
    display.say(f"\nreward {scored(total.value, total.status, word)}{ended}   {total.detail}")
    if total.components:
        display.table(["component", "value"], [[k, f"{v:g}"] for k, v in total.components.items()])
