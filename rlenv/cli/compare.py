"""Which of two evaluations is better, or what checkpoints answer side by side.

`rlenv compare EVALUATION EVALUATION` and `rlenv compare BASE SFT RL --prompts FILE`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rlenv.cli.options import (
    CommandParser,
    add_compute,
    add_json,
    add_sampling,
    add_seed,
    add_show,
    compute_with,
)
from rlenv.cli.values import at_least
from rlenv.common.errors import UserError, main_guard
from rlenv.common.terminal import say_json

if TYPE_CHECKING:
    from rlenv.evaluation.side_by_side import SideBySide


def parsers() -> list[CommandParser]:
    """Return both of the command line's parsers."""
    return [_answers_parser(), _evaluations_parser()]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv compare`; returns its exit code."""
    from rlenv.evaluation.folder import is_evaluation

    words = list(sys.argv[1:] if argv is None else argv)
    if any(is_evaluation(Path(word)) for word in words):
        evaluations = _evaluations_parser().parse_args(words)
        return main_guard(lambda: _compare_evaluations(evaluations))
    if "--prompts" not in {word.partition("=")[0] for word in words}:
        gone = [word for word in _first(words) if "=" not in word and not Path(word).exists()]
        if gone:
            return main_guard(lambda: _refuse(gone[0]))
    arguments = _answers_parser().parse_args(words)
    return main_guard(lambda: _compare_answers(arguments))


def _first(words: Sequence[str]) -> Iterator[str]:
    """Yield the words before the first option."""
    return itertools.takewhile(lambda word: not word.startswith("-"), words)


def _refuse(word: str) -> None:
    raise UserError(
        f"{word} does not exist; give the folders of two evaluations, or checkpoints with "
        "--prompts FILE"
    )


def _evaluations_parser() -> CommandParser:
    parser = CommandParser(
        prog="rlenv compare",
        description="Compare two evaluations on the same tasks: a paired test, and the tasks that "
        "flipped.",
    )
    parser.add_argument("a", help="an evaluation's folder")
    parser.add_argument("b", help="another one's")
    add_show(parser, "flipped tasks")
    add_json(parser, ", with all flipped tasks")
    return parser


def _answers_parser() -> CommandParser:
    parser = CommandParser(
        prog="rlenv compare",
        description="Let several checkpoints answer the same prompts, and show their answers side "
        "by side. Given the folders of two evaluations, say whether they differ.",
    )
    parser.add_argument(
        "checkpoints",
        nargs="+",
        metavar="CHECKPOINT",
        help="a folder or a hub id; name=CHECKPOINT gives its column a name",
    )
    parser.add_argument(
        "--prompts",
        required=True,
        metavar="FILE",
        help="a text file with a prompt a line, or conversations (JSON, JSONL, CSV, Parquet)",
    )
    parser.add_argument("--limit", type=int, default=12, help="take so many prompts (default: 12)")
    add_sampling(parser, temperature=0.0, max_tokens=64, of="an answer")
    add_seed(parser, of="of the sampling")
    add_compute(parser)
    parser.add_argument("--output", metavar="FILE", help="write a .md, .html or .json file too")
    add_json(parser)
    return parser


def _compare_evaluations(arguments: argparse.Namespace) -> None:
    from rlenv.common.display import Display
    from rlenv.common.verdicts import shorten
    from rlenv.evaluation.paired_test import compare_evaluations

    found = compare_evaluations(Path(arguments.a), Path(arguments.b))
    if arguments.json:
        say_json({**asdict(found), "sentence": found.sentence()}, ensure_ascii=True)
        return
    display = Display()
    display.say(f"A {arguments.a}   pass@1 {found.a:.3f}\nB {arguments.b}   pass@1 {found.b:.3f}\n")
    display.say(found.sentence())
    if found.left_out:
        display.say(f"{found.left_out} tasks of one of them alone are left out.")
    for what, pairs in (("solved by B alone", found.gained), ("solved by A alone", found.lost)):
        display.say(f"\n{what}: {len(pairs)}")
        rows = [
            [
                f"{pair.a:.2f} -> {pair.b:.2f}",
                shorten(pair.prompt, 70),
                pair.task_key[:8],
            ]
            for pair in pairs[: arguments.show]
        ]
        if rows:
            display.table(["A -> B", "task", "key"], rows)


def _compare_answers(arguments: argparse.Namespace) -> None:
    at_least(0, temperature=arguments.temperature, seed=arguments.seed)
    from rlenv.common.display import Display, quieten_transformers
    from rlenv.data.prompts import read_prompts
    from rlenv.engines.base import Sampling
    from rlenv.evaluation.side_by_side import SideBySide, answer
    from rlenv.models.checkpoint_folder import local_checkpoint

    named = name_columns(arguments.checkpoints)
    for source in named.values():
        local_checkpoint(source, needs_chat=False)
    if arguments.limit < 1 or arguments.max_tokens < 1:
        raise UserError("--limit and --max-tokens are at least 1")
    write = None if arguments.output is None else _writer(Path(arguments.output))
    prompts, references = read_prompts(Path(arguments.prompts), arguments.limit)
    quieten_transformers()
    compute_with(arguments.threads)
    sampling = Sampling(temperature=arguments.temperature, max_tokens=arguments.max_tokens)
    made = SideBySide(prompts, references)
    for name, source in named.items():
        made.answers[name], made.cut[name] = answer(
            source, prompts, sampling, seed=arguments.seed, device=arguments.device
        )
    if write is not None:
        write(made)
    if arguments.json:
        say_json(made.plain())
    else:
        Display(wrap=True).table(made.columns(), made.rows())


def name_columns(given: Sequence[str]) -> dict[str, str]:
    """Return a name for each checkpoint: the one given, its folder's, or all of its path.

    Raises:
        UserError: two are given the same name.
    """
    split = [text.partition("=") if "=" in text else ("", "", text) for text in given]
    short = [Path(source).name for _, _, source in split]
    names = [
        name or (own if short.count(own) == 1 else source)
        for (name, _, source), own in zip(split, short, strict=True)
    ]
    if len(set(names)) < len(names):
        raise UserError("two checkpoints have the same name; give each its own: name=CHECKPOINT")
    return dict(zip(names, (source for _, _, source in split), strict=True))


def _writer(path: Path) -> Callable[[SideBySide], None]:
    from rlenv.common.files import check_writable, write_atomically
    from rlenv.reports.answers_page import answers_page, markdown

    forms_of_files: dict[str, Callable[[SideBySide], str]] = {
        ".md": markdown,
        ".html": answers_page,
        ".json": lambda made: json.dumps(made.plain(), ensure_ascii=False, indent=1) + "\n",
    }
    if path.suffix not in forms_of_files:
        raise UserError(f"--output {path} ends in none of {', '.join(forms_of_files)}")
    check_writable(path, "--output")
    return lambda made: write_atomically(path, forms_of_files[path.suffix](made))
