"""Waiting for a run to end, and ending it once it is over a limit."""

import math
import os
import select
import socket
import time

from rlenv.sandbox.guest import linux
from rlenv.sandbox.guest.messages import HEARTBEAT, ORDER

_LOOK_SECONDS = 0.05
_HEARTBEAT_SECONDS = 1.0
_STARVED_SHARE = 0.01


def watch(pid, control, wake, jail, cpu, wall):
    """Wait for a run to end, or end it.

    Args:
        pid: The run, just forked.
        control: The socket to the supervisor, which may want it killed.
        wake: A descriptor that becomes readable when a child ends.
        jail: Where it runs.
        cpu: Processor seconds that it may use.
        wall: Seconds that it may be there, less those in which it waited for a core.

    Returns:
        Why it was ended, empty if it ended by itself; its wait status; its resource usage.
    """
    why = b""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    account = Account(cpu, wall)
    start = beat = time.monotonic()
    look = start + _until_next_look()
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return why, status, usage
        now = time.monotonic()
        if now >= look and not why:
            look = now + _until_next_look()
            elapsed = now - start
            why = account.overdue(elapsed, _used(pid), *linux.core_wait(pid)) or jail.overfull(pid)
            if why:
                jail.kill(pid)
        if now - beat >= _HEARTBEAT_SECONDS:
            beat = now
            control.sendall(HEARTBEAT)
        patience = _LOOK_SECONDS if why else max(look - time.monotonic(), 0.001)
        for fd, _ in poll.poll(patience * 1000):
            if fd == wake:
                os.read(wake, 512)
            else:
                order = control.recv(ORDER.size, socket.MSG_WAITALL)
                why = why or (b"output" if order else b"gone")
                jail.kill(pid)
                if not order:
                    os._exit(0)


def _until_next_look():
    # At random, so that a program can't arrange to look busy, or idle, just then.
    return _LOOK_SECONDS * (0.5 + os.urandom(1)[0] / 255)


def _used(pid):
    """Processor seconds of a process; 0.0 where only the kernel's own limit counts them."""
    try:
        return time.clock_gettime(linux.cpu_clock(pid))
    except (OSError, AttributeError):
        return 0.0


class Account:
    """Whether a run is over a limit, on a machine that may be busy.

    A run that is ready while all cores are taken can do nothing about it, so that time never
    counts, however little of a core it gets. How long its threads waited, all together, says too
    much: many that wake at once wait for one another. So no more counts as waiting than the time
    for which the looks found one of them ready, by the share of looks that did.

    Args:
        cpu: Processor seconds that it may use.
        wall: Seconds that it may be there, less those in which it waited for a core.
    """

    def __init__(self, cpu, wall):
        self._cpu, self._wall = cpu, wall
        self._elapsed = self._used = self._ready = 0.0

    def overdue(self, elapsed, used, waited, ready):
        """Judge one look at the run.

        Args:
            elapsed: Seconds since its start.
            used: Processor seconds it has used.
            waited: Seconds it has waited for a core, up to when it last got one.
            ready: Whether it runs or waits for a core now.

        Returns:
            `b"cpu"` or `b"wall"` for a limit it is over; `b"starved"` if it got so little that
            nothing can be said of it; empty if it may go on.
        """
        if ready:  # it may wait since it last ran: since the last look, or for longer
            waited += elapsed - self._elapsed if used > self._used else math.inf
            self._ready += elapsed - self._elapsed
        # Three times what looks at random may be wrong by.
        waited = min(waited, self._ready + 1.5 * math.sqrt(elapsed * _LOOK_SECONDS))
        self._elapsed, self._used = elapsed, used
        if used > self._cpu:
            return b"cpu"
        if elapsed - waited > self._wall:
            return b"wall"
        # A hundredth of a core would have done for one of the two.
        if elapsed > self._wall + self._cpu / _STARVED_SHARE:
            return b"starved"
        return b""
