"""Where an environment's tasks come from: a function, rows of data, or a task set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from rlenv.common.errors import UserError
from rlenv.common.plugins import lasting_name
from rlenv.core.rows import Rows, column, load_rows
from rlenv.core.task import GeneratedTasks, RowTasks, Task, TaskSet, check_split


class TaskSource:
    """The part of an environment that hands out tasks.

    An author writes `generate`, and `options` where settings change which tasks there are. Where
    tasks are rows of data, `from_row` reads one; where neither fits, `make_tasks` returns a task
    set.

    Attributes:
        split: `train`, `validation` or `test`.
        rows: the rows to make tasks from, if there are any.
        columns: which columns hold the `prompt` and the `answer`.
    """

    split: str
    rows: Rows | None
    columns: Mapping[str, str]

    def _from(
        self,
        split: str,
        tasks: TaskSet | None,
        rows: str | Path | Rows | None,
        columns: Mapping[str, str] | None,
    ) -> None:
        self.rows = None if rows is None else load_rows(rows)
        if self.rows is not None and not len(self.rows):
            raise UserError(f"{rows if isinstance(rows, (str, Path)) else 'rows'} has no rows")
        self.columns = {"prompt": "prompt", "answer": "answer", **(columns or {})}
        self.split = check_split(split)
        if tasks is not None:
            if not isinstance(tasks, TaskSet):
                raise UserError(
                    f"tasks is a task set, such as rlenv.RowTasks, not a {type(tasks).__name__}; "
                    "give rows=..., or one task to reset: options={'task': task}"
                )
            self.tasks = tasks

    @cached_property
    def tasks(self) -> TaskSet:
        """The tasks this environment draws from.

        Made when first asked for: of the hundreds of instances in a rollout, which are handed
        their tasks, only one needs it.
        """
        return self.make_tasks(self.split)

    def generate(self, rng: Random) -> Task:
        """Make a task. All randomness comes from rng.

        Raises:
            UserError: there is neither a method of the author's nor rows.
        """
        raise UserError(
            f"{type(self).__name__} has no tasks: write generate(rng), or give rows=FILE "
            "(--option rows=FILE on the command line)"
        )

    def options(self) -> Mapping[str, Any]:
        """Return the settings that change which tasks there are, for their fingerprint."""
        return {}

    def from_row(self, row: Mapping[str, Any]) -> Task:
        """Make a task of a row of data; by default from the columns named at creation."""
        prompt, answer = (column(row, self.columns[part]) for part in ("prompt", "answer"))
        return Task(prompt, answer=answer)

    def make_tasks(self, split: str) -> TaskSet:
        """Return the tasks of a split: those of the rows, or those that `generate` makes."""
        if self.rows is not None:
            return RowTasks(self.rows, self.from_row, split=split)
        options = sorted((k, repr(v)) for k, v in self.options().items())
        # a bundled environment keeps the name that it had when its module stood outside of rlenv:
        # its held-out tasks, and every figure on them, hang on it
        module = lasting_name(type(self).__module__).removeprefix("rlenv.")
        name = f"{module}.{type(self).__qualname__}{options}"
        return GeneratedTasks(self.generate, split=split, name=name)
