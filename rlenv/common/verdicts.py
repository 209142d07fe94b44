"""How a reward and a long text are put to people; files for machines keep values and statuses."""

from __future__ import annotations

import math
from typing import Literal

Verdict = Literal["right", "partly", "wrong", "not judged"]

COLOURS: dict[str, str] = {"right": "green", "partly": "yellow", "wrong": "red"}
_WHY = {"unparseable": "no answer found", "timeout": "judging it took too long"}


def verdict(
    value: float | None, status: str = "ok", *, solved_at: float = 1.0, lowest: float = 0.0
) -> Verdict:
    """Return the word for a reward.

    Args:
        value: the reward; None or NaN where there is none.
        status: the reward's status.
        solved_at: from which reward on an episode counts as solved.
        lowest: the lowest reward that the environment gives.

    Returns:
        `right` from `solved_at` on; `wrong` at the lowest reward, and where nothing was earned;
        `partly` in between; `not judged` where the grader failed.
    """
    if value is None or not math.isfinite(value) or status == "grader_error":
        return "not judged"
    if value >= solved_at:
        return "right"
    return "partly" if value > max(lowest, 0.0) else "wrong"


def scored(value: float | None, status: str = "ok", word: str = "") -> str:
    """Return a reward as people read it, such as `0.00 wrong: no answer found`.

    Args:
        value: the reward; None or NaN where there is none.
        status: the reward's status, whose reason is added to a reply that is not right.
        word: what `verdict` says of it; by its defaults if left out.
    """
    word = word or verdict(value, status)
    if value is None or word == "not judged":
        return "not judged"
    why = f": {_WHY[status]}" if status in _WHY and word != "right" else ""
    return f"{figure(value)} {word}{why}"


def figure(value: float) -> str:
    """Return a reward with two decimals, and with more where it would look like none."""
    if not math.isfinite(value):
        return "none"
    return f"{value + 0.0:.2f}" if value == 0 or abs(value) >= 0.005 else f"{value:.1g}"


def shorten(text: str, most: int) -> str:
    """Return a text on one line of at most so many characters: its beginning, and how it ends.

    Args:
        text: white space in it becomes single spaces.
        most: characters, at least 10.
    """
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    end = (most - 3) // 3  # questions of one kind begin alike, and differ at the end
    return f"{line[: most - 3 - end].rstrip()} … {line[-end:].lstrip()}"
