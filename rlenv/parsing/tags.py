"""XML-like tags: any by name, and the thinking and answer tags of reasoning models."""

from __future__ import annotations

import re
from functools import lru_cache

from rlenv.parsing.match import Match, last, pair


def tag(reply: str, name: str) -> Match | None:
    """Find the last closed `<name>...</name>`.

    Tags are matched as written: case counts, attributes are not allowed.

    Args:
        reply: a policy's whole reply.
        name: of the tag, without brackets.

    Example:
        >>> tag("<answer>42</answer>", "answer").text
        '42'
    """
    return _tag(reply, name, 0)


def thinking(reply: str) -> Match | None:
    """Find what the reply thinks before it answers.

    It reaches from the first `<think>` to the last `</think>`. Chat templates may put the opening
    into the prompt; then it begins with the reply. Where no `</think>` follows the last
    `<think>`, the reply was cut while thinking: everything from there on is thought, too, and the
    problem is `unclosed`.

    Args:
        reply: a policy's whole reply.
    """
    opening, closing = reply.find("<think>"), reply.rfind("</think>")
    if opening == -1 and closing == -1:
        return None
    problems: tuple[str, ...] = ()
    if opening == -1 or -1 < closing < opening:
        start, problems = 0, ("unopened",)
    else:
        start = opening + len("<think>")
    end = closing
    if reply.rfind("<think>") > closing:
        end, problems = len(reply), (*problems, "unclosed")
    return Match(reply[start:end], start, end, "<think>", problems)


def after_thinking(reply: str) -> Match | None:
    """Find what follows the thinking: the whole reply where it has no thinking tags.

    Returns None where the thinking never ends.

    Args:
        reply: a policy's whole reply.
    """
    closing = reply.rfind("</think>")
    if reply.rfind("<think>") > closing:
        return None
    start = 0 if closing == -1 else closing + len("</think>")
    return Match(reply[start:], start, len(reply), "after thinking")


def answer(reply: str) -> Match | None:
    """Find the last closed `<answer>...</answer>` that follows the thinking.

    What is tagged as an answer inside the thinking is a thought.

    Args:
        reply: a policy's whole reply.
    """
    rest = after_thinking(reply)
    return None if rest is None else _tag(reply, "answer", rest.start)


def _tag(reply: str, name: str, begin: int) -> Match | None:
    marks = (
        ("close" if m[1] else "open", m.start(), m.end())
        for m in _pattern(name).finditer(reply, begin)
    )
    spans, problems = pair(marks)
    return last(reply, spans, f"<{name}>", problems)


@lru_cache(maxsize=64)
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(f"<(/?){re.escape(name)}>")
