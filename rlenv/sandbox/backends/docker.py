"""Guests in warm containers, through docker-py."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from dataclasses import asdict
from typing import Any

from rlenv.sandbox.bundle import BOOTSTRAP, FLAGS
from rlenv.sandbox.image import PYTHON_LABEL, SITE_LABEL, ensure_image
from rlenv.sandbox.interpreter import ENVIRONMENT
from rlenv.sandbox.limits import MIB, Limits
from rlenv.sandbox.settings import BackendSettings
from rlenv.sandbox.verdict import SandboxError
from rlenv.sandbox.worker import Worker

OWNER_LABEL = "rlenv.sandbox.owner"
_NOBODY = "65534:65534"
_REMOVE_SECONDS = 30.0
_image_lock = threading.Lock()


class ContainerTransport:
    """A container with the guest inside, spoken to through its standard streams.

    Args:
        client: A docker-py API client of its own.
        options: Arguments for `create_container`.
        patience: Seconds that a stream may stall in the middle of a message.
    """

    def __init__(self, client: Any, options: dict[str, Any], patience: float) -> None:
        self._client = client
        self._left = 0  # of the piece of output under way
        self._id = client.create_container(**options)["Id"]
        try:
            streams = {"stdin": 1, "stdout": 1, "stream": 1}
            self._stream = client.attach_socket(self._id, params=streams)
            self._socket: socket.socket = getattr(self._stream, "_sock", self._stream)
            self._socket.settimeout(patience)
            client.start(self._id)
        except BaseException:
            self.kill()
            raise

    def fileno(self) -> int:
        """The attached stream's descriptor."""
        return self._socket.fileno()

    def send(self, data: memoryview) -> int:
        """Send to the container's stdin."""
        return self._socket.send(data[: 1 << 18])

    def receive(self, count: int) -> bytes:
        """Receive from its stdout, which comes in pieces with a header of 8 bytes each."""
        while not self._left:
            header = b""
            while len(header) < 8:
                part = self._socket.recv(8 - len(header))
                if not part:
                    return b""
                header += part
            self._left = int.from_bytes(header[4:], "big")
        data = self._socket.recv(min(count, self._left, 1 << 20))
        self._left -= len(data)
        return data

    def pids(self) -> list[int]:
        """The container's processes as this machine sees them; empty for a remote engine."""
        try:
            return [int(row[1]) for row in self._client.top(self._id)["Processes"]]
        except Exception:  # noqa: BLE001 - docker-py raises its own and those of requests
            return []

    def kill(self) -> None:
        """Remove the container, and wait until it is gone."""
        # Both fail where it is gone already; the first also while it is going by itself.
        with contextlib.suppress(OSError):
            self._client.remove_container(self._id, force=True, v=True)
        with contextlib.suppress(OSError):
            self._client.wait(self._id, timeout=_REMOVE_SECONDS, condition="removed")
        self.disown()
        self._client.close()

    def disown(self) -> None:
        """Let go of the stream."""
        if hasattr(self, "_socket"):
            self._socket.close()
            self._stream.close()


def start(settings: BackendSettings) -> Worker:
    """Start a container and the guest in it.

    Args:
        settings: What it needs to know.

    Raises:
        SandboxError: There is no docker-py, no engine or no image, or the jail can't be set up.
        WorkerLost: The guest died at its start.
    """
    try:
        import docker
    except ImportError as error:
        raise SandboxError(
            "docker-py is not installed (pip install 'verifiable-rl[docker]')"
        ) from error
    try:
        client = docker.APIClient(timeout=120, **docker.utils.kwargs_from_env())
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise SandboxError(f"no Docker engine answers: {error}") from error
    try:
        with _image_lock:
            image = settings.image or ensure_image(client, settings.preload)
        labels = client.inspect_image(image)["Config"]["Labels"] or {}
        options = _container(client, image, labels, settings)
        transport = ContainerTransport(client, options, settings.patience)
    except (docker.errors.DockerException, OSError) as error:
        client.close()
        raise SandboxError(f"Docker refused: {error}") from error
    config = {
        **asdict(settings.limits),
        "jail": "docker",
        "host_pid": 0,  # another world's number; the end of the stream has to do
        "readable": [],
        "scratch": "/tmp",
        "path": [path for path in labels.get(SITE_LABEL, "").split(":") if path],
        "use_site": settings.image is not None and bool(settings.preload),
        "preload": list(settings.preload),
        "rehearsal": settings.rehearsal_orders,
        "tasks": 4096,  # counted over all containers; `pids_limit` is what bounds one
    }
    return Worker(transport, config, patience=settings.patience, report_cap=settings.report_cap)


def _tasks(limits: Limits) -> int:
    return 16 + limits.threads + limits.processes


def _container(
    client: Any, image: str, labels: dict[str, str], settings: BackendSettings
) -> dict[str, Any]:
    limits = settings.limits
    # Above what the limits inside allow, so that the kernel never has to pick a victim.
    memory = limits.memory_bytes * (1 + limits.processes) + limits.disk_bytes + 256 * MIB
    host = client.create_host_config(
        network_mode="none",
        ipc_mode="none",
        read_only=True,
        tmpfs={
            "/tmp": f"size={limits.disk_bytes},nr_inodes={limits.files + 1},"
            "mode=1777,nosuid,nodev,noexec"
        },
        pids_limit=_tasks(limits),
        mem_limit=memory,
        memswap_limit=memory,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        auto_remove=True,
        runtime=settings.runtime,
        log_config={"Type": "none", "Config": {}},
    )
    python = labels.get(PYTHON_LABEL, "python3")
    return {
        "image": image,
        "command": [python, *FLAGS, "-c", BOOTSTRAP, "0", "1", str(os.getpid())],
        "entrypoint": "",
        "stdin_open": True,  # closes with our end of the stream, and the guest leaves
        "tty": False,
        "user": _NOBODY,
        "working_dir": "/",
        "environment": ENVIRONMENT,
        "labels": {OWNER_LABEL: str(os.getpid())},
        "host_config": host,
    }
