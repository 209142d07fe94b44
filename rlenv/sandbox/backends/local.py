"""Guests that are processes on this machine: namespaces, landlock, unsafe."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlenv.sandbox.bundle import BOOTSTRAP, FLAGS, bundle
from rlenv.sandbox.interpreter import ENVIRONMENT, find
from rlenv.sandbox.settings import BackendSettings
from rlenv.sandbox.worker import Worker

_NOBODY = 65534
# For jails where the kernel counts all processes of the user, not those of the run.
_SHARED_TASKS = 4096
_LEAVE_SECONDS = 2.0  # for a guest to leave by itself; then it hangs
_ORPHAN_SECONDS = 1.0  # not for ever: where nobody reaps orphans they stay


class LocalTransport:
    """A guest started by exec, so that nothing of this process's memory comes along.

    Args:
        command: The interpreter and its arguments; the channel's descriptor is appended.
        scratch: A folder to remove at the end, if any.
    """

    def __init__(self, command: list[str], scratch: str | None) -> None:
        self._scratch = scratch
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._socket.setblocking(False)
            fd = theirs.fileno()
            self._process = subprocess.Popen(
                [*command, str(fd), "serve", str(os.getpid())],  # whose it is, for people
                pass_fds=[fd],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,  # a Ctrl-C is for us; the guest follows our end
            )

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def send(self, data: memoryview) -> int:
        """Send without blocking."""
        try:
            return self._socket.send(data[: 1 << 20])
        except BlockingIOError:
            return 0

    def receive(self, count: int) -> bytes:
        """Receive what is there."""
        return self._socket.recv(min(count, 1 << 20))

    def pids(self) -> list[int]:
        """The supervisor and the warm parent."""
        pid = self._process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            children = ""
        return [pid, *map(int, children.split())]

    def kill(self) -> None:
        """End the guest and wait until it and everything it started are gone."""
        # Each kills and reaps its own children before it leaves. Killed from here, the
        # supervisor would leave orphans: still there for a moment, and for good as zombies
        # where process 1 is not an init that reaps them, as in many a container.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # a fork of ours may hold this end too
        self._socket.close()
        try:
            self._process.wait(_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.returncode:
            self._wait_for_orphans()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _wait_for_orphans(self) -> None:
        """After the supervisor was killed, wait for those that the kernel kills with it."""
        end = time.monotonic() + _ORPHAN_SECONDS
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < end:
                os.killpg(self._process.pid, 0)
                time.sleep(0.001)

    def disown(self) -> None:
        """Forget the guest, in a forked child of the process that started it."""
        self._socket.close()
        self._process.returncode = 0  # not our child: keep subprocess from waiting for it


def start(jail: str, settings: BackendSettings) -> Worker:
    """Start a guest on this machine.

    Args:
        jail: `namespaces`, `landlock` or `unsafe`.
        settings: What it needs to know.

    Raises:
        SandboxError: The jail can't be set up here.
        WorkerLost: The guest died at its start.
    """
    limits, preload = settings.limits, settings.preload
    interpreter = find(preload, limits.processes > 0)
    config: dict[str, Any] = {
        **asdict(limits),
        "jail": jail,
        "host_pid": os.getpid(),
        "readable": list(interpreter.readable),
        "links": list(interpreter.links),
        "site": list(interpreter.site),
        "path": [shown for _, shown in interpreter.site],
        "preload": list(preload),
        "rehearsal": settings.rehearsal_orders,
        "mount_point": os.path.realpath(tempfile.gettempdir()),
        "tasks": 1 + limits.threads + limits.processes,
    }
    scratch = None
    if jail != "namespaces":
        folders = [folder for folder, _ in interpreter.site]
        config["path"] = folders
        config["readable"] += folders
        scratch = tempfile.mkdtemp(prefix="rlenv-sandbox-")
        config["scratch"] = scratch
        config["tasks"] = _SHARED_TASKS
        if os.geteuid() == 0 and jail == "landlock":
            os.chown(scratch, _NOBODY, _NOBODY)
    if jail == "unsafe":
        config.update(bundle=bundle(), flags=list(FLAGS), bootstrap=BOOTSTRAP)
    try:
        transport = LocalTransport([interpreter.executable, *FLAGS, "-c", BOOTSTRAP], scratch)
        return Worker(transport, config, patience=settings.patience, report_cap=settings.report_cap)
    except BaseException:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
        raise
