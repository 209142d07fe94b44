"""Which held-out tasks occur in a training text.

A task counts as found in two ways. *Exact*: its whole question stands in a text, white space aside.
*n-gram*: 13 words in a row of its question or solution do (Brown et al. 2020, "Language Models are
Few-Shot Learners", appendix C), in lower case and without punctuation. Words in a row that several
tasks share are the wording of the task set, not of one task, and count for none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlenv.common.errors import UserError
from rlenv.core import protocols
from rlenv.core.env import TextEnv
from rlenv.core.task import Task
from rlenv.data.decontamination import Decontaminator, squeeze
from rlenv.data.ngrams import NgramTable, ngrams
from rlenv.data.word_hashes import Hashes, fold

NGRAM = 13
_PLAIN = (".txt", ".md", ".rst", ".py")


@dataclass(frozen=True)
class FoundTask:
    """A task that occurs in a text.

    Attributes:
        task_key: of the task.
        prompt: its question.
        kind: `exact` or `n-gram`.
        source: where it was first found.
    """

    task_key: str
    prompt: str
    kind: str
    source: str


@dataclass(frozen=True)
class Contamination:
    """What was looked for and what was found.

    Attributes:
        tasks: looked for.
        texts: looked through.
        too_short: tasks with no n-gram of their own; they can be found exactly alone.
        found: the tasks that occur, in their order.
    """

    tasks: int
    texts: int
    too_short: int
    found: list[FoundTask]

    @property
    def share(self) -> float:
        """Of the tasks that occur."""
        return len(self.found) / self.tasks


class TaskFinder:
    """Finds tasks in texts.

    Args:
        env: makes the solved form of a task as text.
        tasks: to look for.
        n: words of an n-gram.
    """

    def __init__(self, env: TextEnv, tasks: Sequence[Task], n: int = NGRAM) -> None:
        self.tasks = list(tasks)
        self._exact = Decontaminator([self.tasks])
        self._by_question: dict[str, list[int]] = {}
        for number, task in enumerate(self.tasks):
            self._by_question.setdefault(squeeze(task.question), []).append(number)
        grams, owners = _own_ngrams([_texts_of(env, task) for task in self.tasks], n)
        self._table = NgramTable({n: grams}, {n: owners})
        self.too_short = len(self.tasks) - len(np.unique(owners))

    def find(self, text: str) -> dict[int, str]:
        """Return the number of each task that occurs in a text, and how."""
        found = dict.fromkeys(np.unique(self._table.find(fold(text))).tolist(), "n-gram")
        for line in text.splitlines():
            for question in self._exact.occurrences(line):
                if _stands_alone(question, line):
                    found |= dict.fromkeys(self._by_question[question], "exact")
        return found


def find_tasks(
    env: TextEnv, tasks: Sequence[Task], texts: Iterable[tuple[str, str]], n: int = NGRAM
) -> Contamination:
    """Look for tasks in texts.

    Args:
        env: the tasks' environment.
        tasks: to look for.
        texts: the name and the content of each text.
        n: words of an n-gram.

    Raises:
        UserError: there is no task or no text.
    """
    if not tasks:
        raise UserError("there is no task to look for")
    finder = TaskFinder(env, tasks, n)
    first: dict[int, tuple[str, str]] = {}
    count = 0
    for count, (name, text) in enumerate(texts, 1):  # noqa: B007 counted
        for number, kind in finder.find(text).items():
            if number not in first or (kind == "exact") > (first[number][0] == "exact"):
                first[number] = (kind, name)
    if not count:
        raise UserError("there is no text to look through")
    found = [
        FoundTask(tasks[number].key, tasks[number].question, *how)
        for number, how in sorted(first.items())
    ]
    return Contamination(len(tasks), count, finder.too_short, found)


def _texts_of(env: TextEnv, task: Task) -> list[str]:
    solved = protocols.text(env, task)
    return [task.question] if solved is None else [task.question, solved]


def _own_ngrams(texts: Sequence[Sequence[str]], n: int) -> tuple[Hashes, Any]:
    """Return the n-grams that one task alone has, and the number of that task."""
    each = [np.unique(np.concatenate([ngrams(fold(t), n) for t in some])) for some in texts]
    grams = np.concatenate(each)
    owners = np.repeat(np.arange(len(each)), [len(some) for some in each])
    values, where, counts = np.unique(grams, return_index=True, return_counts=True)
    return values[counts == 1], owners[where[counts == 1]]


def _stands_alone(question: str, line: str) -> bool:
    """Whether a question is more than a part of longer numbers, as 9+22 is in 19+22."""
    squeezed = "".join(line.split())
    start = squeezed.find(question)
    while start >= 0:
        before, after = squeezed[start - 1 : start], squeezed[start + len(question) :][:1]
        cut_before = before.isdigit() and question[:1].isdigit()
        cut_after = after.isdigit() and question[-1:].isdigit()
        if not (cut_before or cut_after):
            return True
        start = squeezed.find(question, start + 1)
    return False


def read_texts(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield the name and content of texts.

    Args:
        paths: files or folders. Of `.txt`, `.md`, `.rst` and `.py` files the whole is a text; of
            `.jsonl`, `.json`, `.csv` and `.parquet` files each row is, all its strings together.

    Raises:
        UserError: a file is missing or of another kind.
    """
    from rlenv.core.rows import load_rows, strings

    for path in paths:
        if path.is_dir():
            yield from read_texts(sorted(p for p in path.rglob("*") if p.is_file() and _known(p)))
        elif not path.is_file():
            raise UserError(f"{path} does not exist; give files or folders of training text")
        elif path.suffix in _PLAIN:
            if text := path.read_text(encoding="utf-8", errors="replace"):
                yield str(path), text
        else:
            for number, row in enumerate(load_rows(path)):
                yield f"{path}, row {number}", "\n".join(strings(row))


def _known(path: Path) -> bool:
    return path.suffix in (*_PLAIN, ".jsonl", ".json", ".csv", ".parquet")
