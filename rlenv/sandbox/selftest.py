"""Choosing a backend by trying it."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rlenv.sandbox.backends import docker, local
from rlenv.sandbox.jobs import FunctionJob, call_order
from rlenv.sandbox.judging import call_verdict, check_report
from rlenv.sandbox.settings import BackendSettings
from rlenv.sandbox.verdict import SandboxError
from rlenv.sandbox.worker import Worker, WorkerLost

_log = logging.getLogger("rlenv.sandbox")
BACKENDS = ("namespaces", "landlock", "docker", "unsafe")

UNSAFE_WARNING = (
    "the unsafe sandbox protects from accidents only: a program can read and change your "
    "files, use the network, see other processes and outlive its run"
)

# Tries what every backend must refuse and returns the names of what worked.
_PROBE = """
import os, socket
def probe(path, parent):
    worked = []
    def attempt(name, action):
        try:
            action()
        except OSError:
            return
        worked.append(name)
    attempt("read a file of the host", lambda: open(path).read())
    attempt("write beside it", lambda: open(path + ".new", "w").close())
    attempt("open a network socket", lambda: socket.socket(socket.AF_INET))
    attempt("signal the host process", lambda: os.kill(parent, 0))
    attempt("see the host process", lambda: open(f"/proc/{parent}/status").close())
    def fork():
        if os.fork() == 0:
            os._exit(0)
    attempt("fork", fork)
    attempt("execute a program", lambda: os.execv("/bin/true", ["true"]))
    return worked
"""


@dataclass(frozen=True)
class Choice:
    """The backend that was chosen.

    Args:
        backend: Its name.
        reason: Why it, and why none before it.
        start: Starts a worker.
    """

    backend: str
    reason: str
    start: Callable[[], Worker]


def choose(backend: str, settings: BackendSettings, allow_unsafe: bool) -> Choice:
    """Find a backend that works here.

    Args:
        backend: Its name, or `auto`.
        settings: What it needs to know.
        allow_unsafe: Whether `unsafe` may be used; `auto` falls back to it only then.

    Raises:
        SandboxError: None works; the message says why for each that was tried.
    """
    if backend == "unsafe" and not allow_unsafe:
        raise SandboxError(f"{UNSAFE_WARNING}; pass allow_unsafe=True to use it all the same")
    names = (backend,) if backend != "auto" else BACKENDS[: 4 if allow_unsafe else 3]
    refusals = []
    for name in names:
        start = _starter(name, settings)
        try:
            _try(name, start, settings)
        except (SandboxError, WorkerLost, OSError) as error:
            refusals.append(f"{name} does not work here: {error}")
            continue
        if name == "unsafe":
            warnings.warn(UNSAFE_WARNING, stacklevel=3)
        asked = "it was asked for" if backend != "auto" else "it passed its self-test"
        reason = "; ".join([f"{name}: {asked}", *refusals])
        _log.info("sandbox backend %s", reason)
        return Choice(name, reason, start)
    raise SandboxError("; ".join(refusals))


def _starter(name: str, settings: BackendSettings) -> Callable[[], Worker]:
    if name == "docker":
        return lambda: docker.start(settings)
    return lambda: local.start(name, settings)


def _try(name: str, start: Callable[[], Worker], settings: BackendSettings) -> None:
    """Start a worker and let a program try what it must not be able to do."""
    if name in ("namespaces", "landlock") and not sys.platform.startswith("linux"):
        raise SandboxError("it needs Linux")
    if name == "landlock" and settings.limits.processes:
        raise SandboxError("it can't bound child processes; set Limits.processes to 0")
    worker = start()
    try:
        if name == "unsafe":
            return
        with tempfile.TemporaryDirectory(prefix="rlenv-sandbox-test-") as folder:
            file = Path(folder, "file")
            file.write_text("of the host")
            Path(folder).chmod(0o777)  # so that only the sandbox itself stands in the way
            file.chmod(0o666)
            host = os.getpid()
            limits = replace(settings.limits, cpu_seconds=10.0)
            job = FunctionJob(_PROBE, "probe", [[str(file), host]], [[]])
            order = call_order(job, limits)
            report = worker.run(order)
            check_report(report, order, True)
            verdict = call_verdict(job, report, limits, name, 1)
        worked = verdict.tests[0].value
        if verdict.status == "fail" and isinstance(worked, list):
            allowed = {"fork", "execute a program"} if settings.limits.processes else set()
            # A process id of the host may happen to be one of the run's own namespace.
            if name != "landlock":
                allowed |= {"signal the host process", "see the host process"}
            worked = [str(item) for item in worked if item not in allowed]
            if worked:
                raise SandboxError(f"a program could {', '.join(worked)}")
        elif verdict.status != "pass" and not settings.limits.processes:
            raise SandboxError(f"its self-test gave {verdict.status}: {verdict.detail}")
    finally:
        worker.close()
