"""Questions of a data set with gold answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import rlenv
from rlenv import parsing
from rlenv.core.rows import Rows, column
from rlenv.core.task import Message, TaskSet
from rlenv.environments.math import check_answer, extract

INSTRUCTIONS = "Put your final answer within \\boxed{}."
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
BOXED = ("last box", "last boxes")  # rules by which an answer is read from a box
_FORMULA = re.compile(
    r"[\d)\]}a-z]\s{0,3}(?:[+*^×÷·=<>!−]|\*\*)\s{0,3}[\d(\[{a-z\\]|\d\s{1,3}[-/−]\s{1,3}\d|\d!"
    r"|(?<![\d/])\d+/\d+(?![\d/])|\d\s?[-−]\s?\d+\s?[?=.]|√"
    r"|\\(?:[dt]?frac|[dt]?binom|int|sum|prod|lim|sqrt|log|ln|exp|sin|cos|tan|cdot|times|div|gcd|lcm"
    r"|lfloor|lceil|begin|partial|pmod|bmod|mod|choose|max|min|det)(?![A-Za-z])"
)
_CALCULATOR = re.compile(r"<<[^<>\n]*>>")


class MathWord(rlenv.SingleTurnEnv):
    r"""Questions with gold answers, from any rows.

    The answer column holds the gold answer alone (`72`, `x \leq 3`), or a solution that ends in
    `#### 72` or has it in its last `\boxed{}`; a solution is also what the environment
    demonstrates. `rlenv.environments.math.check_answer` judges the replies. The component `correct`
    is its verdict; `format` is 1 where it could read an answer from a `\boxed{}`. Where the
    question holds a formula, an answer must be worked out: restating the formula does not score.

    Args:
        rows: a file, a `datasets` id or the rows, see `rlenv.core.rows.load_rows`.
        tasks: a task set instead of rows.
        columns: which columns hold the `prompt` and the `answer`.
        instructions: what follows the question; an empty string for nothing.
        system: the system message; None for none.
        rubric: weights of `correct` and `format`; by default `correct` alone counts.
        **kwargs: see `rlenv.TextEnv`.

    Raises:
        rlenv.UserError: there are no rows.

    Example:
        >>> rows = [{"question": "What is 17 + 25?", "answer": "42"}]
        >>> env = rlenv.make("rlenv/MathWord-v0", rows=rows, columns={"prompt": "question"})
    """

    rubric = rlenv.Rubric(correct=1.0, format=0.0)

    def __init__(
        self,
        *,
        rows: str | Path | Rows | None = None,
        tasks: TaskSet | None = None,
        instructions: str = INSTRUCTIONS,
        system: str | None = None,
        **kwargs: Any,
    ) -> None:
        if rows is None and tasks is None:
            raise rlenv.UserError(
                f"{type(self).__name__} needs rows: a file such as rows=problems.jsonl, the id of "
                "a data set, or the rows themselves"
            )
        self.instructions, self.system = instructions, system
        super().__init__(rows=rows, tasks=tasks, **kwargs)

    def from_row(self, row: Mapping[str, Any]) -> rlenv.Task:
        """Make a task of a row; it is the same task whatever the instructions and the answer."""
        question = str(column(row, self.columns["prompt"])).strip()
        gold, solution = read_gold(str(column(row, self.columns["answer"])))
        text = f"{question}\n\n{self.instructions}" if self.instructions else question
        prompt = [{"role": "user", "content": text}]
        if self.system is not None:
            prompt.insert(0, {"role": "system", "content": self.system})
        return rlenv.Task(
            prompt,
            answer=gold,
            metadata={"solution": solution},
            identity=["question", " ".join(question.split())],
        )

    def score(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Give what the checker says of the final answer."""
        question = "\n".join(str(message["content"]) for message in task.prompt)
        question = question.removesuffix(self.instructions)
        form: Literal["any", "evaluated"] = "evaluated" if holds_formula(question) else "any"
        verdict = check_answer(reply, task.answer, form=form, question=question)
        if not verdict.judged:
            return verdict
        found = extract(reply)
        boxed = found is not None and found.rule in BOXED and verdict.status == "ok"
        measured = {"correct": verdict.value, "format": float(boxed)}
        return self.rubric(
            {name: measured[name] for name in self.rubric.weights},
            status=verdict.status,
            detail=verdict.detail,
        )

    def answer_in(self, task: rlenv.Task, reply: str) -> str | None:
        """Return the final answer as it is written, without spaces, `$` and the `,` of thousands.

        Equal numbers vote together; equal formulas only where they are written alike.
        """
        found = extract(reply)
        if found is None:
            return None
        return _THOUSANDS.sub("", "".join(found.text.replace("$", "").split())) or None

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str:
        r"""Return the row's solution, or the bare gold answer, in a `\boxed{}`."""
        solution = task.metadata["solution"]
        box = f"\\boxed{{{task.answer}}}"
        if solution is None:
            return box
        return solution if parsing.boxed(solution) is not None else f"{solution}\n{box}"


def holds_formula(question: str) -> bool:
    r"""Whether a question holds something to work out, such as `31 + 27` or `\int`.

    Args:
        question: its text; a price such as `$5` and a date such as 3/4/2024 are no formulas.
    """
    return _FORMULA.search(question) is not None


def read_gold(text: str) -> tuple[str, str | None]:
    r"""Return the gold answer of an answer column, and the solution that leads to it.

    Args:
        text: the answer alone; or a solution that ends in `#### answer`, as GSM8K has them, or has
            its answer in its last `\boxed{}`, as MATH has.

    Returns:
        The answer, and the solution, without `#### answer` and without GSM8K's calculator marks
        (`48/2=<<48/2=24>>24` reads `48/2=24`); None where there is none.
    """
    marked = parsing.hashes(text)
    if marked is not None:
        return marked.text, _CALCULATOR.sub("", text[: text.rindex("####")]).strip() or None
    box = parsing.boxed(text)
    return (text.strip(), None) if box is None else (box.strip(), text.strip())
