"""Finding the answer in a reply. Each parser returns None where the reply does not hold one."""

from __future__ import annotations

import re

_INTEGER = re.compile(r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)")
_FINAL = re.compile(
    r"(?:=|\bis|\bare|:|####)\s*\$?\s*(?P<number>[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+))\s*\$?\s*[.!]?\s*$",
    re.IGNORECASE,
)
_MAX_DIGITS = 4000  # int() is quadratic, and Python refuses more than 4,300 digits


def integer(reply: str) -> int | None:
    """Return the integer that the reply states as its answer.

    The reply is either the number alone, or ends in one after `=`, `:`, `####` or `is`
    (`17 + 25 = 42.`, `The answer is 42`), or holds it in its last `\\boxed{}`. A reply that lists
    several candidates states none.

    Args:
        reply: a policy's whole reply.
    """
    text = reply.strip()
    box = boxed(text)
    if box is not None:
        text = box.strip()
    whole = _INTEGER.fullmatch(text.rstrip(".!"))
    found = whole[0] if whole else None
    if found is None and box is None and text:
        final = _FINAL.search(text.splitlines()[-1])
        found = final["number"] if final else None
    if found is None or len(found) > _MAX_DIGITS:
        return None
    return int(found.replace(",", "").replace("−", "-"))


def boxed(reply: str) -> str | None:
    r"""Return the content of the last `\boxed{...}` that closes, braces inside it balanced.

    Args:
        reply: a policy's whole reply.
    """
    opening = r"\boxed{"
    start = reply.rfind(opening)
    while start != -1:
        depth = 1
        for position in range(start + len(opening), len(reply)):
            depth += {"{": 1, "}": -1}.get(reply[position], 0)
            if depth == 0:
                return reply[start + len(opening) : position]
        start = reply.rfind(opening, 0, start)
    return None
