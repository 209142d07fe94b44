"""Workers that die, hosts that die, machines that are busy: never a wrong verdict, no remains."""

# ruff: noqa: SIM105, PTH123, E501

import contextlib
import marshal
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from conftest import JAILED, open_sandbox
from support import (
    GOOD,
    HOSTILE,
    ROOT,
    TASK,
    allowed,
    docker_missing,
    guest_processes,
    load_hostile,
)

from rlenv.sandbox import FunctionJob, Limits, Sandbox

backends = pytest.mark.parametrize(
    "backend", [pytest.param(b, marks=pytest.mark.docker) if b == "docker" else b for b in JAILED]
)
SLOW = "import time\ndef solve(n):\n    time.sleep(0.3)\n    return n * n + 1\n"


def wait_until(condition, seconds=20.0):
    """Wait for something that must happen, with a bound that only a hang exceeds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


@backends
@pytest.mark.parametrize("which", [0, 1], ids=["supervisor", "warm parent"])
def test_a_killed_worker_is_replaced_and_the_run_repeated(backend, which):
    with open_sandbox(backend, workers=1, limits=Limits(cpu_seconds=2.0)) as sandbox:
        assert sandbox.judge(GOOD, **TASK).passed
        verdicts = []
        thread = threading.Thread(target=lambda: verdicts.append(sandbox.judge(SLOW, **TASK)))
        victim = sandbox.pids()[which]
        thread.start()
        time.sleep(0.2)
        os.kill(victim, signal.SIGKILL)
        thread.join()
        assert verdicts[0].passed, verdicts
        assert verdicts[0].attempts == 2
        assert victim not in sandbox.pids()


@pytest.mark.parametrize("backend", ["namespaces", "landlock"])
@pytest.mark.parametrize("which", [0, 1], ids=["supervisor", "warm parent"])
def test_a_stopped_worker_is_replaced(backend, which):
    with open_sandbox(backend, workers=1, patience=2.0) as sandbox:
        assert sandbox.judge(GOOD, **TASK).passed
        victim = sandbox.pids()[which]
        os.kill(victim, signal.SIGSTOP)
        verdict = sandbox.judge(GOOD, **TASK)
        assert verdict.passed, verdict
        assert verdict.attempts == 2
        assert victim not in sandbox.pids()


@backends
def test_two_lost_workers_are_infrastructure_and_no_verdict(backend):
    with open_sandbox(backend, workers=1) as sandbox:
        assert sandbox.judge(GOOD, **TASK).passed
        over = threading.Event()

        def kill_all():
            while not over.is_set():
                for pid in sandbox.pids():
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                time.sleep(0.05)

        killer = threading.Thread(target=kill_all)
        killer.start()
        try:
            verdict = sandbox.judge(SLOW, **TASK)
            result = sandbox.run("import time\ntime.sleep(1)")
        finally:
            over.set()
            killer.join()
        assert verdict.status == "infrastructure"
        assert {test.status for test in verdict.tests} == {"not_run"}
        assert not verdict.passed
        assert verdict.detail
        assert result.status == "infrastructure"
        assert sandbox.judge(GOOD, **TASK).passed


def test_a_run_killed_from_outside_is_repeated():
    with Sandbox("namespaces", workers=1) as sandbox:
        assert sandbox.judge(GOOD, **TASK).passed
        verdicts = []
        thread = threading.Thread(target=lambda: verdicts.append(sandbox.judge(SLOW, **TASK)))
        parent = sandbox.pids()[1]
        thread.start()

        wait_until(lambda: children_of(parent))
        os.kill(int(children_of(parent)[0]), signal.SIGKILL)
        thread.join()
        assert verdicts[0].passed
        assert verdicts[0].attempts == 2


def children_of(pid):
    """The processes that a process started, and that are still there."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()


def test_a_program_whose_worker_is_lost_twice_is_to_blame():
    with Sandbox("namespaces", workers=1) as sandbox:
        assert sandbox.judge(GOOD, **TASK).passed
        over = threading.Event()

        def kill_the_marked():  # as if these programs had found a way to do so themselves
            while not over.is_set():
                with contextlib.suppress(OSError, IndexError):
                    for run in children_of(sandbox.pids()[1]):
                        with open(f"/proc/{run}/comm") as file:
                            if file.read() == "marked\n":
                                os.kill(int(run), signal.SIGKILL)
                time.sleep(0.01)

        killer = threading.Thread(target=kill_the_marked)
        killer.start()
        try:
            marked = "import ctypes, time\nctypes.CDLL(None).prctl(15, b'marked')\n"
            verdict = sandbox.judge(f"{marked}def solve(n): time.sleep(3)", **TASK)
            result = sandbox.run(f"{marked}time.sleep(3)")
        finally:
            over.set()
            killer.join()
        assert verdict.status == "error"
        assert verdict.attempts == 2
        assert [test.status for test in verdict.tests] == ["error"] + ["not_run"] * 4
        assert "lost twice while it ran" in verdict.detail
        assert result.status == "error"
        assert sandbox.judge(GOOD, **TASK).passed


def test_a_worker_that_can_not_be_cleaned_is_replaced_and_the_report_counts(monkeypatch):
    from rlenv.sandbox import bundle as bundle_module

    # A guest that always fails at removing what a run left.
    parts = marshal.loads(bundle_module.bundle.__wrapped__()[8:])
    parts = [
        (name, package, source.replace("        jail.clean()\n", "        raise OSError\n"))
        for name, package, source in parts
    ]
    data = marshal.dumps(parts, 2)
    monkeypatch.setattr(
        "rlenv.sandbox.worker.bundle", lambda: len(data).to_bytes(8, "little") + data
    )
    with Sandbox("landlock", workers=1) as sandbox:
        for _ in range(2):
            verdict = sandbox.judge(GOOD, **TASK)
            assert verdict.passed
            assert verdict.attempts == 1
            assert sandbox.pids() == []


@backends
def test_an_interrupt_in_the_middle_leaves_a_working_sandbox(backend):
    with open_sandbox(backend, workers=1) as sandbox:
        assert sandbox.judge(GOOD, **TASK).passed
        timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            sandbox.run("import time\ntime.sleep(30)")
        assert sandbox.run("print(1)").stdout == "1\n"


HOST = """
import sys, os, threading, time
sys.path[:0] = [{root!r}]
from rlenv.sandbox import Sandbox
sandbox = Sandbox({backend!r}, workers=2)
for _ in range(2):
    threading.Thread(target=sandbox.run, args=("import time\\nwhile True: time.sleep(1)",), daemon=True).start()
while len(sandbox.pids()) < 4: time.sleep(0.05)
if {fork}:
    # Past Python's own hooks, as a library might do it; for containers, with them.
    import ctypes
    if not (os.fork() if {backend!r} == "docker" else ctypes.PyDLL(None).fork()):
        time.sleep(60)
        os._exit(0)
time.sleep(0.5)
print("running", flush=True)
time.sleep(60)
"""


def containers(owner):
    """The containers of one host process."""
    if docker_missing():
        return set()
    import docker

    from rlenv.sandbox.backends.docker import OWNER_LABEL

    client = docker.from_env()
    try:
        return {
            c.id
            for c in client.containers.list(
                all=True, filters={"label": f"{OWNER_LABEL}={owner}"}, ignore_removed=True
            )
        }
    finally:
        client.close()


@backends
@pytest.mark.parametrize(
    ("how", "fork"),
    [
        pytest.param(signal.SIGKILL, False, id="killed"),
        pytest.param(signal.SIGKILL, True, id="killed with a child"),
        pytest.param(signal.SIGINT, False, id="interrupted"),
        pytest.param(signal.SIGTERM, False, id="terminated"),
    ],
)
def test_a_killed_host_leaves_nothing(backend, how, fork):
    if backend == "docker" and (why := docker_missing()):
        pytest.skip(why)
    host = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(HOST).format(root=str(ROOT), backend=backend, fork=fork),
        ],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert host.stdout.readline() == "running\n"
        assert guest_processes(host.pid)
        if how == signal.SIGINT and not fork:
            os.killpg(host.pid, how)  # as a terminal does
        else:
            os.kill(host.pid, how)
        host.wait(30)
        wait_until(lambda: not guest_processes(host.pid))
        wait_until(lambda: not containers(host.pid))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(host.pid, signal.SIGKILL)
        host.wait()
        host.stdout.close()


@pytest.fixture
def busy_machine():
    """Four processes for each core that do nothing but compute."""
    # Each in a session of its own, since the kernel may share out cores by sessions; so it has
    # to see for itself that the tests were killed.
    burn = f"import os\nwhile os.getppid() == {os.getpid()}: pass"
    burners = [
        subprocess.Popen([sys.executable, "-c", burn], start_new_session=True)
        for _ in range(4 * (os.cpu_count() or 1))
    ]
    yield
    for process in burners:
        process.kill()
        process.wait()


@backends
def test_a_busy_machine_does_not_fail_right_programs(backend, busy_machine):
    limits = Limits(cpu_seconds=0.6, wall_multiple=1.2)
    with open_sandbox(backend, workers=2, limits=limits, patience=60.0) as sandbox:
        # Needs about half its processor time, so with a fifth of a core it is there for
        # twice as long as its wall limit.
        program = (
            "import time\ndef solve(n):\n    end = time.process_time() + 0.06\n"
            "    while time.process_time() < end: pass\n    return n * n + 1\n"
        )
        job = FunctionJob(program, "solve", TASK["inputs"], TASK["expected"])
        verdicts = sandbox.judge_many([job] * 4)
        assert [v.status for v in verdicts] == ["pass"] * 4, verdicts
        assert sandbox.run("while True: pass").status == "timeout"


@pytest.mark.skipif(not HOSTILE.is_dir(), reason=f"the hostile programs are not at {HOSTILE}")
def test_the_hostile_suite_on_a_busy_machine(busy_machine):
    cases = [case.values for case in load_hostile(HOSTILE)]
    jobs = [FunctionJob(source, *TASK.values()) for source, _, _ in cases]
    with Sandbox(workers=4, limits=Limits(cpu_seconds=2.0), patience=60.0) as sandbox:
        verdicts = sandbox.judge_many(jobs)
    assert len(verdicts) == len(cases)
    for (source, expect, _), verdict in zip(cases, verdicts, strict=True):
        assert verdict.status in allowed(expect), (source.splitlines()[0], verdict)


def test_a_host_with_torch_and_many_threads():
    torch = pytest.importorskip("torch")
    statuses = []
    stop = threading.Event()

    def compute():
        while not stop.is_set():
            torch.ones(64, 64) @ torch.ones(64, 64)

    computing = [threading.Thread(target=compute) for _ in range(8)]
    for thread in computing:
        thread.start()
    try:
        with Sandbox(workers=2) as sandbox:
            asking = [
                threading.Thread(target=lambda: statuses.append(sandbox.judge(GOOD, **TASK).status))
                for _ in range(16)
            ]
            for thread in asking:
                thread.start()
            for thread in asking:
                thread.join()
    finally:
        stop.set()
        for thread in computing:
            thread.join()
    assert statuses == ["pass"] * 16
