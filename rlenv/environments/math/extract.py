r"""Finding the final answer in a reply.

The first of these that the reply has is taken:

1. `\boxed{...}`: the last one that closes. What was boxed before it does not count.
2. `#### answer`: the last one.
3. `the answer is ...` or `answer: ...`: the last one, to the end of its sentence.
4. a formula between dollar signs (or `\(...\)`, `\[...\]`): the last one of the last line.
5. the whole reply, where it is one line of at most 100 characters.

What stands inside `<think>...</think>` is not looked at.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rlenv import parsing

_SHORT = 100  # characters of a reply that may be an answer and nothing else
_BARE_BOX = re.compile(r"\\boxed\s+([^\s{}$\\]+)")
_STATED = re.compile(
    r"\banswer\b(?:\s+(?:to|for)\s[^.:\n]{0,80})?\s*(?:\*\*)?\s*(?:is|are|:|=)\s*:?\s*",
    re.IGNORECASE,
)
_FORMULA = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]")


class Extracted(NamedTuple):
    """A final answer, and the rule that found it."""

    text: str
    rule: str


def extract(reply: str) -> Extracted | None:
    """Return the final answer of a reply, or None where it states none.

    Args:
        reply: a policy's whole reply.
    """
    spoken = parsing.after_thinking(reply)
    if spoken is None:
        return None
    reply = spoken.text
    reply = reply.replace("\\fbox{", "\\boxed{")
    if "\\boxed" in reply:
        found = parsing.last_boxed(reply)
        if found is not None:
            return Extracted(found.text.strip(), "last box") if found.text.strip() else None
        bare = _BARE_BOX.findall(reply)
        if bare:
            return Extracted(bare[-1].rstrip(".,"), "last box")
    hashes = parsing.hashes(reply) if "####" in reply else None
    if hashes is not None:
        return Extracted(hashes.text, "last ####")
    stated = list(_STATED.finditer(reply))
    if stated:
        line = reply[stated[-1].end() :].lstrip().split("\n", 1)[0]
        line = line.replace("\\boxed{", "").strip().strip("$")  # one that never closes
        line = re.split(r"\.\s|[.!]$", line, maxsplit=1)[0].replace("**", "").strip()
        if line:
            return Extracted(line, "stated as the answer")
    lines = [line for line in reply.splitlines() if line.strip()]
    if not lines:
        return None
    formulas = _FORMULA.findall(lines[-1]) if len(lines[-1]) <= 2000 else []
    if formulas:
        return Extracted(next(part for part in formulas[-1] if part).strip(), "last formula")
    if len(lines) == 1 and len(lines[0].strip()) <= _SHORT:
        return Extracted(lines[0].strip(), "the whole reply")
    return None
