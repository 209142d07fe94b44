"""Generators that are seeded late draw what generators that are seeded at once would draw."""

import copy
import pickle
import random

import gymnasium
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenv

TASK = rlenv.Task("Say anything.", answer="x")


def draw_task(rng: random.Random) -> rlenv.Task:
    """A task that takes one draw."""
    return rlenv.Task(f"Say {rng.random()}.", answer="x")


class Late(rlenv.SingleTurnEnv):
    """The environment under test; its tasks draw as well."""

    def generate(self, rng: random.Random) -> rlenv.Task:
        return draw_task(rng)

    def score(self, task: rlenv.Task, reply: str) -> bool:
        return True


class AtOnce(gymnasium.Env):
    """What it must not be told apart from."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.random = random.Random(int(self.np_random.integers(2**62)))
        if options is None:
            rlenv.GeneratedTasks(draw_task).sample(self.random)


class Player:
    """Does one thing after the other to an environment, and notes what it sees."""

    def __init__(self, env):
        self.env, self.seen, self.held = env, [], []

    def play(self, action, number):
        env = self.env
        if action == "reset":
            env.reset(seed=number)
        elif action == "go on":
            env.reset()
        elif action == "reset to a task":
            env.reset(seed=number, options={"task": TASK})
        elif action == "go on with a task":
            env.reset(options={"task": TASK})
        elif action == "draw":
            self.seen.append(env.random.random())
        elif action == "draw from NumPy's":
            self.seen.append(env.np_random.random())
        elif action == "hold":
            self.held += [env.np_random, env.random]
        elif action == "draw from those held":
            self.seen += [generator.random() for generator in self.held]
        elif action == "ask for the seed":
            self.seen.append(env.np_random_seed)
        elif action == "copy":
            self.env = copy.deepcopy(env)
        else:
            env.np_random = gymnasium.utils.seeding.np_random(number)[0]


ACTIONS = [
    "reset",
    "go on",
    "reset to a task",
    "go on with a task",
    "draw",
    "draw from NumPy's",
    "hold",
    "draw from those held",
    "ask for the seed",
    "copy",
    "put another there",
]
actions = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), max_size=20)


@given(st.integers(0, 2**64), actions)
def test_late_seeding_draws_the_same(seed, steps):
    players = [Player(Late()), Player(AtOnce())]
    for player in players:
        player.play("reset to a task", seed)
        for step in steps:
            player.play(*step)
        player.play("draw", 0)
        player.play("draw from NumPy's", 0)
        player.play("ask for the seed", 0)
    assert players[0].seen == players[1].seen


def test_without_a_seed_one_is_chosen_and_told():
    env = Late()
    env.reset(options={"task": TASK})
    env.reset(options={"task": TASK})
    drawn = env.random.random()
    again = Late()
    again.reset(seed=env.np_random_seed, options={"task": TASK})
    assert again.random.random() != drawn
    again.reset(options={"task": TASK})
    assert again.random.random() == drawn
    other = Late()
    other.reset(options={"task": TASK})
    assert other.np_random_seed != env.np_random_seed


@pytest.mark.parametrize("seed", [-1, 1.5, "1"])
def test_a_wrong_seed_is_refused_at_once(seed):
    with pytest.raises(gymnasium.error.Error, match="Seed must be"):
        Late().reset(seed=seed, options={"task": TASK})


def test_a_pickled_environment_draws_the_same():
    env = Late()
    env.reset(seed=3, options={"task": TASK})
    copied = pickle.loads(pickle.dumps(env))
    assert copied.random.random() == env.random.random()
    assert copied.np_random.random() == env.np_random.random()
