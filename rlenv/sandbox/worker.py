"""The host's end of one worker."""

from __future__ import annotations

import select
import struct
from typing import Any, Protocol

from rlenv.sandbox.bundle import bundle
from rlenv.sandbox.guest.codec import Allowance, Bounds, Corrupt, TooBig, decode, encode
from rlenv.sandbox.verdict import SandboxError

_LENGTH = struct.Struct("<Q")
_WIDE = Bounds(1 << 32, 1000, 1 << 31)


class WorkerLost(Exception):
    """The worker died, fell silent or spoke nonsense. It is of no further use.

    Args:
        message: One sentence on what happened.
        running: Whether a program may have been running in it.
    """

    def __init__(self, message: str, running: bool = False) -> None:
        super().__init__(message)
        self.running = running


class Transport(Protocol):
    """A started guest and the bytes to and from it."""

    def fileno(self) -> int:
        """The descriptor to wait on for bytes from the guest."""

    def send(self, data: memoryview) -> int:
        """Send some bytes without blocking; how many went (0 if none could)."""

    def receive(self, count: int) -> bytes:
        """Read at most `count` bytes; empty at the end of the stream."""

    def pids(self) -> list[int]:
        """The processes on this host that make up the guest's outer shell."""

    def kill(self) -> None:
        """End the guest, wait until it and everything it started are gone, free what it held."""

    def disown(self) -> None:
        """Forget the guest, in a forked child of the process that started it."""


class Worker:
    """One guest: it does one run at a time.

    Args:
        transport: The guest, just started.
        config: What to tell it (see `rlenv.sandbox.guest.supervisor`).
        patience: Seconds of silence after which it counts as lost.
        report_cap: Largest report to accept, in bytes.

    Raises:
        SandboxError: The guest could not set up its jail. The message says why.
        WorkerLost: It died instead of answering.
    """

    start_seconds = 60.0

    def __init__(
        self, transport: Transport, config: dict[str, Any], *, patience: float, report_cap: int
    ) -> None:
        self.transport = transport
        self.patience = patience
        self.runs = 0
        self._bounds = Bounds(report_cap, 10, 30)
        try:
            self._send(bundle())
            self._send_message(config)
            answer = self._receive(self.start_seconds)
            if not answer.get("ready"):
                raise SandboxError(str(answer.get("why")))
        except BaseException:
            self.close()
            raise

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do one run.

        Args:
            order: The job and its limits.

        Returns:
            The supervisor's report.

        Raises:
            WorkerLost: Nothing is known about the run.
        """
        self.runs += 1
        self._send_message(order)
        try:
            return self._receive(self.patience)
        except WorkerLost as error:
            error.running = True
            raise

    def close(self) -> None:
        """End the guest, and wait until it is gone."""
        self.transport.kill()

    def disown(self) -> None:
        """Forget the guest, which belongs to the process this one was forked from."""
        self.transport.disown()

    def _send_message(self, message: dict[str, Any]) -> None:
        body = encode(message, _WIDE)
        self._send(_LENGTH.pack(len(body)) + body)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                sent = self.transport.send(view)
                view = view[sent:]
                if not sent:
                    self._wait(select.POLLOUT, self.patience)
        except OSError as error:
            raise WorkerLost(f"the worker is gone ({error})") from error

    def _receive(self, patience: float) -> dict[str, Any]:
        """Wait for a message. Heartbeats before it keep up the patience."""
        while True:
            length = _LENGTH.unpack(self._exactly(_LENGTH.size, patience))[0]
            if length > self._bounds.max_bytes:
                raise WorkerLost("the worker sent more than it may")
            if length:
                break
        try:
            message = decode(
                self._exactly(length, patience), self._bounds, Allowance(1000, 1 << 40)
            )
        except (Corrupt, TooBig) as error:
            raise WorkerLost(f"the worker sent nonsense ({error})") from error
        if not isinstance(message, dict):
            raise WorkerLost("the worker sent nonsense")
        return message

    def _exactly(self, count: int, patience: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            self._wait(select.POLLIN, patience)
            try:
                part = self.transport.receive(count - len(data))
            except OSError as error:
                raise WorkerLost(f"the worker is gone ({error})") from error
            if not part:
                raise WorkerLost("the worker is gone")
            data += part
        return bytes(data)

    def _wait(self, event: int, seconds: float) -> None:
        poll = select.poll()
        try:
            poll.register(self.transport.fileno(), event)
        except ValueError as error:  # there is no descriptor any more
            raise WorkerLost("the worker was closed") from error
        if not poll.poll(seconds * 1000):
            raise WorkerLost(f"the worker was silent for {seconds:g} s")
