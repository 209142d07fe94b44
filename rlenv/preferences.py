"""Preferences: the forms in which data sets hold them, read into pairs or labelled replies.

Rows may have any of TRL's forms, Alpaca's columns, or a ranking of several replies:

- `prompt`, `chosen`, `rejected`: texts, or lists of chat messages;
- `chosen`, `rejected` alone, which begin with the prompt (implicit prompt);
- `instruction`, perhaps `input`, in place of `prompt`;
- `prompt`, `replies`, and `ranks` (1 is the best) or `scores`;
- `margin`: by how much the chosen reply is better; `tie`: true if neither is;
- `prompt`, `completion`, `label`: one reply that is good (true) or bad by itself, no pair.

A row that can't be used says why. Nothing is dropped without being counted.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rlenv.data import Rows
from rlenv.errors import UserError
from rlenv.task import Message, Split, Task

COLUMNS = (
    *("prompt", "chosen", "rejected", "instruction", "input"),
    *("replies", "ranks", "scores", "margin", "tie"),
    *("completion", "label"),
)
_OF_PAIRS = ("chosen", "rejected", "replies")
_OF_LABELLED = ("completion", "label")
_LABELS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}

# why pairs are left out
TIE = "ties"
EMPTY = "with an empty reply"
EMPTY_PROMPT = "with an empty prompt"
SAME = "whose replies are the same"
REPEATED = "seen before"
CONTRADICTED = "that contradict an earlier one"
NO_LABEL = "with a label that is neither true nor false"


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
        row: the number of the row it came from; 0 where that is not known.
    """

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    margin: float | None = None
    ids: tuple[list[int], list[int], list[int]] | None = None
    played: Task | None = None
    row: int = field(default=0, compare=False)

    @cached_property
    def task(self) -> Task:
        """The prompt as a task; its content decides the split of all its pairs."""
        return self.played or Task(self.prompt)

    @property
    def split(self) -> Split:
        """`train`, `validation` or `test`."""
        return self.task.split


@dataclass(frozen=True)
class Labelled:
    """A reply that is good or bad by itself, compared with no other.

    Attributes:
        prompt: chat messages.
        reply: to them.
        good: its label.
        row: as of `Pair`.
    """

    prompt: tuple[Message, ...]
    reply: str
    good: bool
    row: int = field(default=0, compare=False)

    @cached_property
    def task(self) -> Task:
        """The prompt as a task; its content decides the split of all its replies."""
        return Task(self.prompt)

    @property
    def split(self) -> Split:
        """`train`, `validation` or `test`."""
        return self.task.split


class Unusable(Exception):
    """Why a row, or a pair of it, is not used."""


@dataclass
class Preferences:
    """The pairs or labelled replies of a data set, and how many were left out for what reason.

    Attributes:
        pairs: that can be used.
        labelled: replies with a label that can be used.
        unpaired: how many rows held a labelled reply in place of pairs, the bad ones counted too.
        problems: reason to how many pairs, or rows that gave none.
        examples: reason to the number of the first row it was seen in, from 1.
    """

    pairs: list[Pair] = field(default_factory=list)
    labelled: list[Labelled] = field(default_factory=list)
    unpaired: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    examples: dict[str, int] = field(default_factory=dict)
    _seen: set[tuple[str, str, str]] = field(default_factory=set, repr=False)
    _labels: dict[tuple[str, str], bool] = field(default_factory=dict, repr=False)

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
        self.pairs.append(replace(pair, row=row))

    def add_labelled(self, one: Labelled, row: int) -> None:
        """Take a labelled reply in, unless it teaches nothing.

        Args:
            one: any.
            row: the number of the row it came from.
        """
        place = (one.task.key, one.reply)
        if _is_empty(one.prompt):
            self.leave_out(EMPTY_PROMPT, row)
        elif not one.reply.strip():
            self.leave_out(EMPTY, row)
        elif place in self._labels:
            self.leave_out(REPEATED if self._labels[place] == one.good else CONTRADICTED, row)
        else:
            self._labels[place] = one.good
            self.labelled.append(replace(one, row=row))

    def _wrong_with(self, pair: Pair) -> str | None:
        if _is_empty(pair.prompt):
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
        self.examples[reason] = min(row, self.examples.get(reason, row))

    def take_out(self, items: Sequence[Pair | Labelled], reason: str) -> None:
        """Leave out what was taken in before."""
        for item in items:
            self.leave_out(reason, item.row)
        these = set(map(id, items))
        self.pairs = [pair for pair in self.pairs if id(pair) not in these]
        self.labelled = [one for one in self.labelled if id(one) not in these]

    @property
    def bad(self) -> float:
        """The share that was left out; ties are no fault of the data and do not count."""
        faulty = sum(self.problems.values()) - self.problems[TIE]
        return faulty / max(1, faulty + len(self.pairs) + len(self.labelled))

    def of(self, *splits: Split) -> list[Pair]:
        """Return the pairs of some splits."""
        return [pair for pair in self.pairs if pair.split in splits]

    def labelled_of(self, *splits: Split) -> list[Labelled]:
        """Return the labelled replies of some splits."""
        return [one for one in self.labelled if one.split in splits]

    def summary(self) -> str:
        """Return one sentence on what is used and what is not."""
        kept = f"{len(self.pairs):,} pairs"
        if self.unpaired:
            good = sum(one.good for one in self.labelled)
            kept = f"{good:,} good replies and {len(self.labelled) - good:,} bad ones"
        if not self.problems:
            return kept
        out = ", ".join(
            f"{count:,} {reason} (first in row {self.examples[reason]})"
            for reason, count in self.problems.most_common()
        )
        return f"{kept}; left out: {out}"


def read(rows: Rows, columns: Mapping[str, str] | None = None) -> Preferences:
    """Read rows into pairs, or into labelled replies.

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


def _is_empty(prompt: Sequence[Message]) -> bool:
    return not any(str(message["content"]).strip() for message in prompt)


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
