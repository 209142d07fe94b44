"""Wordle: feedback per second, whole episodes beside textarena, and what simple players win.

    python benchmarks/wordle.py [--rounds 7]

Three measurements, in processor time of one core (nothing here starts a thread):

- feedbacks a second: `feedback` on one pair at a time, `feedback_codes` for one guess on all
  secrets and for the whole table, and textarena's `_evaluate_guess`;
- whole episodes a second with the same guesses to the same secrets, made beforehand by a solver:
  `reset`, and `step` until the game is over, in rlenv and in textarena 0.7.4 where that is
  installed (`pip install textarena==0.7.4`). Its word lists come from a server; here it gets
  rlenv's secrets and, in place of its dictionary, a set of the same allowed words. Every mark is
  compared;
- the share of games that players win with six guesses, by split, with 95% confidence intervals.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import harness
import wordle_games

import rlenv
from rlenv.environments.wordle import players
from rlenv.environments.wordle.feedback import feedback, feedback_codes, letters
from rlenv.environments.wordle.words import load

GAMES = 400
WORDS = load(5)
Script = list[tuple[str, players.History]]  # secrets, each with a game


def scripts() -> Script:
    """Return games for a player to repeat."""
    solver, rng = players.Solver(WORDS.secrets, breadth=1), random.Random(0)
    secrets = rng.sample(WORDS.secrets, GAMES)
    return [(secret, players.play(solver, secret, rng)) for secret in secrets]


def ours(games: Script) -> Callable[[], int]:
    """Return what repeats games in rlenv."""
    env = rlenv.make("rlenv/Wordle-v0")
    tasks = [env.from_row({"secret": secret}) for secret, _ in games]

    def run() -> int:
        steps = 0
        for task, (_, game) in zip(tasks, games, strict=True):
            env.reset(seed=0, options={"task": task})
            for guess, marks in game:
                text, _, terminated, _, _ = env.step(guess)
                assert "".join(pair[1] for pair in text.split("\n")[0].split()) == marks
                steps += 1
            assert terminated
        return steps

    return run


def arena() -> type | None:
    """Return textarena's environment with our words, or None where it is not installed."""
    try:
        from textarena.envs.Wordle import env as module
    except ImportError as error:
        print(f"textarena: not measured ({error})")
        return None

    class Dictionary:
        def __init__(self, **_: object) -> None:
            self.is_english_word = WORDS.allowed.__contains__

    class Arena(module.WordleEnv):  # type: ignore[misc]
        def _load_word_list(self, hardcore: bool = False) -> None:
            self.word_list = list(WORDS.secrets)

    module.EnglishDictionary = Dictionary
    return Arena


def theirs(made: type, games: Script) -> Callable[[], int]:
    """Return what repeats games in textarena."""
    env = made()

    def run() -> int:
        steps = 0
        for secret, game in games:
            env.word_list = [secret]
            env.reset(num_players=1, seed=0)
            env.state.get_current_player_observation()
            for guess, marks in game:
                over, _ = env.step(f"[{guess}]")
                assert "".join(env.state.game_state["guess_history"][-1][1]) == marks
                if not over:
                    env.state.get_current_player_observation()
                steps += 1
            assert over
        return steps

    return run


def rates(contenders: dict[str, Callable[[], int]], rounds: int) -> None:
    """Print how often each does what it returns the number of, every contender in turn."""
    runs = {name: harness.timed(run, time.process_time) for name, run in contenders.items()}
    seconds = harness.take_turns(runs, rounds)
    first = next(iter(seconds.values()))
    for name, values in seconds.items():
        rate = harness.Spread.of(1 / value for value in values)
        times = harness.ratio(values, to=first).median
        print(f"  {name:<34} {rate:14,.0f} a second   time x{times:.3g}")


def feedbacks(made: type | None) -> dict[str, Callable[[], int]]:
    """Return ways to work out feedback."""
    secrets, table = WORDS.secrets, letters(WORDS.secrets)
    few = secrets[:20]

    def one_by_one() -> int:
        for guess in few:
            for secret in secrets:
                feedback(guess, secret)
        return len(few) * len(secrets)

    def by_guess() -> int:
        for n in range(200):
            feedback_codes(table[n : n + 1], table)
        return 200 * len(secrets)

    def whole() -> int:
        return feedback_codes(table, table).size

    found = {"feedback, one pair": one_by_one, "feedback_codes, one guess": by_guess}
    found["feedback_codes, all pairs"] = whole
    if made is not None:
        env = made()
        env.reset(num_players=1, seed=0)

        def theirs_one_by_one() -> int:
            for guess in few:
                for secret in secrets:
                    env.state.game_state["secret_word"] = secret
                    env._evaluate_guess(guess)
            return len(few) * len(secrets)

        found["textarena, one pair"] = theirs_one_by_one
    return found


def win_rates() -> None:
    """Print what players win."""
    contenders: dict[str, players.Player] = {
        "solver, knows all 2,315 secrets": players.Solver(WORDS.secrets),
        "solver, knows training secrets": players.Solver(WORDS.training),
        "solver, knows all allowed words": players.Solver(sorted(WORDS.allowed), breadth=50),
        "any secret that agrees": players.Solver(WORDS.secrets, breadth=1),
        "any allowed word that agrees": players.Solver(sorted(WORDS.allowed), breadth=1),
        "any of the 2,315 secrets": players.RandomValid(WORDS.secrets),
        "any allowed word": players.RandomValid(sorted(WORDS.allowed)),
    }
    print(f"\ngames won with six guesses, by split ({len(WORDS.allowed):,} allowed words)")
    for name, player in contenders.items():
        figures = []
        for split in ("train", "test"):
            tasks = rlenv.make("rlenv/Wordle-v0", split=split).tasks
            secrets = [task.answer for task in tasks][:400]
            share = wordle_games.won(player, secrets, rounds=1, guesses=6)
            figures.append(f"{split} {share} of {len(secrets)}")
        print(f"  {name:<34} {'   '.join(figures)}")


def main() -> None:
    """Run the measurements."""
    rounds = harness.parser(__doc__, rounds=7).parse_args().rounds
    print(harness.conditions(libraries=["numpy"], clock="cpu"))
    made = arena()
    print(f"feedbacks ({rounds} rounds)")
    rates(feedbacks(made), rounds)
    games = scripts()
    print(f"\nsteps of {GAMES} whole episodes ({rounds} rounds)")
    both = {"rlenv": ours(games), **({} if made is None else {"textarena": theirs(made, games)})}
    rates(both, rounds)
    win_rates()


if __name__ == "__main__":
    main()
