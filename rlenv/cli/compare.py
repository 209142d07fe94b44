"""Answers side by side: `rlenv compare BASE SFT RL --prompts FILE`.

Given two evaluations, the command compares these instead; see `rlenv.evaluation.comparison`.
"""

from __future__ import annotations

import argparse
import html
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from rlenv.common.errors import UserError, main_guard
from rlenv.common.files import write_atomically
from rlenv.core.rows import load_rows
from rlenv.core.task import Message
from rlenv.data import conversation_formats
from rlenv.engines.base import Request, Sampling, mix
from rlenv.evaluation.folder import is_evaluation
from rlenv.models.checkpoint_folder import local_checkpoint


@dataclass
class Comparison:
    """What several checkpoints say to the same prompts.

    Attributes:
        prompts: what each was asked; of a conversation the messages before its first reply.
        references: the replies that the file of prompts has; empty where it has none.
        answers: name of a checkpoint to its answers, one a prompt.
        cut: name of a checkpoint to whether each answer was cut off at the most tokens.
    """

    prompts: list[list[Message]]
    references: list[str]
    answers: dict[str, list[str]] = field(default_factory=dict)
    cut: dict[str, list[bool]] = field(default_factory=dict)

    def columns(self) -> list[str]:
        """Return the names of the columns of `rows`."""
        reference = ["reference"] if any(self.references) else []
        return ["prompt", *self.answers, *reference]

    def rows(self) -> list[list[str]]:
        """Return a row of texts for each prompt."""
        made = []
        for n, messages in enumerate(self.prompts):
            said = [
                answers[n] + (" […]" if self.cut[name][n] else "")
                for name, answers in self.answers.items()
            ]
            reference = [self.references[n]] if any(self.references) else []
            made.append([_question(messages), *said, *reference])
        return made

    def plain(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "prompts": self.prompts,
            "references": self.references,
            "answers": self.answers,
            "cut": self.cut,
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv compare`; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if any(is_evaluation(Path(word)) for word in words):
        from rlenv.evaluation import comparison

        return comparison.main(words)
    parser = argparse.ArgumentParser(
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
    parser.add_argument("--max-tokens", type=int, default=64, help="of an answer (default: 64)")
    parser.add_argument("--temperature", type=float, default=0.0, help="(default: 0, greedy)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling (default: 0)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument("--output", metavar="FILE", help="write a .md, .html or .json file too")
    parser.add_argument("--json", action="store_true", help="print JSON, which suits a pipe")
    arguments = parser.parse_args(words)
    return main_guard(lambda: _compare(arguments))


def _compare(arguments: argparse.Namespace) -> None:
    named = name_columns(arguments.checkpoints)
    for source in named.values():
        local_checkpoint(source, needs_chat=False)
    if arguments.limit < 1 or arguments.max_tokens < 1:
        raise UserError("--limit and --max-tokens are at least 1")
    write = None if arguments.output is None else _writer(Path(arguments.output))
    prompts, references = read_prompts(Path(arguments.prompts), arguments.limit)
    from rlenv.common.display import Display, quieten_transformers

    quieten_transformers()
    sampling = Sampling(temperature=arguments.temperature, max_tokens=arguments.max_tokens)
    made = Comparison(prompts, references)
    for name, source in named.items():
        made.answers[name], made.cut[name] = answer(
            source, prompts, sampling, seed=arguments.seed, device=arguments.device
        )
    if write is not None:
        write(made)
    if arguments.json:
        print(json.dumps(made.plain(), ensure_ascii=False))  # noqa: T201
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


def read_prompts(path: Path, limit: int) -> tuple[list[list[Message]], list[str]]:
    """Read prompts, and the replies that the file has for them.

    Args:
        path: a text file with a prompt a line, or rows of conversations, or rows with a `prompt`.
        limit: how many.

    Raises:
        UserError: there is no such file, or no prompt in it.
    """
    if path.suffix in (".txt", ".md") and path.is_file():
        lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()][:limit]
        prompts: list[list[Message]] = [[{"role": "user", "content": line}] for line in lines]
        references = [""] * len(lines)
    else:
        prompts, references = [], []
        rows = load_rows(path)
        lone = all("prompt" in row and "completion" not in row for row in rows)
        form = (
            ""
            if lone
            else conversation_formats.recognise({name for row in rows for name in row}, str(path))
        )
        for row in rows:
            if lone:
                asked = row["prompt"]
                messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
                prompts.append(list(messages))
                references.append("")
                continue
            try:
                talks = conversation_formats.read(row, form)
            except conversation_formats.BadRow:  # has no question, or no reply to compare with
                continue
            for talk in talks:
                first = conversation_formats.first_reply(talk)
                prompts.append(talk[:first])
                references.append(str(talk[first]["content"]))
    if not prompts:
        raise UserError(f"{path} has no prompts")
    return prompts[:limit], references[:limit]


def answer(
    source: str,
    prompts: Sequence[Sequence[Message]],
    sampling: Sampling,
    *,
    seed: int = 0,
    device: str = "auto",
) -> tuple[list[str], list[bool]]:
    """Let a checkpoint answer prompts.

    One without a chat template goes on with the text of the prompt.

    Args:
        source: a folder or a hub id.
        prompts: conversations up to where it answers.
        sampling: how to sample.
        seed: of the sampling.
        device: see `checkpoint.load`.

    Returns:
        The answers, and whether each was cut off.

    Raises:
        UserError: a prompt leaves no room for an answer.
    """
    from rlenv.models import checkpoint
    from rlenv.models.chat_format import ChatFormat

    model, tokenizer = checkpoint.load(source, device=device)
    if tokenizer.chat_template:
        chat = ChatFormat(tokenizer, source)
        engine = checkpoint.engine_for(model, chat)
        read = [chat.prompt(messages) for messages in prompts]
    else:
        engine = checkpoint.engine_for(model, checkpoint.Continuing(tokenizer))
        read = [checkpoint.begin(tokenizer, _question(messages)) for messages in prompts]
    room = checkpoint.context_length(model, tokenizer)
    requests = []
    for n, ids in enumerate(read):
        if len(ids) >= room:
            raise UserError(
                f"prompt {n + 1} has {len(ids)} tokens, which leaves {source} no room for an "
                f"answer: it reads {room}"
            )
        most = min(sampling.max_tokens, room - len(ids))
        requests.append(Request(ids, seed=mix(seed, n), max_tokens=most))
    completions = engine.generate(requests, sampling)
    texts = [tokenizer.decode(c.token_ids, skip_special_tokens=True) for c in completions]
    return texts, [not c.stopped for c in completions]


def markdown(made: Comparison) -> str:
    """Return a comparison as a Markdown table."""

    def cell(text: str) -> str:
        # HTML is escaped too: Markdown lets it through
        return html.escape(text, quote=False).replace("|", "\\|").replace("\n", "<br>")

    lines = [made.columns(), ["---"] * len(made.columns()), *made.rows()]
    return "".join(f"| {' | '.join(map(cell, line))} |\n" for line in lines)


def page(made: Comparison) -> str:
    """Return a comparison as a self-contained HTML page."""
    style = resources.files("rlenv.reports").joinpath("report.css").read_text("utf-8")
    head = "".join(f"<th>{html.escape(name)}</th>" for name in made.columns())
    rows = "".join(
        "<tr>" + "".join(f'<td class="text">{html.escape(text)}</td>' for text in row) + "</tr>"
        for row in made.rows()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Answers</title>'
        f"<style>{style}</style></head><body><main><h1>Answers side by side</h1>"
        f"<table><tr>{head}</tr>{rows}</table></main></body></html>\n"
    )


def _writer(path: Path) -> Callable[[Comparison], None]:
    forms_of_files: dict[str, Callable[[Comparison], str]] = {
        ".md": markdown,
        ".html": page,
        ".json": lambda made: json.dumps(made.plain(), ensure_ascii=False, indent=1) + "\n",
    }
    if path.suffix not in forms_of_files:
        raise UserError(f"--output {path} ends in none of {', '.join(forms_of_files)}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"the folder of {path} does not exist")
    return lambda made: write_atomically(path, forms_of_files[path.suffix](made))


def _question(messages: Sequence[Message]) -> str:
    if len(messages) == 1:
        return str(messages[0]["content"])
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)
