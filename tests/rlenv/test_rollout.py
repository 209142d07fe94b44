import itertools
import time

import pytest

import rlenv
from rlenv.core.trajectory import Group, Trajectory
from rlenv.engines.base import Completion, Engine, Sampling
from rlenv.evaluation import LocalPlayer, evaluate
from rlenv.rollouts.rollout import EnvPool, env_seed, group_seed, play

from .test_env import Broken, HigherLower, Reverse


class Scripted(Engine):
    """An engine that says prepared replies, and notes what it was asked."""

    def __init__(self, chat, replies, stop=True):
        self.chat, self.replies, self.stop = chat, itertools.cycle(replies), stop
        self.asked, self.seeds = [], []

    def generate(self, requests, sampling):
        self.asked.append([list(r.token_ids) for r in requests])
        self.seeds += [r.seed for r in requests]
        out = []
        for request in requests:
            ids = self.chat._encode(next(self.replies))[: request.limit(sampling)]
            ids = [*ids, *self.chat.stop_ids] if self.stop else ids
            out.append(Completion(ids, [-0.5] * len(ids), self.stop))
        return out


def run(env, chat, engine, task, samples=1, max_length=512, max_tokens=50):
    pool = EnvPool(env)
    sampling = Sampling(max_tokens=max_tokens)
    return play(
        pool,
        engine,
        chat,
        [task],
        samples=samples,
        sampling=sampling,
        seed=0,
        max_length=max_length,
    )[0]


def test_a_single_turn(chat):
    task = rlenv.Task("Spell ab backwards.", answer="ba")
    group = run(Reverse, chat, Scripted(chat, ["ba", "ab"]), task, samples=2)
    first, second = group.trajectories
    assert (first.reward.value, second.reward.value) == (1.0, 0.0)
    prompt = chat.prompt(task.prompt)
    assert first.token_ids[: len(prompt)] == prompt
    assert first.loss_mask == [0] * len(prompt) + [1] * 3  # b, a and the stop token
    assert first.logprobs == [0.0] * len(prompt) + [-0.5] * 3
    assert first.reply == "ba"


def test_several_turns_are_token_exact(chat):
    task = rlenv.Task("I am thinking of a number from 1 to 100.", answer=60)
    engine = Scripted(chat, ["50", "what", "60"])
    (trajectory,) = run(HigherLower, chat, engine, task).trajectories
    assert (
        trajectory.token_ids[-len(chat._encode("60")) - 1 :] == chat._encode("60") + chat.stop_ids
    )
    sampled = [t for t, on in zip(trajectory.token_ids, trajectory.loss_mask, strict=True) if on]
    ends = chat.stop_ids
    assert sampled == [
        *chat._encode("50"),
        *ends,
        *chat._encode("what"),
        *ends,
        *chat._encode("60"),
        *ends,
    ]
    # every prompt the engine saw begins with the one before it and what it replied
    for (before,), (after,) in itertools.pairwise(engine.asked):
        assert after[: len(before)] == before
    # and equals the template's own rendering of the conversation so far
    assert engine.asked[-1][0] == chat.prompt(trajectory.messages[:-2])
    assert trajectory.turn_rewards == [-0.01, 0.0, 1.0]
    assert trajectory.reward.value == pytest.approx(0.99)
    assert len(set(engine.seeds)) == 3


def test_a_reply_cut_off_ends_the_episode(chat):
    task = rlenv.Task("?", answer=60)
    (t,) = run(HigherLower, chat, Scripted(chat, ["50"], stop=False), task).trajectories
    assert t.truncated
    assert t.turn_rewards == [-0.01]


def test_an_episode_that_outgrows_the_context_is_truncated(chat):
    task = rlenv.Task("?", answer=60)
    room = len(chat.prompt(task.prompt)) + 30
    (t,) = run(HigherLower, chat, Scripted(chat, ["50"]), task, max_length=room).trajectories
    assert t.truncated
    assert t.reward.judged
    assert len(t.token_ids) <= room + 30


def test_a_failed_environment_costs_its_own_rollout(chat):
    class Fragile(Reverse):
        made = 0

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            Fragile.made += 1
            self.number = Fragile.made

        def reset(self, **kwargs):
            if self.number == 2:
                raise OSError("gone")
            return super().reset(**kwargs)

    task = rlenv.Task("Spell ab backwards.", answer="ba")
    group = run(Fragile, chat, Scripted(chat, ["ba"]), task, samples=3)
    assert [t.reward.status for t in group.trajectories] == ["ok", "grader_error", "ok"]
    assert "gone" in group.trajectories[1].reward.detail


def test_a_group_must_begin_alike(chat):
    class Fickle(Reverse):
        count = 0

        def reset(self, **kwargs):
            observation, info = super().reset(**kwargs)
            Fickle.count += 1
            return f"{observation} {Fickle.count}", info

    with pytest.raises(RuntimeError, match="began differently"):
        run(Fickle, chat, Scripted(chat, ["x"]), rlenv.Task("?", answer="x"), samples=2)


def test_stochastic_environments_replay_their_randomness_in_a_group(chat):
    class Noisy(HigherLower):
        def respond(self, task, reply):
            return rlenv.done(str(self.random.random()), reward=0.0)

    group = run(Noisy, chat, Scripted(chat, ["1", "2"]), rlenv.Task("?", answer=1), samples=4)
    assert len({t.messages[-1]["content"] for t in group.trajectories}) == 1


def test_samples_differ_and_do_not_depend_on_what_else_is_played(chat):
    tasks = [rlenv.Task(f"Spell {w} backwards.", answer=w[::-1]) for w in ("ab", "cd", "ef")]

    def seeds(chosen):
        engine = Scripted(chat, ["x"])
        play(
            EnvPool(Reverse),
            engine,
            chat,
            chosen,
            samples=2,
            sampling=Sampling(),
            seed=5,
            max_length=256,
        )
        return engine.seeds

    everything = seeds(tasks)
    assert len(set(everything)) == 6
    assert seeds(tasks[1:2]) == everything[2:4]
    assert len(set(seeds([tasks[0], tasks[0]]))) == 4  # drawn twice, sampled anew


def test_a_group_refuses_another_task():
    a, b = rlenv.Task("a"), rlenv.Task("b")
    with pytest.raises(ValueError, match="one task"):
        Group(a, [Trajectory(b, [], [], [])])


def test_evaluation_counts_grader_errors_apart(chat):
    class Sometimes(Reverse):
        def score(self, task, reply):
            if reply == "boom":
                raise RuntimeError("no verdict")
            return reply == "good"

    result = evaluate(
        EnvPool(lambda: Sometimes(split="test")),
        LocalPlayer(Scripted(chat, ["good", "boom"]), chat, max_length=256),
        tasks=20,
        samples=2,
        greedy=False,
        sampling=Sampling(max_tokens=8),
        seed=0,
    )
    assert result.summary.grader_errors == 0.5
    assert result.summary.pass_at_1.value == 1.0  # of those that were judged
    assert result.summary.tasks == 20
    assert "50.0%" in result.summary.invalid
    assert "no verdict" in result.summary.invalid
    assert {s.task_key for s in result.kept} == {
        t.key for t in Sometimes(split="test").tasks.distinct(20)
    }


def test_evaluation_without_any_verdict_is_an_error(chat):
    with pytest.raises(rlenv.UserError, match="a bug"):
        evaluate(
            EnvPool(lambda: Broken(split="test")),
            LocalPlayer(Scripted(chat, ["x"]), chat, max_length=256),
            tasks=3,
            samples=1,
            sampling=Sampling(max_tokens=8),
            seed=0,
        )


def test_a_prompt_that_leaves_no_room_is_no_verdict_on_the_policy(chat):
    task = rlenv.Task("Spell ab backwards.", answer="ba")
    (t,) = run(Reverse, chat, Scripted(chat, ["ba"]), task, max_length=10).trajectories
    assert t.reward.status == "grader_error"
    assert "no room" in t.reward.detail


def test_the_last_token_that_has_room_is_asked_for(chat):
    task = rlenv.Task("Spell ab backwards.", answer="ba")
    length = len(chat.prompt(task.prompt))
    for room, most in ((1, 1), (3, 3), (60, 50)):
        engine = Limits(chat, ["b" * 100], stop=False)
        (t,) = run(Reverse, chat, engine, task, max_length=length + room).trajectories
        assert engine.limits == [most]
        assert t.sampled_tokens == most
        assert t.truncated
        assert t.reward.judged


class Limits(Scripted):
    """Notes how many tokens may be said, and how many rollouts it is asked for at once."""

    max_rows = 4

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.limits = []

    def generate(self, requests, sampling):
        self.limits += [request.max_tokens for request in requests]
        return super().generate(requests, sampling)


@pytest.mark.parametrize(
    ("samples", "waves"), [(1, [4, 1]), (2, [4, 4, 2]), (3, [3] * 5), (4, [4] * 5), (6, [6] * 5)]
)
def test_whole_groups_are_played_together_as_far_as_the_engine_has_rows(chat, samples, waves):
    tasks = [rlenv.Task(f"Spell {w} backwards.", answer=w) for w in ("a", "b", "c", "d", "e")]
    engine = Limits(chat, ["x"])
    pool = EnvPool(Reverse)
    how = {"sampling": Sampling(max_tokens=5), "seed": 0, "max_length": 256}
    groups = play(pool, engine, chat, tasks, samples=samples, **how)
    assert [len(asked) for asked in engine.asked] == waves
    assert [group.task for group in groups] == tasks
    assert [len(group.trajectories) for group in groups] == [samples] * 5
    # there are as many environments as play at once
    assert len({id(env) for env in pool.take(max(waves))}) == max(waves)
    made = []
    few = EnvPool(lambda: made.append(1))
    few.take(3)
    few.take(2)
    assert len(made) == 3


@pytest.mark.parametrize("turn", ["reset", "step"])
def test_an_environment_that_failed_never_plays_again(chat, turn):
    class Fragile(Reverse):
        failing = True

        def start(self, task):
            if turn == "reset" and self.failing:
                raise RuntimeError("broken")
            return super().start(task)

        def step(self, action):
            if turn == "step" and self.failing:
                raise RuntimeError("broken")
            return super().step(action)

    pool = EnvPool(Fragile)
    first, second = pool.take(2)
    second.failing = False
    task = rlenv.Task("Spell ab backwards.", answer="ba")
    how = {"sampling": Sampling(max_tokens=5), "seed": 0, "max_length": 256}
    (group,) = play(pool, Scripted(chat, ["ba"]), chat, [task], samples=2, **how)
    assert [t.reward.judged for t in group.trajectories] == [False, True]
    again = pool.take(2)
    assert again[0] is second
    assert first not in again


def test_the_time_spent_in_environments_is_counted(chat):
    class Slow(Reverse):
        def score(self, task, reply):
            time.sleep(0.05)
            return 1.0

    pool = EnvPool(Slow)
    task = rlenv.Task("Spell ab backwards.", answer="ba")
    began = time.monotonic()
    how = {"sampling": Sampling(max_tokens=5), "seed": 0, "max_length": 256}
    play(pool, Scripted(chat, ["ba"]), chat, [task], samples=2, **how)
    assert 0.1 <= pool.stepping <= time.monotonic() - began


def test_the_seed_of_an_environment_is_one_that_numpy_takes_and_depends_on_the_group():
    tasks = [rlenv.Task(str(n)) for n in range(200)]
    seeds = [env_seed(group_seed(0, task)) for task in tasks]
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert max(seeds) > 2**30
    assert group_seed(0, tasks[0]) != group_seed(1, tasks[0])


def test_all_replies_are_announced_before_the_first_step(chat):
    heard = []

    class Listening(Reverse):
        def announce(self, reply):
            heard.append(("announced", reply))
            raise RuntimeError("the step does not need it")

        def score(self, task, reply):
            heard.append(("scored", reply))
            return super().score(task, reply)

    task = rlenv.Task("Spell ab backwards.", answer="ba")
    group = run(Listening, chat, Scripted(chat, ["ba", "ab"]), task, samples=2)
    assert [t.reward.value for t in group.trajectories] == [1.0, 0.0]
    words = ["ba", "ab"]
    assert heard == [("announced", w) for w in words] + [("scored", w) for w in words]


def test_a_reply_is_announced_while_others_are_still_sampled(chat):
    """The engine says the second reply only once the environment has heard of the first."""
    heard = []

    class Listening(Reverse):
        def announce(self, reply):
            heard.append(reply)

    class Slow(Scripted):
        def stream(self, requests, sampling):
            late, early = self.generate(requests, sampling)
            yield 1, early
            assert heard == ["ab"]
            yield 0, late

    task = rlenv.Task("Spell ab backwards.", answer="ba")
    group = run(Listening, chat, Slow(chat, ["ba", "ab"]), task, samples=2)
    assert heard == ["ab", "ba"]
    assert [t.reply for t in group.trajectories] == ["ba", "ab"]
    assert [t.reward.value for t in group.trajectories] == [1.0, 0.0]
