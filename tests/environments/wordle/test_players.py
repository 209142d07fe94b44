import random

import pytest

from rlenv.environments.wordle.feedback import feedback
from rlenv.environments.wordle.players import RandomValid, Solver, play
from rlenv.environments.wordle.words import load

SECRETS = load(5).secrets[::12]


@pytest.mark.parametrize("breadth", [None, 1, 8])
def test_a_solver_only_guesses_what_agrees_and_comes_to_the_secret(breadth):
    solver = Solver(SECRETS, breadth)
    rng = random.Random(0)
    for secret in SECRETS[:40]:
        history = play(solver, secret, rng, guesses=len(SECRETS))
        assert history[-1] == (secret, "GGGGG")
        for n, (guess, _) in enumerate(history):
            assert all(feedback(before, guess) == marks for before, marks in history[:n])


def test_it_takes_the_guess_that_splits_best():
    # "ab" and "cd" tell all four words apart but for one pair; "zz" tells nothing
    solver = Solver(["zz", "zy", "xz", "zw"])
    best = max(solver.words, key=lambda g: len({feedback(g, s) for s in solver.words}))
    assert solver([], random.Random(0)) == best
    assert solver([("zz", "GG")], random.Random(0)) == "zz"
    assert solver([("zz", "XX")], random.Random(0)) is None


def test_feedback_on_words_it_does_not_know_counts():
    solver = Solver(["crane", "slate", "hound"])
    assert [solver.words[i] for i in solver.left([("mound", "XGGGG")])] == ["hound"]


def test_knowing_more_wins_more():
    def won(player):
        rng = random.Random(0)
        return sum(play(player, secret, rng)[-1][1] == "GGGGG" for secret in SECRETS)

    every = won(Solver(SECRETS))
    assert won(RandomValid(SECRETS)) < won(Solver(SECRETS, breadth=1)) <= every
    assert every > 0.95 * len(SECRETS)
