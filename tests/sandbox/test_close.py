"""A closed sandbox is gone: none of its processes is left, not even a dead one."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from conftest import open_sandbox
from support import GOOD, ROOT, TASK, guest_processes

from rlenv.sandbox import Limits, Sandbox, SandboxError

local = pytest.mark.parametrize("backend", ["namespaces", "landlock"])
everywhere = pytest.mark.parametrize(
    "backend", ["namespaces", "landlock", pytest.param("docker", marks=pytest.mark.docker)]
)
# Memory takes the kernel a while to free, so a run that nobody waits for is caught dying.
LONG = "b = bytearray(200 << 20)\nprint('there', flush=True)\nimport time\ntime.sleep(60)"


def members(groups):
    """Processes in the given process groups, those that are dead but not reaped included."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            state, _, group = (folder / "stat").read_text().rpartition(") ")[2].split()[:3]
        except (OSError, ValueError):  # no process, or one that has ended meanwhile
            continue
        if int(group) in groups:
            found[int(folder.name)] = state
    return found


class Runs:
    """Threads that each run a program until the sandbox is closed."""

    def __init__(self, sandbox, program, count):
        self.said = []
        self._args = (sandbox, program)
        self.threads = [threading.Thread(target=self._work) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _work(self):
        sandbox, program = self._args
        try:
            self.said.append(sandbox.run(program))
        except SandboxError as error:
            self.said.append(str(error))

    def join(self):
        for thread in self.threads:
            thread.join(30)
        return self.said


def wait_for_runs(sandbox):
    """Wait until each warm parent of a local sandbox has a run, and return the runs."""
    end = time.monotonic() + 20
    while True:
        parents = sandbox.pids()[1::2]
        runs = [Path(f"/proc/{pid}/task/{pid}/children").read_text() for pid in parents]
        if len(runs) == sandbox.workers and all(runs):
            return {int(run) for run in runs}
        assert time.monotonic() < end, "the runs never began"
        time.sleep(0.02)


@local
def test_the_dead_are_gone_too(backend):
    with Sandbox(backend, workers=2) as sandbox:
        runs = Runs(sandbox, LONG, 2)
        leaders = wait_for_runs(sandbox)  # each leads a group of its own
        time.sleep(0.3)  # for the memory
        groups = set(sandbox.pids()[::2]) | leaders
        assert len(members(groups)) == 6
    assert members(groups) == {}
    assert ["closed" in said for said in runs.join()] == [True, True]


@everywhere
def test_an_idle_one_leaves_nothing(backend):
    outside = guest_processes()
    with open_sandbox(backend, workers=2) as sandbox:
        assert all(v == "1\n" for v in [sandbox.run("print(1)").stdout for _ in range(2)])
        assert guest_processes() > outside
    assert guest_processes() == outside


@everywhere
def test_runs_under_way_end_with_it(backend):
    outside = guest_processes()
    with open_sandbox(backend, workers=2, limits=Limits(cpu_seconds=10.0)) as sandbox:
        runs = Runs(sandbox, LONG, 2)
        time.sleep(1.0)
    assert guest_processes() == outside
    assert ["closed" in said for said in runs.join()] == [True, True]


@local
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_workers_that_are_starting_are_waited_for(backend, delay):
    outside = guest_processes()
    sandbox = Sandbox(backend, workers=3)
    runs = Runs(sandbox, "import time\ntime.sleep(60)", 3)
    time.sleep(delay)
    sandbox.close()
    assert guest_processes() == outside
    assert ["closed" in said for said in runs.join()] == [True] * 3
    assert guest_processes() == outside


@local
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_supervisor_that_can_not_see_to_it(backend, how):
    outside = guest_processes()
    sandbox = Sandbox(backend, workers=1)
    assert sandbox.judge(GOOD, **TASK).passed
    os.kill(sandbox.pids()[0], how)
    sandbox.close()
    assert guest_processes() == outside


def test_a_forked_child_does_not_keep_it_alive():
    """Forked past Python's hooks, it holds our end of the workers' sockets."""
    code = f"""
    import ctypes, os, sys, time
    sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests/sandbox")!r}]
    from rlenv.sandbox import Sandbox
    from support import guest_processes
    with Sandbox("namespaces", workers=1) as sandbox:
        sandbox.run("pass")
        child = ctypes.PyDLL(None).fork()
        if not child:
            time.sleep(60)
            os._exit(0)
    print(guest_processes() or "nothing is left")
    os.kill(child, 9)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "nothing is left\n", result.stderr


def test_a_signal_handler_may_close_the_sandbox_in_the_middle_of_a_run():
    code = f"""
    import signal, sys, threading, os
    sys.path[:0] = [{str(ROOT)!r}]
    from rlenv.sandbox import Sandbox
    sandbox = Sandbox(workers=1)
    signal.signal(signal.SIGTERM, lambda *_: sandbox.close())
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    try:
        sandbox.run("import time\\ntime.sleep(60)")
    except RuntimeError as error:
        print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "closed" in result.stdout, result.stderr


def test_closing_again_changes_nothing():
    sandbox = Sandbox(workers=1)
    sandbox.close()
    sandbox.close()
    with pytest.raises(SandboxError, match="closed"):
        sandbox.run("pass")
