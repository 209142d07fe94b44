r"""Answers marked in place: `\boxed{...}` and `#### ...`."""

from __future__ import annotations

import re

from rlenv.parsing.match import Match, Span, last, pair

_BRACES = re.compile(r"\\boxed\{|[{}]")
_HASHES = re.compile(r"#+")


def boxed(reply: str) -> str | None:
    r"""Return the content of the last `\boxed{...}` that closes, braces inside it balanced.

    Args:
        reply: a policy's whole reply.
    """
    found = last_boxed(reply)
    return None if found is None else found.text


def last_boxed(reply: str) -> Match | None:
    r"""Find the last `\boxed{...}` that closes, braces inside it balanced.

    Args:
        reply: a policy's whole reply.

    Example:
        >>> last_boxed(r"\boxed{41}, no: \boxed{42}")
        Match(text='42', start=23, end=25, rule='\\boxed{}', problems=('conflicting',))
    """
    spans, problems = _spans(reply)
    # a brace that closes nothing is text, not a failed box
    return last(reply, spans, r"\boxed{}", [p for p in problems if p != "unopened"])


def boxes(reply: str) -> tuple[Match, ...]:
    r"""Find every `\boxed{...}` that closes and holds no other, in order.

    Args:
        reply: a policy's whole reply.

    Example:
        >>> [box.text for box in boxes(r"\boxed{3} and \boxed{4}")]
        ['3', '4']
    """
    spans, _ = _spans(reply)
    return tuple(
        Match(reply[start:end], start, end, r"\boxed{}")
        for (start, end), after in zip(spans, [*spans[1:], (len(reply), 0)], strict=False)
        if after[0] >= end
    )


def _spans(reply: str) -> tuple[list[Span], list[str]]:
    kinds = {"{": "inner", "}": "close"}
    marks = ((kinds.get(m[0], "open"), m.start(), m.end()) for m in _BRACES.finditer(reply))
    return pair(marks)


def hashes(reply: str) -> Match | None:
    """Find the last `#### answer`: what follows exactly four hashes, to the end of the line.

    Marks with nothing after them count as `unclosed`.

    Args:
        reply: a policy's whole reply.

    Example:
        >>> hashes("17 + 25 = 42\\n#### 42").text
        '42'
    """
    marks = [m for m in _HASHES.finditer(reply) if len(m[0]) == 4]
    spans = []
    problems = []
    ends = [mark.start() for mark in marks[1:]] + [len(reply)]
    for mark, end in zip(marks, ends, strict=False):
        content = reply[mark.end() : end].split("\n", 1)[0]
        start = mark.end() + len(content) - len(content.lstrip())
        stop = mark.end() + len(content.rstrip())
        if start < stop:
            spans.append((start, stop))
        else:
            problems = ["unclosed"]
    return last(reply, spans, "####", problems)
