"""The formats in which conversations come: chat messages, prompt-completion, Alpaca, ShareGPT.

A format is recognised by its columns. A row gives conversations, or the reason why it has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rlenv.common.errors import UserError, did_you_mean
from rlenv.core.task import Message

Row = Mapping[str, Any]

# names that ShareGPT's and similar files give the speakers
_ROLES = {
    "assistant": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "chatgpt": "assistant",
    "function": "tool",
    "gpt": "assistant",
    "human": "user",
    "model": "assistant",
    "observation": "tool",
    "system": "system",
    "tool": "tool",
    "user": "user",
}


class BadRow(Exception):
    """A row that holds no conversation to learn from; the text says why."""


def _chat(row: Row) -> Iterator[list[Message]]:
    """`messages`: a list of `{role, content}` (OpenAI, TRL); `tools` may stand beside it."""
    messages = _turns(row["messages"], "role", "content")
    if row.get("tools"):
        tools = row["tools"]
        messages[0]["tools"] = tools if isinstance(tools, str) else json.dumps(tools)
    yield messages


def _prompt_completion(row: Row) -> Iterator[list[Message]]:
    """`prompt` and `completion`: texts, or lists of messages (TRL)."""
    prompt, completion = row["prompt"], row["completion"]
    asked = _said("user", prompt) if isinstance(prompt, str) else _turns(prompt, "role", "content")
    if isinstance(completion, str):
        yield [*asked, *_said("assistant", completion)]
    else:
        yield [*asked, *_turns(completion, "role", "content")]


def _alpaca(row: Row) -> Iterator[list[Message]]:
    """`instruction`, `input` (may be empty), `output` (Taori et al. 2023)."""
    yield _instructed(row, row)


def _self_instruct(row: Row) -> Iterator[list[Message]]:
    """`instruction` with `instances`, a list of `{input, output}` (Wang et al. 2023)."""
    if not row["instances"]:
        raise BadRow("no instances")
    for instance in row["instances"]:
        yield _instructed(row, instance)


def _sharegpt(row: Row) -> Iterator[list[Message]]:
    """`conversations`: a list of `{from, value}`; `system` may stand beside it."""
    system = _said("system", row["system"]) if row.get("system") else []
    yield [*system, *_turns(row["conversations"], "from", "value")]


# format -> the columns it needs, and how a row is read; the first whose columns are there is taken
FORMATS: dict[str, tuple[tuple[str, ...], Callable[[Row], Iterator[list[Message]]]]] = {
    "messages": (("messages",), _chat),
    "sharegpt": (("conversations",), _sharegpt),
    "prompt-completion": (("prompt", "completion"), _prompt_completion),
    "alpaca": (("instruction", "output"), _alpaca),
    "self-instruct": (("instruction", "instances"), _self_instruct),
}


def recognise(columns: Iterable[str], where: str) -> str:
    """Return the format of rows with these columns.

    Args:
        columns: names.
        where: they come from, for the message.

    Raises:
        UserError: no format has these columns.
    """
    present = list(columns)
    for form, (needed, _) in FORMATS.items():
        if set(needed) <= set(present):
            return form
    known = "; ".join(f"{', '.join(needed)} ({form})" for form, (needed, _) in FORMATS.items())
    hints = {did_you_mean(name, present) for needed, _ in FORMATS.values() for name in needed}
    raise UserError(
        f"{where} holds no conversations: its columns are {', '.join(present) or 'none'}; "
        f"rename them to one of: {known}.{min(hints, key=lambda hint: (not hint, hint))}"
    )


def read(row: Row, form: str) -> list[list[Message]]:
    """Return the conversations of a row, each with a question before its first reply.

    Args:
        row: its columns.
        form: a key of `FORMATS`.

    Raises:
        BadRow: there is none; the text is the reason, the same for all rows of that kind.
    """
    needed, reader = FORMATS[form]
    missing = [name for name in needed if row.get(name) is None]
    if missing:
        raise BadRow(f"no column {' and '.join(missing)}")
    conversations = list(reader(row))
    for messages in conversations:
        _check(messages)
    return conversations


def first_reply(messages: Iterable[Message]) -> int:
    """Return how many messages come before the first reply."""
    return next(n for n, message in enumerate(messages) if message["role"] == "assistant")


def _check(messages: list[Message]) -> None:
    replies = [message["content"] for message in messages if message["role"] == "assistant"]
    if not replies:
        raise BadRow("no reply")
    if not all(str(reply).strip() for reply in replies):
        raise BadRow("an empty reply")
    if not any(m["role"] == "user" and m["content"] for m in messages[: first_reply(messages)]):
        raise BadRow("no question before the first reply")


def _instructed(row: Row, instance: Row) -> list[Message]:
    parts = [row["instruction"], instance.get("input") or ""]
    if not isinstance(instance.get("output"), str) or not all(isinstance(p, str) for p in parts):
        raise BadRow("a message without text")
    system = _said("system", row["system"]) if row.get("system") else []
    question = "\n\n".join(part.strip() for part in parts if part.strip())
    return [*system, *_said("user", question), *_said("assistant", instance["output"])]


def _said(role: str, text: str) -> list[Message]:
    return [{"role": role, "content": text}]


def _turns(turns: Any, role: str, content: str) -> list[Message]:
    if not isinstance(turns, (list, tuple)) or not turns:
        raise BadRow("no messages")
    messages: list[Message] = []
    for turn in turns:
        if not isinstance(turn, Mapping) or role not in turn:
            raise BadRow(f"a message without {role!r}")
        if turn[role] not in _ROLES:
            raise BadRow(f"a message from {str(turn[role])!r}")
        if not isinstance(turn.get(content), str):
            raise BadRow("a message without text")
        messages.append({"role": _ROLES[turn[role]], "content": turn[content]})
    return messages
