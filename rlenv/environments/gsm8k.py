"""GSM8K: grade-school word problems (Cobbe et al. 2021)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import rlenv
from rlenv.core.rows import Rows, load_rows
from rlenv.core.task import TaskSet
from rlenv.environments.math_word import MathWord

HUB_ID = "openai/gsm8k:main"
_VARIABLE = "RLENV_GSM8K"


class GSM8K(MathWord):
    r"""The word problems of GSM8K, with their official test set as the test split.

    The official training rows make up the train and the validation split, by content; a question
    that is in the official test set as well is left out of both.

    Args:
        source: a folder with `train.jsonl` and `test.jsonl` (or `.parquet`), or a `datasets` id;
            by default what the environment variable RLENV_GSM8K says, or else openai/gsm8k.
        **kwargs: see `MathWord`.

    Raises:
        rlenv.UserError: the data is not there.

    Example:
        >>> env = rlenv.make("rlenv/GSM8K-v0", source="data/gsm8k", split="test")
        >>> len(env.tasks)
        1319
    """

    def __init__(self, *, source: str | Path | None = None, **kwargs: Any) -> None:
        self.source = str(source or os.environ.get(_VARIABLE) or HUB_ID)
        columns = {"prompt": "question", "answer": "answer"}
        super().__init__(**{"rows": self.official("train"), "columns": columns, **kwargs})

    def official(self, part: str) -> Rows:
        """Return the rows of an official part, `train` or `test`."""
        folder = Path(self.source).expanduser()
        if folder.is_dir():
            for path in (folder / f"{part}.jsonl", folder / f"{part}.parquet"):
                if path.is_file():
                    return load_rows(path)
            raise rlenv.UserError(f"{folder} holds neither {part}.jsonl nor {part}.parquet")
        try:
            return load_rows(self.source, part=part)
        except rlenv.UserError as error:
            raise rlenv.UserError(
                f"{error}; GSM8K can also be read from a folder with train.jsonl and test.jsonl: "
                f"set its option source, or the environment variable {_VARIABLE}"
            ) from None

    def make_tasks(self, split: str) -> TaskSet:
        """Return the official test set, or this split's share of the other rows."""
        if split == "test":
            return rlenv.RowTasks(
                self.official("test"), self.from_row, split=split, place=lambda task: "test"
            )
        held_out = {self.from_row(row).key for row in self.official("test")}

        def place(task: rlenv.Task) -> str:
            if task.key in held_out:
                return "test"
            return "validation" if task.split == "validation" else "train"

        assert self.rows is not None
        return rlenv.RowTasks(self.rows, self.from_row, split=split, place=place)
