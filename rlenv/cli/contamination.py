"""Which held-out tasks occur in a training text: `rlenv contamination ENV TEXT...`.

A task counts as found in two ways. *Exact*: its whole question stands in a text, white space aside.
*n-gram*: 13 words in a row of its question or solution do (Brown et al. 2020, "Language Models are
Few-Shot Learners", appendix C), in lower case and without punctuation. Words in a row that several
tasks share are the wording of the task set, not of one task, and count for none.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlenv.common.errors import UserError, main_guard
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
            yield str(path), path.read_text(encoding="utf-8", errors="replace")
        else:
            for number, row in enumerate(load_rows(path)):
                yield f"{path}, row {number}", "\n".join(strings(row))


def _known(path: Path) -> bool:
    return path.suffix in (*_PLAIN, ".jsonl", ".json", ".csv", ".parquet")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv contamination ENV TEXT...`; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="rlenv contamination",
        description="Which held-out tasks of an environment occur in training text: whole "
        "questions, and 13 words in a row.",
    )
    parser.add_argument("env", help="an environment id, or file.py:Id")
    parser.add_argument("texts", nargs="+", help="files or folders of training text")
    parser.add_argument("--split", default="test", help="(default: test)")
    parser.add_argument("--tasks", type=int, default=5000, help="at most (default: 5000)")
    parser.add_argument("--ngram", type=int, default=NGRAM, help=f"words (default: {NGRAM})")
    parser.add_argument("--option", action="append", default=[], metavar="key=value")
    parser.add_argument(
        "--evaluation", help="an evaluation's folder: pass@1 with and without the tasks found"
    )
    parser.add_argument("--show", type=int, default=10, help="tasks shown (default: 10)")
    parser.add_argument("--json", action="store_true", help="print as JSON, all tasks found")
    arguments = parser.parse_args(argv)
    return main_guard(lambda: _report(arguments))


def _report(arguments: argparse.Namespace) -> None:
    from rlenv.common.display import Display
    from rlenv.core import registry
    from rlenv.run.config import read_options

    if arguments.ngram < 2 or arguments.tasks < 1:
        raise UserError("--ngram is at least 2 and --tasks at least 1")
    env = registry.make(arguments.env, split=arguments.split, **read_options(arguments.option))
    tasks = env.tasks.distinct(arguments.tasks)
    found = find_tasks(env, tasks, read_texts(map(Path, arguments.texts)), arguments.ngram)
    apart = _apart(Path(arguments.evaluation), found) if arguments.evaluation else {}
    if arguments.json:
        print(json.dumps({**asdict(found), "share": found.share, "pass_at_1": apart}))  # noqa: T201
        return
    display = Display()
    display.say(
        f"{len(found.found)} of {found.tasks} tasks ({found.share:.1%}) of {arguments.env}, "
        f"{arguments.split} split, occur in {found.texts:,} texts."
    )
    if found.too_short:
        display.say(
            f"{found.too_short} tasks have no {arguments.ngram} words of their own and were looked "
            "for as whole questions alone."
        )
    for name, estimate in apart.items():
        display.say(f"pass@1 {name}: {estimate}")
    rows = [
        [f.kind, " ".join(f.prompt.split())[:60], f.source] for f in found.found[: arguments.show]
    ]
    if rows:
        display.table(["found as", "task", "in"], rows)


def _apart(folder: Path, found: Contamination) -> dict[str, str]:
    """Return an evaluation's pass@1 on the tasks that occur, and on the others."""
    from rlenv.evaluation.folder import read_evaluation
    from rlenv.evaluation.statistics import pass_at_1
    from rlenv.evaluation.summary import by_task

    _, samples = read_evaluation(folder)
    keys = {f.task_key for f in found.found}
    judged = by_task(s for s in samples if not s.greedy and s.judged)
    estimates = {}
    for name, inside in (("of tasks that occur", True), ("of all others", False)):
        outcomes = [
            [s.solved for s in task] for key, task in judged.items() if (key in keys) == inside
        ]
        estimates[name] = str(pass_at_1(outcomes)) if outcomes else "none"
    return estimates
