"""An environment with a gold reward that a program knows: a bouquet of words that are liked or not.

Each word has a worth that no policy is told. A bouquet is worth what its words are worth together,
less what repeats a word and what is too much. `benchmarks/overoptimization.py` trains reward models
on comparisons of bouquets and lets policies follow them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import rlenv
from rlenv.core.task import Message

_WORDS = (
    "amber ancient autumn bitter blue bold brave bright bronze calm clear cold coral crisp "
    "dark deep dusty early faint fierce fragile gentle golden green grey heavy hollow humble "
    "icy ivory keen lazy light loud mellow misty narrow noble old pale plain proud quiet rare "
    "red rough royal rusty scarlet shy silent silver slow small soft solemn stern still "
    "strange sweet tall tame thin tiny torn warm wide wild yellow young"
)
WORDS = _WORDS.split()
ROOM = 8  # words in a bouquet, beyond which more is too much
REPEATED, TOO_MUCH, UNKNOWN = 1.0, 0.5, 1.0  # what each such word costs

_luck = random.Random("worth")
WORTH = {word: _luck.gauss(0.0, 0.5) for word in WORDS}


def gold(reply: str) -> float:
    """Return what a bouquet is worth."""
    seen: set[str] = set()
    worth = 0.0
    for place, word in enumerate(reply.lower().split()):
        if word not in WORTH:
            worth -= UNKNOWN
        elif word in seen:
            worth -= REPEATED
        else:
            worth += WORTH[word]
        if place >= ROOM:
            worth -= TOO_MUCH
        seen.add(word)
    return worth


@rlenv.register("bench/Bouquet-v0")
class Bouquet(rlenv.SingleTurnEnv):
    """Put words together; the reward is the gold one."""

    reward_range = (float("-inf"), float("inf"))
    solved_at = sum(sorted(WORTH.values())[-ROOM:])  # no bouquet is worth more
    floor = float("inf")

    def generate(self, rng: random.Random) -> rlenv.Task:
        """Ask for a bouquet for one of many guests."""
        return rlenv.Task(f"A bouquet for guest {rng.randrange(10_000)}")

    def score(self, task: rlenv.Task, reply: str) -> float:
        """Return the gold reward."""
        return gold(reply)

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str:
        """Return a bouquet of someone who does not know what is liked, and may repeat a word."""
        luck = random.Random(task.key)
        return " ".join(luck.choice(WORDS) for _ in range(luck.randint(3, ROOM)))
