"""An environment's tasks, sizes and reward: `rlenv show ENV`."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from typing import Any

from rlenv.cli.options import CommandParser, add_env, add_json
from rlenv.common.errors import UserError, main_guard
from rlenv.common.terminal import say_json
from rlenv.core import registry
from rlenv.core.env import TextEnv
from rlenv.core.task import SPLITS
from rlenv.run.config import read_options

_COUNTED = 2000  # of an endless task set, look for so many different tasks


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv show", description="Show an environment: its tasks, sizes and reward."
    )
    add_env(made)
    made.add_argument("--tasks", type=int, default=2, help="tasks shown of each split")
    add_json(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv show ENV`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _show(arguments))


def describe(spec: registry.EnvSpec, options: dict[str, Any], tasks: int) -> dict[str, Any]:
    """Return what `rlenv show` says of an environment, as plain values."""
    env = spec.make(**options)
    splits = {}
    for split in SPLITS:
        made = spec.make(split=split, **options)
        found = made.tasks.distinct(_COUNTED)
        splits[split] = {
            "tasks": len(found),
            "more": len(found) == _COUNTED,
            "fingerprint": made.tasks.fingerprint,
            "samples": [
                {
                    "prompt": [dict(message) for message in task.prompt],
                    "gold": made.demonstrate(task, task.prompt),
                    "metadata": dict(task.metadata),
                }
                for task in found[:tasks]
            ],
        }
    return {
        "id": spec.id,
        "what": inspect.getdoc(type(env)) or "",
        "options": {**dict(spec.options), **options},
        "max_turns": env.max_turns,
        "reward_range": list(env.reward_range),
        "solved_at": env.solved_at,
        "components": components(env),
        "splits": splits,
    }


def components(env: TextEnv) -> dict[str, float]:
    """Return the reward components that the first gold reply of an episode earns."""
    _, info = env.reset(seed=0)
    assert env.task is not None
    reply = env.demonstrate(env.task, info["messages"])
    reward = env.step("" if reply is None else reply)[4]["reward"]
    return dict(reward.components)


def _show(arguments: argparse.Namespace) -> None:
    from rlenv.common.display import Display

    if arguments.tasks < 0:
        raise UserError("--tasks can't be negative")
    shown = describe(
        registry.spec(arguments.env), read_options(arguments.option), max(1, arguments.tasks)
    )
    if arguments.json:
        say_json(shown, default=str)
        return
    display = Display()
    display.say(f"{shown['id']}\n\n{shown['what']}\n")
    turns = "one turn" if shown["max_turns"] in (None, 1) else f"at most {shown['max_turns']} turns"
    low, high = shown["reward_range"]
    display.table(
        ["", ""],
        [
            ["episode", turns],
            ["reward", f"{low:g} to {high:g}, right from {shown['solved_at']:g}"],
            ["components", ", ".join(shown["components"]) or "none"],
            *(
                [name, f"{part['tasks']:,}{' or more' if part['more'] else ''} different tasks"]
                for name, part in shown["splits"].items()
            ),
        ],
    )
    for name, part in shown["splits"].items():
        for sample in part["samples"][: arguments.tasks]:
            display.say(f"\n{name}")
            for message in sample["prompt"]:
                display.say(f"  {message['role']}: {message['content']}")
            if sample["gold"] is not None:
                display.say(f"  gold: {sample['gold']}")
