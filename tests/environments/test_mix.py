import pickle
import random
from collections import Counter

import pytest

import rlenv
from rlenv.common.errors import UserError
from rlenv.environments.mix import Mix


@rlenv.register("demo-mix/Guess-v0", max_turns=3)
class Guess(rlenv.TextEnv):
    """Find a number; several turns."""

    def generate(self, rng):
        number = rng.randint(1, 10_000)
        return rlenv.Task(f"Guess, hint {number % 7}.", answer=number)

    def start(self, task):
        self.secret = self.random.random()

    def respond(self, task, reply):
        if reply == str(task.answer):
            return rlenv.done("Yes!", reward=1.0)
        return rlenv.turn("No.", reward=-0.01)

    def demonstrate(self, task, messages):
        return str(task.answer)


MEMBERS = {"rlenv/Arithmetic-v0": 3.0, "demo-mix/Guess-v0": 1.0}


def test_weights_and_splits():
    keys = {}
    for split in ("train", "validation", "test"):
        env = rlenv.make("rlenv/Mix-v0", members=MEMBERS, split=split)
        tasks = [env.tasks[i] for i in range(400)]
        names = Counter(t.metadata["mix_member"] for t in tasks)
        assert 240 <= names["rlenv/Arithmetic-v0"] <= 360
        assert {t.split for t in tasks} == {split}
        keys[split] = {t.key for t in tasks}
    assert not keys["train"] & keys["test"]
    assert not keys["train"] & keys["validation"]


def test_a_task_keeps_its_key_in_a_mixture():
    env = rlenv.make("rlenv/Mix-v0", members={"rlenv/Arithmetic-v0": 1})
    alone = rlenv.make("rlenv/Arithmetic-v0")
    ours, theirs = env.tasks.sample(random.Random(3)), None
    rng = random.Random(3)
    rng.random()  # drawing the member
    theirs = alone.tasks.sample(rng)
    assert ours.key == theirs.key


def test_members_play_with_several_turns_and_their_components():
    env = Mix(members=MEMBERS)
    by_member = {}
    for index in range(50):
        task = env.tasks[index]
        by_member.setdefault(task.metadata["mix_member"], task)
    sum_task, guess_task = by_member["rlenv/Arithmetic-v0"], by_member["demo-mix/Guess-v0"]

    env.reset(seed=0, options={"task": sum_task})
    _, reward, terminated, _, info = env.step(str(sum_task.answer))
    assert (reward, terminated) == (1.0, True)
    assert info["reward"].components == {"correct": 1.0, "rlenv/Arithmetic-v0": 1.0}

    env.reset(seed=1, options={"task": guess_task})
    first = env.members["demo-mix/Guess-v0"].secret
    assert env.step("x")[:4] == ("No.", -0.01, False, False)
    copy = pickle.loads(pickle.dumps(env))
    for playing in (env, copy):
        observation, reward, terminated, _, info = playing.step(str(guess_task.answer))
        assert (observation, reward, terminated) == ("Yes!", 1.0, True)
        assert [m["role"] for m in info["messages"]] == ["user"] + ["assistant", "user"] * 2
    env.reset(seed=1, options={"task": guess_task})
    assert env.members["demo-mix/Guess-v0"].secret == first
    assert [env.step("x")[2] for _ in range(3)] == [False, False, True]


def test_experts_and_text_come_from_the_member():
    env = Mix(members=MEMBERS)
    for index in range(20):
        task = env.tasks[index]
        assert env.demonstrate(task, task.prompt) == str(task.answer)
        assert str(task.answer) in env.text(task)


def test_one_environment_twice_needs_names():
    easy = {"id": "rlenv/Arithmetic-v0", "options": {"level": 1}, "name": "easy"}
    hard = {"id": "rlenv/Arithmetic-v0", "options": {"level": 6}, "name": "hard", "weight": 2}
    env = Mix(members=[easy, hard])
    assert {env.tasks[i].metadata["mix_member"] for i in range(30)} == {"easy", "hard"}
    assert Mix(members=[easy]).tasks.fingerprint != env.tasks.fingerprint
    with pytest.raises(UserError, match="two members"):
        Mix(members=[easy, easy])


@pytest.mark.parametrize(
    "members",
    [{}, {"rlenv/Arithmetic-v0": 0}, {"rlenv/Arithmetic-v0": -1}, {"rlenv/None-v0": 1},
     [{"weight": 1}], [{"id": "rlenv/Arithmetic-v0", "wieght": 1}]],
)  # fmt: skip
def test_what_no_mixture_is(members):
    with pytest.raises(UserError):
        Mix(members=members)


def test_members_with_tools_offer_them_and_answer_as_tools():
    env = rlenv.make("rlenv/Mix-v0", members={"rlenv/PythonTool-v0": 1, "rlenv/Wordle-v0": 1})
    played = set()
    for seed in range(8):
        _, info = env.reset(seed=seed)
        alone = env.member(env.task)
        assert info["messages"] == list(alone.opening(env.task))
        step = env.step(env.demonstrate(env.task, info["messages"]))
        roles = [message["role"] for message in step[4]["messages"]]
        if "tools" in info["messages"][0]:
            assert roles == ["user", "assistant", "tool"]
            assert step[4]["messages"][-1]["content"] == str(env.task.answer)
        else:
            assert roles[:2] == ["user", "assistant"]
            assert "tool" not in roles
        played.add(type(alone).__name__)
    assert played == {"PythonTool", "Wordle"}
