"""Numbers stated as an answer."""

from __future__ import annotations

import re

from rlenv.parsing.boxed import boxed

_INTEGER = re.compile(r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)")
_STATES = re.compile(r"(?:=|\bis|\bare|:|####)\Z", re.IGNORECASE)
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
        found = _final(text.splitlines()[-1])
    if found is None or len(found) > _MAX_DIGITS:
        return None
    return int(found.replace(",", "").replace("−", "-"))


def _final(line: str) -> str | None:
    """Return the number that a line ends in, if something before it says that it is the answer.

    Read from the end by hand: a pattern with optional blanks on both sides of an optional sign
    takes cubic time on a line of blanks.
    """
    text = line.rstrip()
    if text[-1:] in (".", "!"):
        text = text[:-1].rstrip()
    text = text.removesuffix("$").rstrip()
    cut = len(text)
    while cut and (text[cut - 1].isdecimal() or text[cut - 1] == ","):
        cut -= 1
    if cut and text[cut - 1] in "-+−":
        cut -= 1
    number, before = text[cut:], text[:cut].rstrip().removesuffix("$").rstrip()
    if _INTEGER.fullmatch(number) and _STATES.search(before[-5:]):
        return number
    return None
