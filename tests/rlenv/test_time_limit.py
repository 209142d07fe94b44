"""Calls that do not return are ended, and nothing is ended that did."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml

import rlenv
from rlenv.cli import train
from rlenv.common.errors import Interrupted, RunFailed
from rlenv.common.time_limit import TimedOut, call_within, no_stop, stop_soon
from rlenv.rollouts.rollout import EnvPool
from tests.conftest import ROOT


def busy():
    while True:
        pass


def swallowing():
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.001)


def stubborn():
    """Catches even what it can't know, a few times."""
    for _ in range(3):
        with contextlib.suppress(BaseException):
            busy()
    busy()


WAITS = {
    "busy": busy,
    "asleep": lambda: time.sleep(1e6),
    "locked": lambda: (lock := threading.Lock()) and lock.acquire() and lock.acquire(),
    "listening": lambda: os.read(os.pipe()[0], 1),
    "child": lambda: subprocess.run(["sleep", "1000"], check=True),
    "backtracking": lambda: re.match(r"(a|a)*b", "a" * 64),
    "large numbers": lambda: pow(7, 10**12),
    "swallowing": swallowing,
    "stubborn": stubborn,
}


@pytest.mark.parametrize("name", WAITS)
def test_what_does_not_return_is_ended(name):
    began = time.monotonic()
    with pytest.raises(TimedOut):
        call_within(0.2, WAITS[name])
    assert time.monotonic() - began >= 0.2
    assert call_within(5.0, lambda: "well") == "well"


def test_computing_is_ended_in_other_threads_too():
    ended = []

    def run():
        try:
            call_within(0.2, swallowing)
        except TimedOut:
            ended.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert ended == [True]


@pytest.mark.parametrize("in_thread", [False, True])
def test_what_returns_near_its_limit_is_whole_or_ended_and_nothing_comes_later(in_thread):
    """The limit strikes before, while and after a call ends; a late one must reach nobody."""
    seen = []

    def takes(seconds):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            time.sleep(0.0005)
        return "whole"

    def tries():
        for n in range(150):
            try:
                seen.append(call_within(0.05, takes, 0.02 + n / 1000))
            except TimedOut:
                seen.append("ended")
        for _ in range(200_000):  # where a late one would be raised
            pass
        seen.append("over")

    if in_thread:
        thread = threading.Thread(target=tries)
        thread.start()
        thread.join(60)
    else:
        tries()
    assert "whole" in seen
    assert seen[-2:] == ["ended", "over"]
    assert len(seen) == 151


def test_what_an_inner_call_takes_does_not_count_for_the_outer():
    def outer():
        call_within(None, time.sleep, 0.6)
        with pytest.raises(TimedOut):
            call_within(0.1, busy)
        return "whole"

    assert call_within(0.5, outer) == "whole"
    with pytest.raises(TimedOut):
        call_within(0.2, lambda: (call_within(5.0, str), busy()))


def test_an_error_stays_what_it_is():
    with pytest.raises(ZeroDivisionError):
        call_within(5.0, lambda: 1 / 0)


def test_a_stop_ends_what_runs_and_what_begins_but_not_what_has_no_limit():
    try:
        stop_soon(0.1)
        with pytest.raises(Interrupted, match="the last saved state is kept"):
            call_within(60.0, busy)
        assert call_within(None, lambda: time.sleep(0.3) or 3) == 3
        with pytest.raises(Interrupted):
            call_within(60.0, busy)
    finally:
        no_stop()
    assert call_within(60.0, lambda: time.sleep(0.2) or 4) == 4


class Waits(rlenv.SingleTurnEnv):
    """Waits for ever where the reply says so."""

    def generate(self, rng):
        return rlenv.Task(f"{rng.randrange(10**6)} = ?", 1)

    def score(self, task, reply):
        if reply == "exit":
            sys.exit(0)
        if reply == "wait":
            busy()
        return 1.0


def test_a_step_that_hangs_or_exits_is_a_failure_of_the_grader(caplog):
    env = Waits(step_timeout=0.2)
    for reply, says in [
        ("wait", "Waits did not answer a reply within 0.2 s"),
        ("exit", "SystemEx"),
    ]:
        env.reset(seed=0)
        reward = env.step(reply)[4]["reward"]
        assert reward.status == "grader_error"
        assert says in reward.detail
        assert env.timed_out == (reply == "wait")
    env.reset(seed=0)
    assert env.step("well")[4]["reward"].value == 1.0
    assert not env.timed_out
    assert Waits.step_timeout == 60.0
    with pytest.raises(rlenv.UserError, match="step_timeout is a number of seconds, not -1"):
        Waits(step_timeout=-1)


def test_a_member_of_a_mixture_keeps_its_own_limit(tmp_path):
    file = tmp_path / "waiting.py"
    file.write_text("import rlenv\nfrom tests.rlenv.test_time_limit import Waits\n"
                    "rlenv.register('demo/Waits-v0', Waits)\n")  # fmt: skip
    member = {"id": f"{file}:Waits-v0", "options": {"step_timeout": 0.2}}
    env = rlenv.make("rlenv/Mix-v0", members=[member])
    env.reset(seed=0)
    assert "within 0.2 s" in env.step("wait")[4]["reward"].detail
    assert env.timed_out


def test_steps_that_time_out_in_a_row_end_the_run_but_not_one_among_others():
    pool = EnvPool(lambda: Waits(step_timeout=0.1))
    (env,) = pool.take(1)
    for replies in ["wait"] * 3 + ["well"] + ["wait"] * 3:
        env.reset(seed=0)
        env.step(replies)
        pool.stepped(env)
    env.reset(seed=0)
    env.step("wait")
    with pytest.raises(RunFailed, match=r"Waits did not answer .* 4 times in a row; mend what Wai"):
        pool.stepped(env)


HANGING = """
import time, rlenv

@rlenv.register("demo/Hanging-v0")
class Hanging(rlenv.SingleTurnEnv):
    def generate(self, rng):
        n = rng.randrange(1000)
        return rlenv.Task(f"{n} = ", n)

    def score(self, task, reply):
        open(__file__ + ".hangs", "w").close()
        time.sleep(1e6)
"""


@pytest.fixture
def hanging(tmp_path, miniature):
    file = tmp_path / "hanging.py"
    file.write_text(HANGING)
    raw = yaml.safe_load(miniature.read_text())
    raw["env"] = {"id": f"{file}:demo/Hanging-v0"}
    miniature.write_text(yaml.safe_dump(raw, sort_keys=False))
    return miniature


def test_a_run_whose_grader_never_returns_ends_in_a_sentence(hanging, capsys):
    assert train.main([str(hanging), "env.step_timeout=0.2"]) == 1
    said = capsys.readouterr().err
    assert said.count("error:") == 1
    assert "Hanging did not answer a reply within 0.2 s, 4 times in a row" in said
    assert "Traceback" not in said


def test_sigterm_ends_a_run_whose_grader_never_returns(hanging, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "rlenv.train", str(hanging)],
                               env=environment, stderr=subprocess.PIPE, text=True,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    while not (tmp_path / "hanging.py.hangs").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=50)  # before the grader's own limit of 60 s
    assert process.returncode == 130
    assert "a call of the environment did not return; the last saved state is kept" in said
