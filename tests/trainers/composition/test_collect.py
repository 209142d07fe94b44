"""What a step plays: which tasks, how often again, and what a curriculum is told of it."""

import time

import pytest
import torch

from rlenv.common.errors import RunFailed
from rlenv.core.reward import Reward
from rlenv.core.trajectory import Group
from rlenv.run.stage import Context
from rlenv.trainers.rl import worker

from ..support import Varied, trajectory

SIZES = {"steps": 4, "groups": 4, "group_size": 4, "max_tokens": 8}


def dealt(rewards):
    """Rollouts that earn what is dealt to them, group by group; None is no verdict."""
    dealt_out = iter(rewards)

    def play(policy, tasks, samples, sampling, *, seed):
        groups = []
        for task in tasks:
            group = []
            for value in next(dealt_out):
                t = trajectory([9, 10, 11], [[12, 13]], [value or 0.0], judged=value is not None)
                t.task = task
                group.append(t)
            groups.append(Group(task, group))
        return groups

    return play


EQUAL, MIXED = [1.0] * 4, [1.0, 0.0, 1.0, 0.0]


def collect(trained, step=0):
    loop = trained.loop
    return loop.worker.collect(step, loop.advantages.has_signal)


@pytest.mark.parametrize(
    ("dealt_out", "most", "played", "refills"),
    [
        ([MIXED] * 4, 3, 4, 0),
        ([MIXED, EQUAL, EQUAL, MIXED, MIXED, MIXED], 3, 6, 1),
        ([MIXED, EQUAL, EQUAL, MIXED, EQUAL, MIXED, MIXED], 3, 7, 2),
        ([EQUAL] * 16, 3, 16, 3),
        ([EQUAL] * 4, 0, 4, 0),
    ],
)
def test_groups_that_teach_nothing_are_played_in_place_of(train, dealt_out, most, played, refills):
    trained = train(dealt(dealt_out), **SIZES, max_refills=most)
    found = collect(trained)
    assert len(found.groups) == played
    assert found.metrics["groups/refills"] == refills
    assert found.tokens == played * 4 * 2 == found.metrics["num_tokens"]


def test_tokens_are_counted_from_the_beginning_of_the_stage(train):
    trained = train(dealt([MIXED] * 12), **SIZES)
    assert [collect(trained, n).metrics["num_tokens"] for n in range(2)] == [32, 64]
    again = train(dealt([MIXED] * 4), **SIZES)
    again.loop.worker.load_state_dict(trained.loop.worker.state_dict())
    assert collect(again, 2).metrics["num_tokens"] == 96


def test_every_step_and_every_refill_draws_tasks_and_samples_of_its_own(
    context, train, monkeypatch
):
    asked = []
    trained = train(dealt([EQUAL] * 24), **SIZES, max_refills=1)
    play = worker.play

    def recorded(pool, engine, chat, tasks, *, seed, **how):
        asked.append(([task.key for task in tasks], seed))
        return play(pool, engine, chat, tasks, seed=seed, **how)

    monkeypatch.setattr(worker, "play", recorded)
    for step in (0, 1, 0):
        collect(trained, step)
    first, refill, second, _, *again = asked
    assert again == [first, refill]
    assert len({seed for _, seed in (first, refill, second)}) == 3
    assert len({tuple(keys) for keys, _ in (first, refill, second)}) == 3


@pytest.mark.parametrize(
    ("failed", "stops"), [(0, False), (3, False), (4, False), (5, True), (16, True)]
)
def test_a_share_of_verdicts_may_be_missing(train, failed, stops):
    """A quarter of the 16 rollouts."""
    flat = [None] * failed + [1.0, 0.0] * 8
    trained = train(
        dealt([flat[n : n + 4] for n in range(0, 16, 4)]), **SIZES, max_grader_errors=0.25
    )
    if stops:
        with pytest.raises(RunFailed, match=f"{failed / 16:.0%} of the rollouts.*no verdict"):
            collect(trained)
    else:
        assert len(collect(trained).groups) == 4


def test_a_curriculum_is_told_of_verdicts_alone(train):
    """8 of 10 verdicts are good enough, to the point, and 6 rollouts have none."""
    curriculum = {"start": 1, "highest": 3, "window": 10, "raise_at": 0.8, "lower_at": 0.7}
    solved = [1.0, 1.0, 1.0, 0.0]
    some = [[1.0, 1.0, None, None], solved, [None, None, 1.0, 1.0], [None, None, 1.0, 0.0]]
    trained = train(
        dealt([*some, *[solved] * 12]), **SIZES, curriculum=curriculum, max_grader_errors=1.0
    )
    assert collect(trained).metrics["curriculum/level"] == 1
    assert trained.loop.worker.curriculum.level == 2
    _, tasks = trained.loop.worker.training()
    assert {tasks[n].metadata["level"] for n in range(5)} == {2}
    state = trained.loop.worker.state_dict()
    trained.loop.worker.curriculum.level = 1
    trained.loop.worker.load_state_dict(state)
    # at the next level 12 of 16 are solved, 7 of the last 10
    assert collect(trained, 1).metrics["curriculum/level"] == 2
    assert trained.loop.worker.curriculum.level == 2


def test_what_is_measured_of_rollouts(train):
    replies = [[8, 9, 8, 9, 8, 9, 8, 9], [8, 9], [8], [8, 9, 10, 11]]

    def played(policy, tasks, samples, sampling, *, seed):
        (task, *_) = tasks
        group = []
        for reply, value in zip(replies, [1.0, 0.0, None, 0.5], strict=True):
            t = trajectory([9], [reply], [value or 0.0], judged=value is not None)
            t.task, t.truncated = task, len(reply) == 8
            if value is not None:
                t.reward = Reward(
                    value, {"style": 2 * value}, "unparseable" if value == 0 else "ok"
                )
            group.append(t)
        two = trajectory([9], [[8, 9], [10]], [0.5, 0.0])
        two.task = task
        return [Group(task, group), *(Group(task, [two] * 4) for _ in tasks[1:])]

    trained = train(played, **{**SIZES, "groups": 2}, max_grader_errors=0.5)
    found = collect(trained).describe(has_signal=torch.tensor([True, False]))
    rewards = [1.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert found["reward"] == pytest.approx(0.5)
    assert found["reward_std"] == pytest.approx((sum((r - 0.5) ** 2 for r in rewards) / 6) ** 0.5)
    assert found["rewards/style/mean"] == pytest.approx(1.0)
    assert found["rewards/style/std"] == pytest.approx(1.0)
    assert found["frac_reward_zero_std"] == 0.5
    assert found["completions/mean_length"] == pytest.approx((8 + 2 + 1 + 4 + 4 * 3) / 8)
    assert (found["completions/min_length"], found["completions/max_length"]) == (1, 8)
    assert found["completions/mean_terminated_length"] == pytest.approx((2 + 1 + 4 + 12) / 7)
    assert found["completions/max_terminated_length"] == 4
    assert found["completions/clipped_ratio"] == 1 / 8
    # of the five runs of four tokens in the first reply two differ; the other has none of four
    assert found["completions/repetition"] == pytest.approx((1 - 2 / 5 + 0) / 2)
    assert found["unparseable"] == 1 / 8
    assert found["grader_errors"] == 1 / 8
    assert found["turns"] == pytest.approx((4 * 1 + 4 * 2) / 8)


def test_one_verdict_has_no_spread(train):
    trained = train(
        dealt([[0.5, None, None, None], [None] * 4]),
        **{**SIZES, "groups": 2},
        max_grader_errors=1.0,
    )
    found = collect(trained).describe(has_signal=torch.tensor([False, False]))
    assert (found["reward"], found["reward_std"], found["grader_errors"]) == (0.5, 0.0, 7 / 8)


def test_the_time_that_a_step_takes_is_that_of_its_parts(train, monkeypatch):
    trained = train(dealt([MIXED] * 12), **SIZES)
    play = worker.play

    def slow(pool, *args, **kwargs):
        pool.stepping += 1.5
        time.sleep(0.1)
        return play(pool, *args, **kwargs)

    monkeypatch.setattr(worker, "play", slow)
    for step in range(2):
        began = time.monotonic()
        logged, _ = trained.loop.step(step, with_reference_kl=False)
        took = time.monotonic() - began
        assert logged["time/env"] == pytest.approx(1.5)
        assert 0.1 <= logged["time/rollout"] < logged["step_time"] <= took
        assert logged["time/train"] > 0
        parts = logged["time/rollout"] + logged["time/train"]
        assert parts == pytest.approx(logged["step_time"])
        assert logged["tokens_per_second"] == pytest.approx(4 * 4 * 2 / logged["time/rollout"])
        # the reference is asked where something depends on it, or when it is wanted
        assert "kl" not in logged
    assert "kl" in trained.loop.step(0, with_reference_kl=True)[0]


def test_held_out_tasks_are_the_same_each_time_and_only_validation_ones(train, monkeypatch):
    monkeypatch.setattr(Context, "make_env", lambda self, split, **_: Varied(split=split))
    from rlenv.rollouts.rollout import play

    asked = []

    def recorded(pool, engine, chat, tasks, **how):
        asked.append(([task.key for task in tasks], {task.split for task in tasks}, how["seed"]))
        return play(pool, engine, chat, tasks, **how)

    trained = train(**SIZES, eval_tasks=6)
    monkeypatch.setattr(worker, "play", recorded)
    first, second = trained.loop.worker.evaluate(), trained.loop.worker.evaluate()
    assert first == second
    assert asked[0] == asked[1]
    assert len(set(asked[0][0])) == 6
    assert asked[0][1] == {"validation"}
