"""Async components of a rubric: they wait side by side, and judge as they would one by one."""

import asyncio
import os
import pickle
import threading
import time

import pytest

import rlenv
from rlenv.core.protocols import announce
from rlenv.engines.base import Completion, Engine, Sampling
from rlenv.rollouts.rollout import EnvPool, play

SECONDS = 0.3  # that the slow component waits


class Count:
    """How many graders are under way, and were at most."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now = self.most = self.calls = 0

    def __enter__(self):
        with self.lock:
            self.calls += 1
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self.lock:
            self.now -= 1


COUNT = Count()


@pytest.fixture(autouse=True)
def _count_from_zero():
    COUNT.__init__()


class Slow(rlenv.SingleTurnEnv):
    """Its component waits, as for a server; another one does not."""

    rubric = rlenv.Rubric(waited=1.0, at_once=0.5)
    reward_range = (0.0, 1.5)

    def generate(self, rng):
        n = rng.randint(1000, 9999)
        return rlenv.Task(f"{n}?", answer=n)

    async def waited(self, task, reply):
        with COUNT:
            await asyncio.sleep(SECONDS)
            if reply == "break":
                raise ValueError("the server said no")
            if reply == "leave":
                raise SystemExit(3)
            return len(reply) / 100

    def at_once(self, task, reply):
        return reply.startswith("a")


class Narrow(Slow):
    """So much at once and no more."""

    rubric = rlenv.Rubric(waited=1.0, at_once=0.5, max_concurrency=4)


class Talker(Engine):
    """Says something else for each prompt."""

    def __init__(self, chat, words):
        self.chat, self.words, self.asked = chat, words, 0

    def generate(self, requests, sampling):
        found = []
        for _ in requests:
            text = self.words[self.asked % len(self.words)]
            self.asked += 1
            ids = [*self.chat.tokenizer(text)["input_ids"], self.chat.tokenizer.eos_token_id]
            found.append(Completion(ids, [0.0] * len(ids), stopped=True))
        return found


def rewards(chat, kind, words, samples=8, tasks=8):
    env = kind()
    groups = play(
        EnvPool(kind),
        Talker(chat, words),
        chat,
        env.tasks.distinct(tasks),
        samples=samples,
        sampling=Sampling(max_tokens=20),
        seed=0,
        max_length=128,
    )
    return [t.reward for g in groups for t in g.trajectories]


def one_by_one(replies, kind=Slow):
    """Judge without announcing."""
    found, env = [], kind()
    for reply in replies:
        env.reset(seed=0)
        found.append(env.step(reply)[4]["reward"])
    return found


def test_those_of_a_batch_wait_side_by_side(chat):
    words = ["1", "12", "123", "1234"]
    began = time.monotonic()
    found = rewards(chat, Slow, words)
    took = time.monotonic() - began
    assert len(found) == COUNT.calls == 64
    assert COUNT.most > 16
    assert took < 64 * SECONDS / 4  # one by one they wait 19 seconds
    assert [r.value for r in found[:4]] == [r.value for r in one_by_one(words)]
    assert found[:4] == found[4:8]


def test_the_limit_on_concurrency_holds(chat):
    rewards(chat, Narrow, ["1"], samples=4, tasks=4)
    assert COUNT.calls == 16
    assert COUNT.most == 4


def test_announced_or_not_the_verdict_is_the_same():
    replies = ["a", "ab", "b", "break", "leave"]
    apart = one_by_one(replies)
    envs = [Slow() for _ in replies]
    for env, reply in zip(envs, replies, strict=True):
        env.reset(seed=0)
        announce(env, reply)
    together = [env.step(r)[4]["reward"] for env, r in zip(envs, replies, strict=True)]
    assert [r.status for r in together] == ["ok"] * 3 + ["grader_error"] * 2
    for a, b in zip(apart, together, strict=True):
        assert (a.components, a.status, a.detail) == (b.components, b.status, b.detail)
        assert list(b.components) == (["waited", "at_once"] if b.judged else [])
        assert a.value == b.value or not a.judged
    assert "the server said no" in together[3].detail
    assert one_by_one(["abc"])[0].judged  # the loop outlives who tries to leave


def test_what_was_announced_for_another_reply_counts_for_nothing():
    env = Slow()
    env.reset(seed=0)
    announce(env, "a long reply that never came")
    assert env.step("ab")[4]["reward"].components == {"waited": 0.02, "at_once": 1.0}
    env.reset(seed=0)
    announce(env, "abc")
    env.reset(seed=0)  # played anew, so it is judged anew
    before = COUNT.calls
    env.step("abc")
    assert COUNT.calls > before


def test_an_environment_is_pickled_while_a_reply_is_judged():
    env = Slow()
    env.reset(seed=0)
    announce(env, "ab")
    copy = pickle.loads(pickle.dumps(env))
    assert copy.step("ab")[1] == env.step("ab")[1] == 0.52


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_judges_too():
    env = Slow()
    env.reset(seed=0)
    announce(env, "ab")
    child = os.fork()
    if child == 0:
        os._exit(0 if env.step("ab")[1] == 0.52 else 1)
    assert env.step("ab")[1] == 0.52
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_grader_may_ask_for_graders():
    class Outer(rlenv.SingleTurnEnv):
        rubric = rlenv.Rubric(inner=1.0)

        async def inner(self, task, reply):
            return one_by_one([reply])[0].components["waited"]

    env = Outer()
    env.reset(options={"task": rlenv.Task("x")})
    assert env.step("abc")[1] == pytest.approx(0.03)


def test_from_inside_an_event_loop():
    async def judge():
        return one_by_one(["ab"])[0].value

    assert asyncio.run(judge()) == 0.52


def test_a_step_that_waits_too_long_is_ended():
    class Endless(Slow):
        async def waited(self, task, reply):
            await asyncio.sleep(600)

    env = Endless(step_timeout=0.5)
    env.reset(seed=0)
    announce(env, "a")
    began = time.monotonic()
    assert env.step("a")[4]["reward"].status == "grader_error"
    assert time.monotonic() - began < 10


class Asks(rlenv.ToolEnv):
    """Judges its answer slowly; calls are no answers."""

    rubric = rlenv.Rubric(waited=1.0)
    waited = Slow.waited

    @rlenv.tool
    def look(self) -> str:
        """Look."""
        return "nothing"


def test_the_answer_after_tools_is_judged_ahead():
    env = Asks()
    env.reset(options={"task": rlenv.Task("x")})
    call = rlenv.parsing.write_tool_call("look", {})
    announce(env, call)
    assert env.step(call)[0] == "nothing"
    assert COUNT.calls == 0
    announce(env, "abcd")
    time.sleep(0.1)
    assert COUNT.calls == 1  # before the step
    assert env.step("abcd")[1] == 0.04
    assert COUNT.calls == 1


def test_replies_that_trl_generated_are_judged_side_by_side():
    pytest.importorskip("trl")
    from rlenv.integrations.trl.episodes import judge

    task = rlenv.Task("1234?", answer=1234)
    replies = ["1", "break", "leave", *["12"] * 29]
    began = time.monotonic()
    found = judge([Slow() for _ in replies], [task] * 32, replies)
    assert time.monotonic() - began < 32 * SECONDS / 4
    assert [r.status for r in found[:4]] == ["ok", "grader_error", "grader_error", "ok"]
    assert [r.value for r in found[3:]] == [0.02] * 29
