"""Guests that are processes on this machine: namespaces, landlock, unsafe."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.bundle import BOOTSTRAP, FLAGS, bundle
from sandbox.interpreter import ENVIRONMENT, find
from sandbox.limits import Limits
from sandbox.worker import Worker

_NOBODY = 65534
# For jails where the kernel counts all processes of the user, not those of the run.
_SHARED_TASKS = 4096


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
        """Kill the supervisor; the kernel takes the rest with it."""
        # Closing first lets an idle guest leave by itself and kill its warm parent, which
        # matters where the kernel does not do it for us.
        self._socket.close()
        try:
            self._process.wait(0.0 if sys.platform.startswith("linux") else 2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def disown(self) -> None:
        """Forget the guest, in a forked child of the process that started it."""
        self._socket.close()
        self._process.returncode = 0  # not our child: keep subprocess from waiting for it


def start(
    jail: str, limits: Limits, preload: tuple[str, ...], *, patience: float, report_cap: int
) -> Worker:
    """Start a guest on this machine.

    Args:
        jail: `namespaces`, `landlock` or `unsafe`.
        limits: The limits of its runs.
        preload: Modules to import ahead.
        patience: Seconds of silence after which it counts as lost.
        report_cap: Largest report to accept, in bytes.

    Raises:
        SandboxError: The jail can't be set up here.
        WorkerLost: The guest died at its start.
    """
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
        return Worker(transport, config, patience=patience, report_cap=report_cap)
    except BaseException:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
        raise
