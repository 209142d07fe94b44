"""Questions about a collection: made of its sentences, or brought along."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rlenv.core.rows import Rows, column
from rlenv.environments.search_qa.collection import Collection

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{3,}\b|\b[0-9]{2,}\b")  # not where a sentence begins
_WORDS = range(6, 41)  # in a sentence to ask about
_BLANK = "____"


@dataclass(frozen=True)
class Question:
    """A question about a collection.

    Attributes:
        asks: its text.
        answers: each of them is right.
        support: ids of the passages that it takes to answer; empty where nobody said.
        queries: what an expert would search for, one after the other.
        about: decides its split; questions about one thing stay together.
    """

    asks: str
    answers: tuple[str, ...]
    support: tuple[str, ...]
    queries: tuple[str, ...]
    about: str


def missing_words(collection: Collection) -> Iterator[Question]:
    """Ask for a name or a number that is left out of a sentence: one question a passage.

    The choice depends on the passage alone, so it stays when a collection grows.

    Args:
        collection: any texts.
    """
    sentences = [_SENTENCE.split(passage.text) for passage in collection.passages]
    often = Counter(sentence for told in sentences for sentence in told)
    for passage, told in zip(collection.passages, sentences, strict=True):
        found = [
            (sentence, word)
            for sentence in told
            if len(sentence.split()) in _WORDS
            for word in _NAME.finditer(sentence)
            if sentence.count(word[0]) == 1
        ]
        if not found:
            continue
        sentence, word = random.Random(passage.text).choice(found)
        if often[sentence] > 1:
            continue  # other passages would be as good a source
        before, after = sentence[: word.start()], sentence[word.end() :]
        asks = f'What is missing here? "{before}{_BLANK}{after}"'
        yield Question(asks, (word[0],), (passage.id,), (f"{before}{after}",), asks)


def of_rows(rows: Rows, columns: Mapping[str, Any]) -> Iterator[Question]:
    """Take questions from rows.

    Args:
        rows: with a question, its answer or a list of right ones, and, where known, the id of the
            passage that holds it or a list of them.
        columns: how the columns `prompt`, `answer` and `support` are called.
    """
    for row in rows:
        asks = str(column(row, columns["prompt"]))
        answers = _listed(column(row, columns["answer"]))
        support = _listed(row.get(columns["support"]) or [])
        yield Question(asks, answers, support, (asks,), asks)


def _listed(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),)
