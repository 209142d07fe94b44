"""The sandbox as its users see it."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Literal

from rlenv.sandbox import judging
from rlenv.sandbox.jobs import FunctionJob, ScriptJob, call_order, script_order
from rlenv.sandbox.limits import Limits
from rlenv.sandbox.pool import Attempts, WorkerPool
from rlenv.sandbox.selftest import BACKENDS, Choice, choose
from rlenv.sandbox.settings import BackendSettings
from rlenv.sandbox.verdict import RunResult, SandboxError, TestResult, Verdict

# It stays for a moment, so that it meets whatever may befall workers here.
_HARMLESS = "import time\ntime.sleep(0.5)\nprint(42)"
_HARMLESS_CPU_SECONDS = 10.0


class Sandbox:
    """Runs untrusted Python programs and judges what they return or print.

    A context manager; safe to use from threads, from asyncio and, after a fork or a pickle,
    from other processes, each of which gets workers of its own.

    Args:
        backend: `namespaces`, `landlock`, `docker`, `unsafe`, or `auto` for the first of the
            first three that passes its self-test here.
        workers: How many programs run at once; by default one for each core.
        limits: What a program may use.
        preload: Modules to import before programs run, `["numpy"]` for example. Programs can
            import what lies in the same folders.
        rehearsal: Jobs of your own, never ones with a policy's code, to run in each worker before
            it takes others. Their programs are compiled once and for all, and jobs like them,
            with the same program and other inputs, then take less time.
        allow_unsafe: Accept the backend that protects from nothing but accidents.
        image: Image for the docker backend; by default one is made of this interpreter.
        runtime: Runtime for its containers, `"runsc"` for example.
        recycle: Runs after which a container is replaced.
        patience: Seconds of silence after which a worker counts as lost and is replaced.

    Raises:
        ValueError: An argument makes no sense.
        SandboxError: No backend works here; the message says why for each.

    Example:
        >>> with Sandbox() as sandbox:
        ...     sandbox.judge(
        ...         "def add(a, b): return a + b",
        ...         entry_point="add", inputs=[[1, 2]], expected=[3],
        ...     ).status
        'pass'
    """

    def __init__(
        self,
        backend: str = "auto",
        workers: int | None = None,
        limits: Limits | None = None,
        *,
        preload: Iterable[str] = (),
        rehearsal: Iterable[FunctionJob] = (),
        allow_unsafe: bool = False,
        image: str | None = None,
        runtime: str | None = None,
        recycle: int = 1000,
        patience: float = 10.0,
    ) -> None:
        if backend not in ("auto", *BACKENDS):
            raise ValueError(f"backend must be auto or one of {', '.join(BACKENDS)}")
        if workers is not None and workers < 1:
            raise ValueError("workers must be at least 1")
        if recycle < 1 or patience <= 0:
            raise ValueError("recycle must be at least 1 and patience above 0")
        self.limits = limits or Limits()
        self._arguments = {
            "backend": backend,
            "workers": workers,
            "limits": self.limits,
            "preload": tuple(preload),
            "rehearsal": tuple(rehearsal),
            "allow_unsafe": allow_unsafe,
            "image": image,
            "runtime": runtime,
            "recycle": recycle,
            "patience": patience,
        }
        self.workers = workers or _cores()
        settings = BackendSettings(
            limits=self.limits,
            preload=tuple(preload),
            rehearsal=tuple(rehearsal),
            image=image,
            runtime=runtime,
            patience=patience,
        )
        self.choice: Choice = choose(backend, settings, allow_unsafe)
        recycled = recycle if self.choice.backend == "docker" else 0
        self._pool = WorkerPool(self.choice.start, self.workers, recycled)
        self._finalizer = weakref.finalize(self, WorkerPool.close, self._pool)
        self._executor: ThreadPoolExecutor | None = None
        self._executor_pid = 0

    @property
    def backend(self) -> str:
        """The backend in use; `choice.reason` says why."""
        return self.choice.backend

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._arguments,)

    def close(self) -> None:
        """End all workers and wait until they are gone.

        Runs under way in other threads raise `SandboxError`.
        """
        self._finalizer()
        if self._executor is not None and self._executor_pid == os.getpid():
            self._executor.shutdown(wait=False, cancel_futures=True)

    def pids(self) -> list[int]:
        """Process ids of the workers that run now, for diagnosis."""
        return self._pool.pids()

    def judge(
        self,
        program: str,
        *,
        entry_point: str,
        inputs: Any,
        expected: Any,
        rel_tol: float = 1e-6,
        abs_tol: float = 1e-9,
        cpu_seconds: float | None = None,
    ) -> Verdict:
        """Call a function of the program for each list of arguments and judge what it returns.

        The program is loaded once; its tests share a process and see what earlier ones left.

        Args:
            program: Python source.
            entry_point: The function's name; `Class.method` makes an instance first.
            inputs: For each test the list of arguments, plain data.
            expected: For each test the right result, plain data. It stays in this process.
            rel_tol: Relative tolerance for floats.
            abs_tol: Absolute tolerance for floats.
            cpu_seconds: Instead of `Limits.cpu_seconds`, for all tests together.

        Returns:
            The verdict. A failure of the sandbox is one too, with status `infrastructure`.

        Raises:
            ValueError: There is no test, or the lists differ in length.
            TypeError: An argument is not plain data.
            SandboxError: The sandbox is closed.
        """
        return self.judge_job(
            FunctionJob(program, entry_point, inputs, expected, rel_tol, abs_tol, cpu_seconds)
        )

    def judge_script(
        self,
        program: str,
        *,
        stdins: Any,
        expected_stdouts: Any,
        cpu_seconds: float | None = None,
    ) -> Verdict:
        """Run the program as a script for each input and judge what it prints.

        Each test is a run of its own. White space at line ends and line breaks at the end do
        not count. A script that exits with another code than 0 is an error, whatever it
        printed. Once a run has hit a limit the remaining tests are not run.

        Args:
            program: Python source.
            stdins: For each test what the script reads.
            expected_stdouts: For each test what it must print. It stays in this process.
            cpu_seconds: Instead of `Limits.cpu_seconds`, for each test.

        Returns:
            The verdict; stdout and stderr are those of the first test that did not pass, or
            else of the last one.

        Raises:
            ValueError: There is no test, or the lists differ in length.
            TypeError: Something is not a string.
            SandboxError: The sandbox is closed.
        """
        return self.judge_job(ScriptJob(program, stdins, expected_stdouts, cpu_seconds))

    def run(self, program: str, stdin: str = "", *, cpu_seconds: float | None = None) -> RunResult:
        """Run a program as a script and return what it printed.

        Args:
            program: Python source.
            stdin: What it reads.
            cpu_seconds: Instead of `Limits.cpu_seconds`.

        Raises:
            TypeError: An argument is not a string.
            SandboxError: The sandbox is closed.
        """
        return self._run(program, stdin, cpu_seconds)[0]

    def judge_job(self, job: FunctionJob | ScriptJob) -> Verdict:
        """Judge a job made beforehand; see `judge` and `judge_script`."""
        if isinstance(job, FunctionJob):
            return self._judge_function(job)
        return self._judge_script(job)

    def judge_many(self, many: Iterable[FunctionJob | ScriptJob]) -> list[Verdict]:
        """Judge jobs on all workers at once.

        Args:
            many: The jobs.

        Returns:
            Their verdicts, in the same order.

        Raises:
            SandboxError: The sandbox is closed.
        """
        return list(self._threads().map(self.judge_job, many))

    async def judge_async(self, job: FunctionJob | ScriptJob) -> Verdict:
        """Judge a job without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads(), self.judge_job, job
        )

    async def judge_many_async(self, many: Iterable[FunctionJob | ScriptJob]) -> list[Verdict]:
        """Judge jobs on all workers at once, without blocking the event loop."""
        return list(await asyncio.gather(*(self.judge_async(job) for job in many)))

    async def run_async(
        self, program: str, stdin: str = "", *, cpu_seconds: float | None = None
    ) -> RunResult:
        """Run a program without blocking the event loop; see `run`."""
        loop = asyncio.get_running_loop()
        return (
            await loop.run_in_executor(self._threads(), self._run, program, stdin, cpu_seconds)
        )[0]

    def _threads(self) -> ThreadPoolExecutor:
        if self._executor is None or self._executor_pid != os.getpid():
            if not self._finalizer.alive:
                raise SandboxError("the sandbox is closed")
            self._executor = ThreadPoolExecutor(self.workers, "sandbox")
            self._executor_pid = os.getpid()
        return self._executor

    def _execute(self, order: dict[str, Any]) -> Attempts:
        trusted = self.backend != "unsafe"
        return self._pool.run(order, lambda report: judging.check_report(report, order, trusted))

    def _blame(self, lost: Attempts) -> tuple[Literal["error", "infrastructure"], str]:
        """Say whose fault it is that an order was lost: a status and a sentence.

        A program that takes its worker along must not look like a broken sandbox. It is to blame
        if it was running each time and a harmless program then fares well.
        """
        if lost.lost_running:
            order = script_order(_HARMLESS, "", self.limits, _HARMLESS_CPU_SECONDS)
            report = self._execute(order).report
            if report is not None and report["stdout"] == b"42\n":
                return "error", f"its worker was lost twice while it ran ({lost.trouble})"
        return "infrastructure", lost.trouble

    def _judge_function(self, job: FunctionJob) -> Verdict:
        done = self._execute(call_order(job, self.limits))
        if done.report is None:
            status, detail = self._blame(done)
            tests = [TestResult("not_run")] * len(job.inputs)
            if status == "error":
                tests[0] = TestResult("error", detail)
            return Verdict(status, tuple(tests), self.backend, detail, attempts=done.tries)
        return judging.call_verdict(job, done.report, self.limits, self.backend, done.tries)

    def _run(self, program: str, stdin: str, cpu_seconds: float | None) -> tuple[RunResult, bytes]:
        if not isinstance(stdin, str):
            raise TypeError("stdin must be a string")
        order = script_order(program, stdin, self.limits, cpu_seconds)
        done = self._execute(order)
        if done.report is None:
            status, detail = self._blame(done)
            failed = RunResult(status, detail=detail, backend=self.backend, attempts=done.tries)
            return failed, b""
        return judging.run_result(done.report, self.backend, done.tries), done.report["stdout"]

    def _judge_script(self, job: ScriptJob) -> Verdict:
        results: list[RunResult] = []
        tests: list[TestResult] = []
        for stdin, expected in zip(job.stdins, job.expected_stdouts, strict=True):
            result, printed = self._run(job.program, stdin, job.cpu_seconds)
            results.append(result)
            tests.append(judging.judge_run(result, printed, expected))
            if result.status not in ("ok", "error"):
                break
        return judging.script_verdict(len(job.stdins), results, tests, self.backend)


def _rebuild(arguments: dict[str, Any]) -> Sandbox:
    return Sandbox(**arguments)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
