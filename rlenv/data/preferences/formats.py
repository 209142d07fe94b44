"""Rows of the forms that data sets have, read into pairs or labelled replies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rlenv.common.errors import UserError
from rlenv.core.rows import Rows
from rlenv.core.task import Message
from rlenv.data.preferences.types import (
    EMPTY_PROMPT,
    NO_LABEL,
    TIE,
    Labelled,
    Pair,
    Preferences,
    Unusable,
)

COLUMNS = (
    *("prompt", "chosen", "rejected", "instruction", "input"),
    *("replies", "ranks", "scores", "margin", "tie"),
    *("completion", "label"),
)
_OF_PAIRS = ("chosen", "rejected", "replies")
_OF_LABELLED = ("completion", "label")
_LABELS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def read(rows: Rows, columns: Mapping[str, str] | None = None) -> Preferences:
    """Read rows into pairs, or into labelled replies.

    Args:
        rows: see `rlenv.data.preferences`; `rlenv.core.rows.load_rows` makes them of a file or an
            id.
        columns: what the columns are called here, such as `{"prompt": "question"}`.

    Raises:
        UserError: `columns` renames what no form has.
    """
    for name in columns or {}:
        if name not in COLUMNS:
            raise UserError(f"preferences have no column {name!r}; they have {', '.join(COLUMNS)}")
    found = Preferences()
    names = (columns or {}).items()
    renamed = [{**row, **{ours: row.get(theirs) for ours, theirs in names}} for row in rows]
    # what a row lacks is told by the form that the others have
    unpaired = any(map(_is_labelled, renamed))
    for number, row in enumerate(renamed, 1):
        try:
            if unpaired and not _has(row, _OF_PAIRS):
                found.unpaired += 1
                found.add_labelled(labelled_of(row), number)
            else:
                for pair in pairs_of(row):
                    found.add(pair, number)
        except Unusable as reason:
            found.leave_out(str(reason), number)
    return found


def labelled_of(row: Mapping[str, Any]) -> Labelled:
    """Return the labelled reply that a row holds.

    Raises:
        Unusable: it holds none; the text says why.
    """
    row = {name: value for name, value in row.items() if value is not None}
    for name in _OF_LABELLED:
        if name not in row:
            raise Unusable(f"without the column {name!r}")
    prompt = _prompt(row)
    # a file of another kind than JSON may hold a label as text or as a number
    good = _LABELS.get(str(row["label"]).strip().lower())
    if good is None:
        raise Unusable(NO_LABEL)
    return Labelled(tuple(prompt), _reply(row["completion"], prompt), good)


def _is_labelled(row: Mapping[str, Any]) -> bool:
    return _has(row, _OF_LABELLED) and not _has(row, _OF_PAIRS)


def _has(row: Mapping[str, Any], names: Sequence[str]) -> bool:
    return any(row.get(name) is not None for name in names)


def pairs_of(row: Mapping[str, Any]) -> list[Pair]:
    """Return the pairs that a row holds.

    Raises:
        Unusable: it holds none; the text says why.
    """
    row = {name: value for name, value in row.items() if value is not None}
    if "replies" in row:
        return _of_ranking(row)
    for name in ("chosen", "rejected"):
        if name not in row:
            raise Unusable(f"without the column {name!r}")
    if row.get("tie"):
        raise Unusable(TIE)
    if "prompt" in row or "instruction" in row:
        prompt = _prompt(row)
        chosen, rejected = (_reply(row[name], prompt) for name in ("chosen", "rejected"))
    else:
        prompt, chosen, rejected = implicit_prompt(row["chosen"], row["rejected"])
    return [Pair(tuple(prompt), chosen, rejected, _number(row.get("margin"), "margin"))]


def from_ranking(
    prompt: Sequence[Message],
    replies: Sequence[str],
    worth: Sequence[float],
    *,
    margins: bool = False,
) -> list[Pair]:
    """Expand a ranking of K replies to its pairs (Ouyang et al. 2022, section 3.5).

    Args:
        prompt: chat messages.
        replies: K of them.
        worth: of each, the higher the better; equal ones give no pair.
        margins: the differences of worth mean something, and become the pairs' margins.

    Returns:
        Up to K (K - 1) / 2 pairs, none of them of two replies of equal worth.
    """
    pairs = []
    for (one, high), (other, low) in itertools.combinations(zip(replies, worth, strict=True), 2):
        if high == low:
            continue
        better, worse = (one, other) if high > low else (other, one)
        pairs.append(Pair(tuple(prompt), better, worse, abs(high - low) if margins else None))
    return pairs


def implicit_prompt(chosen: Any, rejected: Any) -> tuple[list[Message], str, str]:
    """Take apart two conversations, or two texts, that begin with the same prompt.

    Texts part at the first character in which they differ, or at the space before it.

    Raises:
        Unusable: they do not begin alike, or what follows is not one reply each.
    """
    if isinstance(chosen, str) and isinstance(rejected, str):
        same = itertools.takewhile(
            lambda both: both[0] == both[1], zip(chosen, rejected, strict=False)
        )
        common = "".join(character for character, _ in same)
        if common.endswith(" ") and len(common) < min(len(chosen), len(rejected)):
            common = common[:-1]  # the space belongs to the word that follows
        if not common.strip():
            raise Unusable(EMPTY_PROMPT)
        return [_user(common)], chosen[len(common) :], rejected[len(common) :]
    ours, theirs = _messages(chosen), _messages(rejected)
    shared = 0
    while shared < min(len(ours), len(theirs)) and ours[shared] == theirs[shared]:
        shared += 1
    # equal conversations share their last reply as well, which is no part of the prompt
    shared = min(shared, len(ours) - 1, len(theirs) - 1)
    prompt = ours[:shared]
    return prompt, _reply(ours[shared:], prompt), _reply(theirs[shared:], prompt)


def _of_ranking(row: Mapping[str, Any]) -> list[Pair]:
    prompt = _prompt(row)
    replies = [_reply(reply, prompt) for reply in row["replies"]]
    if ("ranks" in row) == ("scores" in row):
        raise Unusable("whose replies have neither or both of ranks and scores")
    name = "ranks" if "ranks" in row else "scores"
    if len(row[name]) != len(replies):
        raise Unusable(f"with a number of {name} that is not that of the replies")
    values = [_number(value, name) or 0.0 for value in row[name]]
    worth = [-value for value in values] if name == "ranks" else values
    pairs = from_ranking(prompt, replies, worth, margins=name == "scores")
    if not pairs:
        raise Unusable(TIE)
    return pairs


def _prompt(row: Mapping[str, Any]) -> list[Message]:
    if "prompt" in row:
        prompt = row["prompt"]
        return [_user(prompt)] if isinstance(prompt, str) else _messages(prompt)
    if "instruction" not in row:
        raise Unusable("without the column 'prompt'")
    parts = [str(row["instruction"]), str(row.get("input", ""))]
    return [_user("\n\n".join(part for part in parts if part.strip()))]


def _reply(value: Any, prompt: Sequence[Message]) -> str:
    """Return a reply given as text, as one message, or as the conversation up to it."""
    if isinstance(value, str):
        return value
    messages = _messages(value)
    if len(messages) > 1 and messages[: len(prompt)] == list(prompt):
        messages = messages[len(prompt) :]
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise Unusable("whose replies are not one message of the assistant each")
    return str(messages[0]["content"])


def _messages(value: Any) -> list[Message]:
    # a Parquet file gives arrays in place of lists
    found = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else []
    whole = [m for m in found if isinstance(m, Mapping) and {"role", "content"} <= set(m)]
    if not found or len(whole) < len(found):
        raise Unusable("with something else than texts or chat messages")
    return [{"role": m["role"], "content": m["content"]} for m in whole]


def _number(value: Any, name: str) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise Unusable(f"with {name} that can't be read as numbers")
    return number


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
