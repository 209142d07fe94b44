"""Paging through the episodes that a run has kept: `rlenv view RUN`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from rlenv.cli.options import CommandParser, add_json
from rlenv.common.console import Console
from rlenv.common.errors import UserError, did_you_mean, main_guard
from rlenv.common.files import read_lines
from rlenv.common.terminal import say_json, visible
from rlenv.common.verdicts import COLOURS, scored, verdict
from rlenv.core import registry
from rlenv.run import config

Episode = Mapping[str, Any]

# what the card has a place of its own for; every other field of an episode is listed as it is
_PLACED = {
    *("stage", "step", "env", "task_key", "prompt", "reply", "messages"),
    *("reward", "components", "status", "verdict", "detail", "truncated"),
}
_HELP = "→ next   ← previous   g first   G last   q quit"
_MOVES = {
    **dict.fromkeys(("\x1b[C", "\x1bOC", "n", " ", "\n", "\r"), "next"),
    **dict.fromkeys(("\x1b[D", "\x1bOD", "p", "b", "\x7f"), "previous"),
    "g": "first",
    "G": "last",
    **dict.fromkeys(("q", "\x04", "\x1b", ""), "quit"),
}


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv view",
        description="Page through the episodes that a run has kept: prompt, reply, reward and its "
        f"components, advantages. On a terminal: {_HELP}. In a pipe all are printed.",
    )
    made.add_argument("run", help="a run's folder")
    made.add_argument("--stage", help="only this stage's")
    made.add_argument("--step", metavar="N or N-M", help="only of this step, or of these")
    made.add_argument("--env", metavar="TEXT", help="only of environments whose id contains this")
    outcome = made.add_mutually_exclusive_group()
    outcome.add_argument("--right", action="store_true", help="only solved ones")
    outcome.add_argument("--wrong", action="store_true", help="only judged ones that are not right")
    add_json(made, ", one episode a line")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv view RUN`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _view(arguments))


def _view(arguments: argparse.Namespace) -> None:
    run = Path(arguments.run)
    if not (run / "config.yaml").is_file():
        raise UserError(f"{run} holds no run: there is no config.yaml in it")
    settings = config.read(run / "config.yaml")
    env = settings.environment
    if env is None:
        raise UserError(f"{run} plays no environment, so it has no episodes")
    kept = [{"env": env.id, **line} for line in read_lines(run / "episodes.jsonl")]
    if not kept:
        raise UserError(f"{run} has kept no episodes yet; a stage such as grpo keeps some")
    episodes = pick(
        kept,
        stage=arguments.stage,
        steps=None if arguments.step is None else parse_steps(arguments.step),
        env=arguments.env,
    )
    if arguments.right or arguments.wrong:
        solved_at = registry.make(env.id, **env.options).solved_at
        episodes = [
            e
            for e in episodes
            if e.get("reward") is not None and (e["reward"] >= solved_at) == arguments.right
        ]
    if not episodes:
        raise UserError(f"none of the {len(kept)} episodes that {run} has kept is like that")
    if arguments.json:
        for episode in episodes:
            say_json(episode)
        return
    console = Console()
    if console.is_terminal and sys.stdin.isatty():
        page(console, episodes)
    else:
        for number in range(len(episodes)):
            console.print(card(episodes, number))


def parse_steps(text: str) -> range:
    """Return the steps that `N` or `N-M` names.

    Raises:
        UserError: it is neither.
    """
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if found is None:
        raise UserError(f"--step is a number or a range such as 10-20, not {text!r}")
    first = int(found[1])
    return range(first, int(found[2] or first) + 1)


def pick(
    episodes: Sequence[Episode],
    *,
    stage: str | None = None,
    steps: range | None = None,
    env: str | None = None,
) -> list[Episode]:
    """Return the episodes of a stage, of some steps, and of environments of a name.

    Args:
        episodes: as kept, with `env` filled in.
        stage: its name.
        steps: the steps.
        env: a part of the environment's id. An environment made of others names the one that was
            played among the reward's components.

    Raises:
        UserError: no such stage has kept an episode.
    """
    stages = dict.fromkeys(str(e["stage"]) for e in episodes)
    if stage is not None and stage not in stages:
        raise UserError(
            f"stage {stage!r} has kept no episodes; these have: {', '.join(stages)}."
            f"{did_you_mean(stage, stages)}"
        )

    def is_of(episode: Episode) -> bool:
        names = [str(episode["env"]), *episode.get("components", {})]
        return env is None or any(env.lower() in name.lower() for name in names)

    return [
        e
        for e in episodes
        if stage in (None, e["stage"]) and (steps is None or e["step"] in steps) and is_of(e)
    ]


def card(episodes: Sequence[Episode], number: int) -> RenderableType:
    """Return one episode as it is shown.

    Args:
        episodes: those that are paged through.
        number: which one, from 0.
    """
    episode = episodes[number]
    title = f"{episode['stage']}, step {episode['step']}   {episode['env']}"
    told = episode.get("messages") or [
        {"role": "prompt", "content": episode.get("prompt", "")},
        {"role": "reply", "content": episode.get("reply", "")},
    ]
    lines: list[RenderableType] = [
        Rule(Text(f"{title}   {number + 1} of {len(episodes)}"), align="left")
    ]
    for message in told:
        said_by_policy = message["role"] in ("reply", "assistant")
        lines.append(
            Text.assemble(
                (f"{message['role']}  ", "dim"),
                (visible(str(message["content"])), "bold" if said_by_policy else ""),
            )
        )
    return Group(*lines, Text(), _figures(episode))


def _figures(episode: Episode) -> Table:
    value = episode.get("reward")
    status = str(episode.get("status", "ok"))
    word = episode.get("verdict") or verdict(value, status)
    cut = ", truncated" if episode.get("truncated") else ""
    table = Table.grid(padding=(0, 2))
    table.add_row(
        Text("reward", "dim"), Text(scored(value, status, word) + cut, COLOURS.get(word, "dim"))
    )
    if episode.get("detail"):
        table.add_row("", visible(str(episode["detail"])))
    for name, part in episode.get("components", {}).items():
        table.add_row(Text(f"  {name}", "dim"), _figure(part))
    for name, field in episode.items():
        if name not in _PLACED and field is not None:
            table.add_row(Text(name, "dim"), _figure(field))
    return table


def _figure(value: Any) -> Text:
    """Return a field as text; of many numbers only where they lie."""
    numbers = [v for v in value if isinstance(v, (int, float))] if isinstance(value, list) else []
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    if len(numbers) > 8:
        return Text(f"{min(numbers):.4g} to {max(numbers):.4g} over {len(numbers)}")
    if numbers and len(numbers) == len(value):
        return Text(", ".join(f"{n:.4g}" for n in numbers))
    return Text(visible(value if isinstance(value, str) else json.dumps(value)))


def page(console: Console, episodes: Sequence[Episode]) -> None:
    """Show one episode at a time, and move at the press of a key."""
    number, last = 0, len(episodes) - 1
    with _keys() as read_key:
        while True:
            console.clear()
            console.print(card(episodes, number))
            console.print(Text(f"\n{_HELP}", "dim"))
            match _MOVES.get(read_key()):
                case "next":
                    number = min(number + 1, last)
                case "previous":
                    number = max(number - 1, 0)
                case "first":
                    number = 0
                case "last":
                    number = last
                case "quit":
                    return


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """Yield a function that waits for a key and returns what it sends, "" at the input's end."""
    import termios
    import tty

    terminal = sys.stdin.fileno()

    def read_key() -> str:
        sent = os.read(terminal, 1)
        if sent == b"\x1b" and select.select([terminal], [], [], 0.05)[0]:
            sent += os.read(terminal, 2)  # an arrow sends three bytes
        return sent.decode("utf-8", "replace")

    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal, termios.TCSADRAIN)  # what was typed ahead is kept
        yield read_key
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
