"""What the environment layer costs a step, beside Gymnasium's bare Env, gem and TextArena.

    python benchmarks/env_overhead.py [--rounds 9]

Three measurements, each side by side in one run, every contender in turn and the rounds repeated:

- a trivial single-turn environment (a fixed question, any reply is right): seconds of one episode,
  `reset` and `step` with the reward result and info, beside a bare `gymnasium.Env` that does the
  same by hand; the difference is the layer's overhead;
- the same as a rollout plays it: `reset` is handed a seed and the task;
- Guess The Number from 1 to 20, played by bisection with `\\boxed{}` replies, with the same seeds:
  seconds a step, beside the same game in gem-llm 0.1 and textarena 0.7.4 where they are installed
  (`pip install gem-llm==0.1.0 textarena==0.7.4`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import harness

import rlenv
from rlenv import parsing

EPISODES = 3000
Contenders = dict[str, Callable[[], int]]
TASK = rlenv.Task("Say anything.", answer="x")


class Trivial(rlenv.SingleTurnEnv):
    """Any reply is right."""

    def generate(self, rng: random.Random) -> rlenv.Task:
        """Return the one task."""
        return TASK

    def score(self, task: rlenv.Task, reply: str) -> bool:
        """Return True."""
        return True


class Bare(gymnasium.Env[str, str]):
    """The same, on Gymnasium's interface with nothing in between."""

    observation_space = rlenv.UnicodeText()
    action_space = rlenv.UnicodeText()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        return TASK.question, {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play a reply."""
        return "", 1.0, True, False, {}


class GuessTheNumber(rlenv.TextEnv):
    """Find a number from 1 to 20 in at most 20 turns."""

    def generate(self, rng: random.Random) -> rlenv.Task:
        """Draw the number."""
        return rlenv.Task("Guess a number from 1 to 20.", answer=rng.randint(1, 20))

    def respond(self, task: rlenv.Task, reply: str) -> Any:
        """Say higher or lower."""
        box = parsing.boxed(reply)
        guess = parsing.integer(box) if box is not None else None
        if guess is None:
            return rlenv.done("You did not provide a valid guess.", reward=-0.1)
        if guess == task.answer:
            return rlenv.done("Congratulations!", reward=1.0)
        return f"The number is {'higher' if guess < task.answer else 'lower'} than {guess}."


def trivial(env: gymnasium.Env[str, str]) -> int:
    """Play single-turn episodes; return the number of steps."""
    for _ in range(EPISODES):
        env.reset()
        env.step("hello")
    return EPISODES


def handed(env: gymnasium.Env[str, str]) -> int:
    """Play single-turn episodes of a given task and seed; return the number of steps."""
    for seed in range(EPISODES):
        env.reset(seed=seed, options={"task": TASK})
        env.step("hello")
    return EPISODES


def bisect(reset: Callable[[int], object], step: Callable[[str], tuple[str, bool]]) -> int:
    """Play Guess The Number by bisection; return the number of steps."""
    steps = 0
    for seed in range(EPISODES // 10):
        reset(seed)
        low, high, over = 1, 20, False
        while not over and low <= high:
            guess = (low + high) // 2
            text, over = step(f"I try \\boxed{{{guess}}}.")
            steps += 1
            if "higher" in text:
                low = guess + 1
            elif "lower" in text:
                high = guess - 1
    return steps


def games() -> Contenders:
    """Return the contenders that are installed."""
    ours = GuessTheNumber(max_turns=20)

    def our_step(action: str) -> tuple[str, bool]:
        text, _, terminated, truncated, _ = ours.step(action)
        return text, terminated or truncated

    found = {"rlenv": lambda: bisect(lambda s: ours.reset(seed=s), our_step)}
    try:
        from gem.envs.game_env.guess_the_number import GuessTheNumberEnv
    except ImportError as error:
        print(f"gem-llm: not measured ({error})")
    else:
        gem = GuessTheNumberEnv(min_number=1, max_number=20, max_turns=20)

        def gem_step(action: str) -> tuple[str, bool]:
            text, _, terminated, truncated, _ = gem.step(action)
            return text, terminated or truncated

        found["gem-llm"] = lambda: bisect(gem.reset, gem_step)
    try:
        from textarena.envs.GuessTheNumber.env import GuessTheNumberEnv as Arena
    except ImportError as error:
        print(f"textarena: not measured ({error})")
    else:
        arena = Arena(min_number=1, max_number=20, max_turns=20)

        def arena_reset(seed: int) -> None:
            arena.reset(num_players=1, seed=seed)
            arena.state.get_current_player_observation()

        def arena_step(action: str) -> tuple[str, bool]:
            over, _ = arena.step(action.replace("\\boxed{", "[").replace("}", "]"))
            seen = arena.state.get_current_player_observation() if not over else []
            return str(seen[-1][1]).lower() if seen else "", bool(over)

        found["textarena"] = lambda: bisect(arena_reset, arena_step)
    return found


def show(title: str, contenders: Contenders, rounds: int) -> None:
    """Let contenders take turns; print microseconds a step, and the ratio to rlenv's."""
    runs = {name: harness.timed(play) for name, play in contenders.items()}
    seconds = harness.take_turns(runs, rounds)
    print(f"\n{title} ({rounds} rounds)")
    for name, values in seconds.items():
        each = harness.Spread.of(1e6 * value for value in values)
        times = harness.ratio(values, to=seconds["rlenv"]).median
        print(f"  {name:<16} {each:8.1f} us a step   x{times:.2f}")
    if "gymnasium.Env" in seconds:
        pairs = zip(seconds["rlenv"], seconds["gymnasium.Env"], strict=True)
        gap = harness.Spread.of(1e6 * (a - b) for a, b in pairs).median
        print(f"  overhead of the layer: {gap:.1f} us an episode")


def main() -> None:
    """Run the measurements."""
    rounds = harness.parser(__doc__, rounds=9).parse_args().rounds
    print(harness.conditions(libraries=["gymnasium"]))
    for title, play in (
        ("one single-turn episode: reset and step", trivial),
        ("the same with a given seed and task", handed),
    ):
        both: Contenders = {
            "rlenv": partial(play, Trivial()),
            "gymnasium.Env": partial(play, Bare()),
        }
        show(title, both, rounds)
    show("Guess The Number, played by bisection", games(), rounds)


if __name__ == "__main__":
    main()
