"""Questions over a text collection, with a search tool and citations."""

from __future__ import annotations

import re
from collections.abc import Collection as Ids
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rlenv
from rlenv import parsing
from rlenv.core.task import Message, RowTasks, Task, TaskSet, split_of
from rlenv.environments.search_qa.collection import Collection, from_folder, words
from rlenv.environments.search_qa.facts import country
from rlenv.environments.search_qa.questions import Question, missing_words, of_rows

_CITED = re.compile(r"\[([^\[\]\n]{1,200})\]")
_ARTICLES = {"a", "an", "the"}
_INSTRUCTIONS = (
    "Find the answer with the search tool. Reply with <answer>...</answer> and, in square "
    "brackets, the numbers or names of the passages that say so."
)


class SearchQA(rlenv.ToolEnv):
    """Answer questions over a text collection by searching it.

    The tool `search` returns the best passages of a BM25 search, each after its id in square
    brackets. The answer stands in `<answer>` tags, and the ids of the passages it rests on in
    square brackets anywhere in that reply.

    Without a `folder` the collection is a made-up country, whose facts no model has read. With
    one it is the text files in there; the questions are rows, or sentences of the texts with a
    name or number left out. Questions about the same thing fall into the same split.

    The reward's components: `correct`, the answer is a right one, up to case, marks and articles;
    `cited`, the harmonic mean of precision and recall (F1) of the cited passages, of which only
    those count that a search has returned. Where nobody said which passages are right, it is the
    share of cited ones that contain the answer. Citations count for right answers alone.

    Args:
        folder: with `.txt` or `.md` files.
        rows: questions on the folder's texts, see `rlenv.core.rows.load_rows`.
        columns: which columns hold the `prompt`, the `answer` (or a list of right ones) and, where
            there is one, the `support`: the id of a passage, `file.txt#1`, or a list of them.
        hops: of the made-up country, ask what takes so many passages to answer: 1, 2 or 3.
        people: in that country.
        world: which country; its seed.
        results: passages that a search returns.
        passage_chars: about how long a passage of a folder is.
        instructions: the question is followed by what to do.
        **kwargs: see `rlenv.ToolEnv`.

    Raises:
        rlenv.UserError: no such folder, or an option that makes no sense.

    Example:
        >>> env = rlenv.make("rlenv/SearchQA-v0", folder="notes", split="test")
    """

    rubric = rlenv.Rubric(correct=1.0, cited=0.2, gate="correct")
    reward_range = (0.0, 1.2)

    def __init__(
        self,
        *,
        folder: str | Path | None = None,
        hops: int = 1,
        people: int = 200,
        world: int = 0,
        results: int = 3,
        passage_chars: int = 600,
        instructions: bool = True,
        columns: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        if hops not in (1, 2, 3):
            raise rlenv.UserError(f"hops is 1, 2 or 3, not {hops}")
        if min(people, results, passage_chars) < 1:
            raise rlenv.UserError("people, results and passage_chars are at least 1")
        if folder is None and kwargs.get("rows") is not None:
            raise rlenv.UserError("rows ask about texts: say in which folder these are")
        self.hops, self.people, self.world = hops, people, world
        self.results, self.instructions = results, instructions
        super().__init__(columns={"support": "support", **(columns or {})}, **kwargs)
        self._seen: set[str] = set()
        self._texts = None if folder is None else from_folder(folder, passage_chars)

    @property
    def collection(self) -> Collection:
        """The texts; shared by all environments of a process that search the same."""
        if self._texts is None:
            return country(self.world, self.people).collection
        return self._texts()

    def make_tasks(self, split: str) -> TaskSet:
        """Return the questions of a split."""
        if self._texts is None:
            questions: Sequence[Question] = country(self.world, self.people).questions[self.hops]
        elif self.rows is not None:
            questions = list(of_rows(self.rows, self.columns))
        else:
            questions = list(missing_words(self.collection))
        rows = [{"question": question} for question in questions]
        return RowTasks(rows, self.from_row, split=split, place=_place)

    def from_row(self, row: Mapping[str, Any]) -> rlenv.Task:
        """Make a task of a question."""
        question: Question = row["question"]
        text = f"{question.asks}\n{_INSTRUCTIONS}" if self.instructions else question.asks
        return rlenv.Task(
            text,
            answer=question.answers[0],
            metadata={
                "answers": list(question.answers),
                "support": list(question.support),
                "queries": list(question.queries),
                "about": question.about,
            },
            identity=["search", question.asks, list(question.answers)],
        )

    def start(self, task: rlenv.Task) -> None:
        """Begin a search; nothing has been read yet."""
        self._seen = set()

    @rlenv.tool
    def search(self, query: str) -> str:
        """Search the texts and return the best passages, each after its id in square brackets.

        Args:
            query: words to look for.
        """
        found = self.collection.search(query, self.results)
        self._seen |= {passage.id for passage in found}
        return "\n".join(f"[{p.id}] {p.text}" for p in found) or "nothing found"

    def score(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Judge the answer and the citations."""
        found = parsing.answer(reply)
        if found is None or set(found.problems) - {"repeated"}:
            return self._judged({"correct": 0.0, "cited": 0.0}, "no single answer stated")
        stated = normal(_CITED.sub(" ", found.text))
        answers = {normal(answer) for answer in task.metadata["answers"]}
        said = parsing.after_thinking(reply)
        assert said is not None
        cited = {mark[1] for mark in _CITED.finditer(said.text)} & self.collection.by_id.keys()
        measured = {
            "correct": float(bool(stated) and stated in answers),
            "cited": self._cited(cited, set(task.metadata["support"]), answers),
        }
        return self._judged(measured, f"read {stated!r}, cited {', '.join(sorted(cited))}", ok=True)

    def _judged(
        self, measured: Mapping[str, float], detail: str, *, ok: bool = False
    ) -> rlenv.Reward:
        return self.rubric(
            {name: measured[name] for name in self.rubric.weights},
            status="ok" if ok else "unparseable",
            detail=detail,
        )

    def _cited(self, cited: set[str], support: set[str], answers: Ids[str]) -> float:
        """Return how good citations are, from 0 to 1."""
        read = cited & self._seen
        if not read:
            return 0.0
        if support:
            return 2 * len(read & support) / (len(cited) + len(support))
        texts = [normal(self.collection.by_id[id].text) for id in read]
        holds = sum(any(f" {answer} " in f" {text} " for answer in answers) for text in texts)
        return holds / len(cited)

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str:
        """Search for one thing after the other, then answer and cite."""
        queries, support = task.metadata["queries"], task.metadata["support"]
        done = sum(message["role"] == "tool" for message in messages)
        if done < len(queries):
            return parsing.write_tool_call("search", {"query": queries[done]})
        marks = "".join(f" [{id}]" for id in support)
        return f"<answer>{task.answer}</answer>{marks}"


def normal(text: str) -> str:
    """Return what of an answer counts: its words, in lower case and without articles."""
    return " ".join(word for word in words(text) if word not in _ARTICLES)


def _place(task: Task) -> str:
    return split_of(Task("", identity=["search", task.metadata["about"]]).key)
