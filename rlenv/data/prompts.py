"""Prompts in files: a line each, or conversations up to their first reply."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rlenv.common.errors import UserError
from rlenv.core.rows import load_rows
from rlenv.core.task import Message
from rlenv.data import conversation_formats


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


def question_of(messages: Sequence[Message]) -> str:
    """Return a prompt as text: its message, or all of them with who said them."""
    if len(messages) == 1:
        return str(messages[0]["content"])
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)
