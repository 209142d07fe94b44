import itertools

import pytest

import rlenv
from rlenv.engines.base import Sampling
from rlenv.rollouts.demonstrations import demonstrate
from rlenv.rollouts.rollout import EnvPool, play
from rlenv.trainers.sft.demonstrations import demonstrations

from .test_env import HigherLower, Reverse
from .test_rollout import Scripted


class Bisected(HigherLower):
    """With an expert who halves what is left."""

    def demonstrate(self, task, messages):
        low, high = 1, 100
        for said, told in itertools.pairwise(messages[1:]):
            if told["content"] == "Higher.":
                low = int(said["content"]) + 1
            elif told["content"] == "Lower.":
                high = int(said["content"]) - 1
        return str((low + high) // 2)


def test_an_expert_plays_a_whole_episode():
    env = Bisected()
    task = env.tasks[0]
    shown = demonstrate(env, task, seed=0)
    assert shown.opening == 1
    assert shown.messages[0]["content"] == task.question
    assert shown.messages[-1] == {"role": "assistant", "content": str(task.answer)}
    assert [m["role"] for m in shown.messages] == ["user", "assistant"] * len(shown.replies)
    assert len(shown.replies) > 1


def test_one_turn_is_not_judged():
    class Slow(Reverse):
        def score(self, task, reply):
            raise AssertionError("judged")

    env = Slow()
    shown = demonstrate(env, env.tasks[0], seed=0)
    assert shown.replies == [env.tasks[0].answer]


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("kind", [Bisected, Reverse])
def test_what_else_the_expert_might_have_said_is_asked_where_it_is_wanted(kind, asked):
    class Unsure(kind):
        def choices(self, task, messages):
            return {str(len(messages)): 1.0}

    env = Unsure()
    shown = demonstrate(env, env.tasks[0], seed=0, choices=asked)
    # of each reply, given what stood before it
    before = [{str(2 * n + 1): 1.0} for n in range(len(shown.replies))]
    assert shown.choices == (before if asked else [])


def test_nothing_is_shown_where_the_expert_gives_up():
    class Lost(Bisected):
        def demonstrate(self, task, messages):
            return "50" if len(messages) == 1 else None

    env = Lost()
    task = rlenv.Task("?", answer=3)
    assert demonstrate(env, task, seed=0) is None
    assert demonstrate(HigherLower(), task, seed=0) is None


def test_rows_for_sft_are_the_tokens_of_a_rollout_of_the_same_replies(chat):
    env = Bisected()
    (row,) = demonstrations(env, chat, 1, seed=3)
    said = [token for token in row["labels"] if token != -100]
    replies = chat.tokenizer.decode(said).split(chat.tokenizer.eos_token)[:-1]
    task = next(t for t in env.tasks if str(t.answer) == replies[-1])
    (group,) = play(
        EnvPool(Bisected),
        Scripted(chat, replies),
        chat,
        [task],
        samples=1,
        sampling=Sampling(max_tokens=8),
        seed=0,
        max_length=512,
    )
    (trajectory,) = group.trajectories
    assert row["input_ids"] == trajectory.token_ids
    assert [label != -100 for label in row["labels"]] == list(map(bool, trajectory.loss_mask))


def test_demonstrations_differ_and_can_be_repeated(chat):
    rows = demonstrations(Bisected(), chat, 20, seed=3)
    assert rows == demonstrations(Bisected(), chat, 20, seed=3)
    assert rows != demonstrations(Bisected(), chat, 20, seed=4)
    assert len({tuple(row["input_ids"]) for row in rows}) > 10


def test_an_environment_without_an_expert_is_refused(chat):
    with pytest.raises(rlenv.UserError, match="demonstrates no reply"):
        demonstrations(HigherLower(), chat, 1, seed=0)
