"""An environment of several turns for the benchmarks."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import rlenv
from rlenv.core.task import Message


@rlenv.register("bench/Guess-v0", max_turns=6)
class Guess(rlenv.TextEnv):
    """Find a number among 32 neighbours in six guesses.

    Args:
        history: begin after up to so many guesses, so that an expert shows every turn of a game.
    """

    def __init__(self, *, history: int = 0, **kwargs: Any) -> None:
        self.history = history
        super().__init__(**kwargs)

    def generate(self, rng: random.Random) -> rlenv.Task:
        """Draw the range, the number, and the guesses that were already made."""
        low = rng.randint(10, 68)
        high = low + 31
        answer = rng.randint(low, high)
        messages = [{"role": "user", "content": f"A number from {low} to {high}."}]
        for _ in range(rng.randint(0, self.history)):
            guess = (low + high) // 2
            if guess == answer:
                break
            messages.append({"role": "assistant", "content": str(guess)})
            messages.append({"role": "user", "content": hint(guess, answer)})
            low, high = (guess + 1, high) if guess < answer else (low, guess - 1)
        return rlenv.Task(messages, answer=answer)

    def options(self) -> dict[str, Any]:
        """Return what changes the tasks."""
        return {"history": self.history}

    def respond(self, task: rlenv.Task, reply: str) -> Any:
        """Say where the number lies."""
        guess = rlenv.parsing.integer(reply)
        if guess is None:
            return "A number."
        return rlenv.done("Yes.", reward=1.0) if guess == task.answer else hint(guess, task.answer)

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str:
        """Halve what is left."""
        low, high = map(int, re.findall(r"\d+", messages[0]["content"]))
        for message in messages[1:]:
            if message["role"] == "user" and (said := re.findall(r"\d+", message["content"])):
                guess = int(said[0])
                low, high = (
                    (max(low, guess + 1), high)
                    if message["content"].startswith("More")
                    else (low, min(high, guess - 1))
                )
        return str((low + high) // 2)


def hint(guess: int, answer: int) -> str:
    """Return what a wrong guess is answered with."""
    return f"{'More' if guess < answer else 'Less'} than {guess}."
