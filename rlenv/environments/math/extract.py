r"""Finding the final answer in a reply.

The first of these that the reply has is taken:

1. `\boxed{...}`: the last one that closes, with those before it that only a comma, `and` or `or`
   stands between. What was boxed before them does not count.
2. `#### answer`: the last one.
3. `the answer is ...` or `answer: ...`: the last one, to the end of its sentence.
4. a formula between dollar signs (or `\(...\)`, `\[...\]`): the last one of the last line, or the
   display over several lines that the reply ends in.
5. the whole reply, where it is one line of at most 100 characters.

What stands inside `<think>...</think>` is not looked at. Of a long reply the last 100,000
characters are read, and 21,000 on both sides of the last box, so that no reply takes long.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rlenv import parsing

_SHORT = 100  # characters of a reply that may be an answer and nothing else
_TAIL = 100_000  # characters at the end of a reply in which an answer is looked for
_MENTIONS = 100  # of the word answer, from the end, that may state one
_AROUND = 21_000  # characters on each side of the last box
_BARE_BOX = re.compile(r"\\boxed\s{1,20}([^\s{}$\\]{1,200})")
_SPACED_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,20}\{")
_BETWEEN = re.compile(
    r"\s*(?:\\[)\]]|\$\$?)?\s*"
    r"(?P<join>(?:\s|[,;]|and\b|or\b|\\(?:q?quad|[,;: ])|\\text\s?\{\s?,?\s?(?:and|or)?\s?\})+)"
    r"\s*(?:\\[(\[]|\$\$?)?\s*(?:[A-Za-z](?:_\{?\w{1,6}\}?)?\s?=)?\s*"
)
_BETWEEN_LENGTH = 80  # characters between two boxes that are one answer
_STATED = re.compile(
    r"\banswer\b(?:\s{1,20}(?:to|for)\s[^.:\n]{0,80})?\s{0,20}(?:\*\*)?\s{0,20}"
    r"(?:(?:is|are|:|=)\s{0,20}:?\s{0,20}|(?=\$|\\[(\[]))",
    re.IGNORECASE,
)
_NAMING = re.compile(r"(?:the|an?|our|its?|there|this|that|we)\s", re.IGNORECASE)
_SAYS = re.compile(r"\b(?:is|are|equals)\b\s{0,20}:?")
_FORMULA = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]")
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]{0,400}(?:\.\d{1,400})?|\.\d{1,400})")
_TURN = "<|im_"  # of a chat format: what follows is no part of the reply


class Extracted(NamedTuple):
    """A final answer, and the rule that found it."""

    text: str
    rule: str


def extract(reply: str, *, last_number: bool = False) -> Extracted | None:
    """Return the final answer of a reply, or None where it states none.

    Args:
        reply: a policy's whole reply.
        last_number: whether the last number of a reply that states no answer is its answer.
    """
    spoken = parsing.after_thinking(reply)
    if spoken is None:
        return None
    reply = spoken.text.split(_TURN, 1)[0]
    if "\\boxed" in reply or "\\fbox" in reply:
        found = _boxed(reply)
        if found is not None:
            return found if found.text else None
    at = reply.rfind("####")
    hashes = parsing.hashes(reply[max(0, at - _AROUND) : at + _AROUND]) if at >= 0 else None
    if hashes is not None:
        return Extracted(hashes.text, "last ####")
    reply = reply[-_TAIL:]
    found = _stated(reply) or _in_the_last_line(reply)
    return _last_number(reply) if found is None and last_number else found


def _boxed(reply: str) -> Extracted | None:
    at = max(reply.rfind("\\boxed"), reply.rfind("\\fbox"))
    reply = _SPACED_BOX.sub(r"\\boxed{", reply[max(0, at - _AROUND) : at + _AROUND])
    boxes = parsing.boxes(reply)
    if not boxes:
        bare = _BARE_BOX.findall(reply)
        return Extracted(bare[-1].rstrip(".,"), "last box") if bare else None
    last = boxes[-1]
    contents, word = [last.text.strip()], ", "
    for before in reversed(boxes[:-1]):
        between = reply[before.end + 1 : last.start - len("\\boxed{")]
        if before.end > last.start or len(between) > _BETWEEN_LENGTH:
            break
        joined = _BETWEEN.fullmatch(between)
        if joined is None or not re.search(r"[,;a-z]", joined["join"].replace("quad", "")):
            break
        word = " or " if "or" in joined["join"] else word
        contents.insert(0, before.text.strip())
        last = before
    if len(contents) == 1 or len(set(contents)) == 1:
        return Extracted(contents[0], "last box")
    return Extracted(word.join(contents), "last boxes")


def _stated(reply: str) -> Extracted | None:
    stated = None
    end = len(reply)
    words = reply.lower()
    for _ in range(_MENTIONS):
        end = words.rfind("answer", 0, end)
        if end < 0:
            return None
        stated = _STATED.match(reply, end)
        if stated is not None:
            break
    if stated is None:
        return None
    rest = reply[stated.end() :].lstrip()
    for opening, closing in (("$$", "$$"), ("\\[", "\\]")):
        end = rest.find(closing, len(opening))
        if rest.startswith(opening) and end > 0:
            return Extracted(" ".join(rest[len(opening) : end].split()), "stated as the answer")
    line = rest.split("\n", 1)[0]
    line = line.replace("\\boxed{", "").strip().strip("$")  # one that never closes
    line = re.split(r"\.\s|[.!]$", line, maxsplit=1)[0].replace("**", "").strip()
    if _NAMING.match(line):  # as in `Final answer: the largest n is 34`
        says = list(_SAYS.finditer(line))
        line = line[says[-1].end() :] if says else line
    line = line.strip().strip("$").strip()
    return Extracted(line, "stated as the answer") if line else None


def _in_the_last_line(reply: str) -> Extracted | None:
    text = reply.rstrip().rstrip(".").rstrip()
    for opening, closing in (("$$", "$$"), ("\\[", "\\]")):
        start = text.rfind(opening, 0, max(0, len(text) - len(closing)))
        if text.endswith(closing) and start >= 0:
            display = text[start + len(opening) : -len(closing)]
            if display.strip() and closing not in display:
                return Extracted(" ".join(display.split()), "last formula")
    lines = [line for line in reply.splitlines() if line.strip()]
    if not lines:
        return None
    formulas = _FORMULA.findall(lines[-1]) if len(lines[-1]) <= 2000 else []
    if formulas:
        return Extracted(next(part for part in formulas[-1] if part).strip(), "last formula")
    if len(lines) == 1 and len(lines[0].strip()) <= _SHORT:
        return Extracted(lines[0].strip(), "the whole reply")
    return None


def _last_number(reply: str) -> Extracted | None:
    number = None
    for number in _NUMBER.finditer(reply):  # noqa: B007 the last one counts
        pass
    return Extracted(number[0].rstrip(","), "last number") if number else None
