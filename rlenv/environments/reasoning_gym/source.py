"""Items of reasoning-gym: made from a random generator, and the same on every machine."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from rlenv.common.extras import require

Item = Mapping[str, Any]

_SIZE = 1000  # indices the library's per-seed tables cover
_TRIES = 100
# where the answer lies, in families whose items have none of their own
_GOLD_IN = {"graph_color": "possible_answer", "rubiks_cube": "example_correct_answer"}
_USES_GLOBAL_RANDOM = {"list_functions", "pool_matrix"}


class Source:
    """Makes and scores the items of one family.

    Args:
        family: a key of `FAMILIES`.
        level: of the family's curriculum; None for the library's own defaults.

    Raises:
        UserError: reasoning-gym is not installed.
    """

    def __init__(self, family: str, level: int | None = None) -> None:
        self.family = family
        library = _library()
        dataset, config = library.DATASETS[family]
        if level is None:
            settings = config(seed=0, size=_SIZE)
        else:
            curriculum = library.CURRICULA[family]()
            curriculum.set_global_level(level)
            settings = curriculum.generate_configuration({"seed": 0, "size": _SIZE})
        self.dataset = dataset(settings)
        _REPAIRS.get(family, lambda dataset: None)(self.dataset)

    def make(self, rng: random.Random) -> tuple[str, str, dict[str, Any]]:
        """Make an item.

        The library seeds item i of seed s with s + i, so neighbouring seeds share items; here
        every item gets a seed of its own.

        Returns:
            Its question, its answer and its metadata.
        """
        for _ in range(_TRIES):
            index = rng.randrange(_SIZE)
            self.dataset.seed = rng.randrange(2**32 - _SIZE)  # numpy's seeds have 32 bits
            if self.family == "acre":  # its items are all made when it is
                self.dataset.config.size = 5
                self.dataset.questions = self.dataset._generate_questions()
                index = rng.randrange(5)
            try:
                with _global_random(self.family, self.dataset.seed):
                    item = self.dataset[index]
            except (ValueError, RuntimeError):  # the family gave up on this seed
                continue
            gold = _gold(self.family, item)
            # an empty reply must never be the right one; the scorer of jugs takes no "No solution"
            if gold.strip() and gold != '["No solution"]':
                return item["question"], gold, dict(item["metadata"])
        raise RuntimeError(f"reasoning_gym/{self.family} made {_TRIES} items without an answer")

    def scorer(self, gold: str, metadata: Mapping[str, Any]) -> Callable[[str], float]:
        """Return the family's own scorer for an item."""
        item = {"answer": gold, "metadata": dict(metadata)}
        return lambda answer: self.dataset.score_answer(answer, item)


def _library() -> Any:
    require("reasoning_gym", "a reasoning_gym environment")
    return importlib.import_module("reasoning_gym.factory")


def _gold(family: str, item: Item) -> str:
    if family not in _GOLD_IN:
        return str(item["answer"])
    gold = item["metadata"][_GOLD_IN[family]]
    if family == "graph_color":
        return "{" + ", ".join(f'"{vertex}": {color}' for vertex, color in gold.items()) + "}"
    return " ".join(str(gold).split())


@contextmanager
def _global_random(family: str, seed: int) -> Iterator[None]:
    """Where a family draws from the generators that all modules share, seed and restore them."""
    if family not in _USES_GLOBAL_RANDOM:
        yield
        return
    ours, numpys = random.getstate(), np.random.get_state()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)


class _Alphabet(set[str]):
    """A set that is gone through in order, whatever PYTHONHASHSEED is."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(set.__iter__(self)))

    def __sub__(self, other: Any) -> _Alphabet:
        return _Alphabet(set.__sub__(self, other))


def _ordered_letters(dataset: Any) -> None:
    dataset.letters = _Alphabet(dataset.letters)


def _ordered_neighbours(dataset: Any) -> None:
    unordered = dataset._get_neighbors
    dataset._get_neighbors = lambda word, words: sorted(unordered(word, words))


_REPAIRS: dict[str, Callable[[Any], None]] = {
    "isomorphic_strings": _ordered_letters,
    "ransom_note": _ordered_letters,
    "word_ladder": _ordered_neighbours,
}
