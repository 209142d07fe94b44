"""Preferences between replies: the forms in which data sets hold them, read into pairs.

Rows may have any of TRL's forms, Alpaca's columns, or a ranking of several replies:

- `prompt`, `chosen`, `rejected`: texts, or lists of chat messages;
- `chosen`, `rejected` alone, which begin with the prompt (implicit prompt);
- `instruction`, perhaps `input`, in place of `prompt`;
- `prompt`, `replies`, and `ranks` (1 is the best) or `scores`;
- `margin`: by how much the chosen reply is better; `tie`: true if neither is.

A row that can't be used says why. Nothing is dropped without being counted.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rlenv.data import Rows
from rlenv.errors import UserError
from rlenv.task import Message, Split, Task

COLUMNS = (
    *("prompt", "chosen", "rejected", "instruction", "input"),
    *("replies", "ranks", "scores", "margin", "tie"),
)

# why pairs are left out
TIE = "ties"
EMPTY = "with an empty reply"
EMPTY_PROMPT = "with an empty prompt"
SAME = "whose replies are the same"
REPEATED = "seen before"
CONTRADICTED = "that contradict an earlier one"


@dataclass(frozen=True)
class Pair:
    """Two replies to one prompt, the first one preferred.

    Attributes:
        prompt: chat messages.
        chosen: the better reply.
        rejected: the worse one.
        margin: by how much it is better, where that is known.
        ids: tokens of prompt, chosen and rejected as a policy read and sampled them, where one
            did; they are trained on as they are.
        played: the task of an environment that the replies answer, where they do.
    """

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    margin: float | None = None
    ids: tuple[list[int], list[int], list[int]] | None = None
    played: Task | None = None

    @cached_property
    def task(self) -> Task:
        """The prompt as a task; its content decides the split of all its pairs."""
        return self.played or Task(self.prompt)

    @property
    def split(self) -> Split:
        """`train`, `validation` or `test`."""
        return self.task.split


class Unusable(Exception):
    """Why a row, or a pair of it, is not used."""


@dataclass
class Preferences:
    """The pairs of a data set, and how many were left out for what reason.

    Attributes:
        pairs: that can be used.
        problems: reason to how many pairs, or rows that gave none.
        examples: reason to the number of the first row it was seen in, from 1.
    """

    pairs: list[Pair] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)
    examples: dict[str, int] = field(default_factory=dict)
    _seen: set[tuple[str, str, str]] = field(default_factory=set, repr=False)

    def add(self, pair: Pair, row: int) -> None:
        """Take a pair in, unless it teaches nothing.

        Args:
            pair: any.
            row: the number of the row it came from.
        """
        reason = self._wrong_with(pair)
        if reason is not None:
            self.leave_out(reason, row)
            return
        self._seen.add((pair.task.key, pair.chosen, pair.rejected))
        self.pairs.append(pair)

    def _wrong_with(self, pair: Pair) -> str | None:
        if not any(str(message["content"]).strip() for message in pair.prompt):
            return EMPTY_PROMPT
        if not pair.chosen.strip() or not pair.rejected.strip():
            return EMPTY
        if pair.chosen == pair.rejected:
            return SAME
        if (pair.task.key, pair.chosen, pair.rejected) in self._seen:
            return REPEATED
        if (pair.task.key, pair.rejected, pair.chosen) in self._seen:
            return CONTRADICTED
        return None

    def leave_out(self, reason: str, row: int) -> None:
        """Count what is not used."""
        self.problems[reason] += 1
        self.examples.setdefault(reason, row)

    @property
    def bad(self) -> float:
        """The share that was left out; ties are no fault of the data and do not count."""
        faulty = sum(self.problems.values()) - self.problems[TIE]
        return faulty / max(1, faulty + len(self.pairs))

    def of(self, *splits: Split) -> list[Pair]:
        """Return the pairs of some splits."""
        return [pair for pair in self.pairs if pair.split in splits]

    def summary(self) -> str:
        """Return one sentence on what is used and what is not."""
        kept = f"{len(self.pairs):,} pairs"
        if not self.problems:
            return kept
        out = ", ".join(
            f"{count:,} {reason} (first in row {self.examples[reason]})"
            for reason, count in self.problems.most_common()
        )
        return f"{kept}; left out: {out}"


def read(rows: Rows, columns: Mapping[str, str] | None = None) -> Preferences:
    """Read rows into pairs.

    Args:
        rows: see above; `rlenv.data.load_rows` makes them of a file or a `datasets` id.
        columns: what the columns are called here, such as `{"prompt": "question"}`.

    Raises:
        UserError: `columns` renames what no form has.
    """
    for name in columns or {}:
        if name not in COLUMNS:
            raise UserError(f"preferences have no column {name!r}; they have {', '.join(COLUMNS)}")
    found = Preferences()
    for number, row in enumerate(rows, 1):
        renamed = {**row, **{ours: row.get(theirs) for ours, theirs in (columns or {}).items()}}
        try:
            pairs = pairs_of(renamed)
        except Unusable as reason:
            found.leave_out(str(reason), number)
            continue
        for pair in pairs:
            found.add(pair, number)
    return found


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
