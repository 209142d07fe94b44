"""Tool calls written as JSON, in `<tool_call>` tags or bare."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlenv.parsing.fences import code
from rlenv.parsing.match import Match
from rlenv.parsing.tags import after_thinking

_TAGS = re.compile(r"<(/?)tool_call>")
_MARKS = re.compile(r"<(/?(?:tool_call|think)>)")  # what must not occur inside a call


@dataclass(frozen=True)
class ToolCall(Match):
    """A tool call, or what was meant to be one.

    Attributes:
        name: of the tool; empty where the call is malformed.
        arguments: by name.
    """

    name: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


class _Malformed(ValueError):
    pass


def tool_calls(reply: str) -> tuple[ToolCall, ...]:
    """Find the tool calls of a reply, in order.

    A call is `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`. Without such tags, a
    reply that is nothing but such an object, or a list of them, counts as bare JSON, also in a
    fenced block of its own. What lies in the thinking is no call. Arguments may be a JSON text,
    may be called `parameters`, and may be missing for none.

    A call that can't be read comes back too, with an empty name and the problem (`not JSON`,
    `no name`, `arguments are no object`, `conflicting` for a key given twice), so that the
    environment can tell the policy. A tag that is never closed comes back as `unclosed` and is not
    read: a truncated call must not run. A call ends at the first closing tag.

    Args:
        reply: a policy's whole reply.

    Example:
        >>> tool_calls('<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>')[0].name
        'add'
    """
    rest = after_thinking(reply)
    if rest is None:
        return ()
    calls = []
    opened: int | None = None
    for mark in _TAGS.finditer(reply, rest.start):
        if not mark[1]:
            if opened is not None:
                calls.append(_unclosed(reply, opened, mark.start()))
            opened = mark.end()
        elif opened is not None:
            calls.append(_call(reply, opened, mark.start()))
            opened = None
    if opened is not None:
        calls.append(_unclosed(reply, opened, len(reply)))
    return tuple(calls) if calls else _bare(reply, rest.start)


def write_tool_call(name: str, arguments: Mapping[str, Any]) -> str:
    """Write a call as `tool_calls` reads it.

    Args:
        name: of the tool.
        arguments: by name, what JSON can hold.

    Example:
        >>> write_tool_call("add", {"a": 1})
        '<tool_call>\\n{"name": "add", "arguments": {"a": 1}}\\n</tool_call>'
    """
    call = json.dumps({"name": name, "arguments": dict(arguments)}, ensure_ascii=False)
    call = _MARKS.sub(r"\\u003c\1", call)  # JSON may spell a character by its number
    return f"<tool_call>\n{call}\n</tool_call>"


def _unclosed(reply: str, start: int, end: int) -> ToolCall:
    return ToolCall(reply[start:end], start, end, "<tool_call>", ("unclosed",))


def _call(reply: str, start: int, end: int) -> ToolCall:
    text = reply[start:end]
    try:
        name, arguments = _read(_loads(text))
    except _Malformed as problem:
        return ToolCall(text, start, end, "<tool_call>", (str(problem),))
    return ToolCall(text, start, end, "<tool_call>", (), name, arguments)


def _bare(reply: str, begin: int) -> tuple[ToolCall, ...]:
    """Read a reply that is JSON and nothing else; anything short of that is no call at all."""
    text = reply[begin:]
    start = begin + len(text) - len(text.lstrip())
    end = begin + len(text.rstrip())
    if reply.startswith("```", start):
        block = code(reply[start:end], "json")
        if block is None or not block.clean:
            return ()
        outside = reply[start : start + block.start] + reply[start + block.end : end]
        if re.fullmatch(r"```+(?:json)?\s*```+", outside.replace("\n", " ")) is None:
            return ()
        start, end = start + block.start, start + block.end
    if reply[start : start + 1] not in ("{", "["):
        return ()
    try:
        value = _loads(reply[start:end])
        items = value if isinstance(value, list) else [value]
        read = [_read(item) for item in items]
    except _Malformed:
        return ()
    return tuple(ToolCall(reply[start:end], start, end, "JSON", (), *call) for call in read)


def _read(value: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value["name"]:
        raise _Malformed("no name")
    if "arguments" in value and "parameters" in value:
        raise _Malformed("conflicting")
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = _loads(arguments)
    if not isinstance(arguments, dict):
        raise _Malformed("arguments are no object")
    return value["name"], arguments


def _loads(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except _Malformed:
        raise
    except (ValueError, RecursionError):
        raise _Malformed("not JSON") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Malformed("conflicting")
    return found


def _no_constant(name: str) -> Any:
    raise _Malformed("not JSON")  # NaN and Infinity are Python's, not JSON's
