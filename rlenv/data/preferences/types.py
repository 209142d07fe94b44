"""Pairs and labelled replies, and the count of what was left out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from rlenv.core.task import Message, Split, Task

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


def _is_empty(prompt: Sequence[Message]) -> bool:
    return not any(str(message["content"]).strip() for message in prompt)
