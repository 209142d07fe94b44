"""Ending a call that does not return, such as a grader that waits for a server for ever."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from rlenv.common.errors import Interrupted

T = TypeVar("T")

_EVERY = 0.05  # seconds between two looks
_EVERY_CPU = 0.5  # the same in seconds of computing, for code that lets no other thread look
_AGAIN = 1.0  # seconds until code that caught the end of its time is ended once more
# Hardly any program uses it; the calls of one that does are ended between two instructions
_SIGNAL = getattr(signal, "SIGVTALRM", None) if hasattr(signal, "pthread_kill") else None


class TimedOut(BaseException):
    """A call took longer than it may; no `Exception`, lest the code it ends catches it."""


def call_within(seconds: float | None, function: Callable[..., T], *args: Any) -> T:
    """Call a function, and end it when it takes longer than it may.

    In the main thread whatever waits or computes is ended, except for a single call into compiled
    code that never looks at signals. In other threads it is ended between two instructions of
    Python, so that what waits inside a call goes on waiting. A function may itself call others
    within limits: what those take does not count for it.

    Args:
        seconds: how long it may take; None for no limit.
        function: what to call.
        *args: passed to it.

    Raises:
        TimedOut: it took longer.
        Interrupted: a stop was asked for, and it did not end soon, see `stop_soon`.
    """
    block = _Block(threading.get_ident(), seconds)
    try:
        block.enter()
        return function(*args)
    finally:
        # from here on nothing is raised in it: set without a call, before which Python looks for
        # signals
        block.over = True
        try:
            block.leave()
        except (TimedOut, Stopped):
            block.leave()


class _Block:
    """A call that is limited, in one thread."""

    def __init__(self, thread: int, seconds: float | None) -> None:
        self.thread = thread
        self.began = time.monotonic()
        self.ends = float("inf") if seconds is None else self.began + seconds
        self.outer: _Block | None = None
        self.over = self.signalled = False
        self.pending = False

    def enter(self) -> None:
        self.signalled = _listens()
        self.outer = _running.get(self.thread)
        _running[self.thread] = self
        _watcher.wake()
        if self.signalled and self.outer is None:
            # the watcher has no turn while compiled code, such as a regular expression's, computes
            signal.setitimer(signal.ITIMER_VIRTUAL, _EVERY_CPU, _EVERY_CPU)

    def leave(self) -> None:
        with _lock:
            if _running.get(self.thread) is not self:
                return  # it never began, or has left
            if self.outer is None:
                del _running[self.thread]
                if self.signalled:
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
            else:
                self.outer.ends += time.monotonic() - self.began
                _running[self.thread] = self.outer
            if self.pending:
                _raise_in(self.thread, None)  # where it was not raised yet, it is not to be

    def cause(self) -> type[BaseException] | None:
        """Return what is to be raised in the call now, if anything."""
        now = time.monotonic()
        if self.over or self.ends == float("inf") or now < min(self.ends, _stop.at):
            return None
        return Stopped if now >= _stop.at else TimedOut

    def look(self) -> None:
        """End the call if it is time to."""
        cause = self.cause()
        if cause is None:
            return
        if self.signalled:
            assert _SIGNAL is not None
            signal.pthread_kill(self.thread, _SIGNAL)
        else:
            self.ends = time.monotonic() + _AGAIN
            self.pending = True
            _raise_in(self.thread, cause)


class Stopped(Interrupted):
    """A stop was asked for, and a call did not return."""

    def __init__(self) -> None:
        super().__init__(
            "stopped in the middle of a step, since a call of the environment did not return; "
            "the last saved state is kept"
        )


class _Stop:
    at = float("inf")  # when calls that still run are ended


def stop_soon(seconds: float = 10.0) -> None:
    """End every call with a limit that still runs so long from now, or begins later."""
    _stop.at = time.monotonic() + seconds


def no_stop() -> None:
    """Take `stop_soon` back."""
    _stop.at = float("inf")


class _Watcher:
    """A thread that looks whether calls take too long; asleep where none runs."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._started = False

    def wake(self) -> None:
        if not self._started:
            self._started = True
            threading.Thread(target=self._watch, name="rlenv time limits", daemon=True).start()
        if not self._wanted.is_set():
            self._wanted.set()

    def _watch(self) -> None:
        wanted = self._wanted
        while True:
            time.sleep(_EVERY)
            if not _running:
                wanted.clear()
                if not _running:  # a block that began in between has set it, or is seen here
                    wanted.wait()
            with _lock:
                for block in list(_running.values()):
                    block.look()


_lock = threading.Lock()
_running: dict[int, _Block] = {}  # thread -> the innermost block in it
_stop = _Stop()
_watcher = _Watcher()


def _listens() -> bool:
    """Handle the signal in this thread, if that is possible and the program does not use it."""
    if _SIGNAL is None or threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(_SIGNAL) is signal.SIG_DFL:
        signal.signal(_SIGNAL, _on_signal)
    return signal.getsignal(_SIGNAL) is _on_signal


def _on_signal(number: int, frame: FrameType | None) -> None:
    block = _running.get(threading.get_ident())
    cause = None if block is None else block.cause()
    if block is not None and cause is not None:
        block.ends = time.monotonic() + _AGAIN
        raise cause


def _raise_in(thread: int, cause: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if cause is None else ctypes.py_object(cause)
    )


def _after_fork() -> None:
    global _lock, _watcher
    _running.clear()
    _lock, _watcher = threading.Lock(), _Watcher()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
