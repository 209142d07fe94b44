"""A pool of workers that mends itself."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from rlenv.sandbox.verdict import SandboxError
from rlenv.sandbox.worker import Worker, WorkerLost

_log = logging.getLogger("rlenv.sandbox")
_pools: weakref.WeakSet[WorkerPool] = weakref.WeakSet()
_CLOSING_SECONDS = 60.0  # for runs under way to notice that they are over


class Attempts(NamedTuple):
    """How an order went.

    Attributes:
        report: The report, or None if every try was lost.
        tries: How many it took.
        trouble: What went wrong with the last lost try, or an empty string.
        lost_running: Whether every try was lost while a program may have been running.
    """

    report: dict[str, Any] | None
    tries: int
    trouble: str
    lost_running: bool


class WorkerPool:
    """Runs orders on workers, replaces lost ones, and tries a run once more.

    Safe to use from many threads. A process forked from the owner starts workers of its own
    on first use.

    Args:
        start: Starts a worker.
        size: How many workers there are at most; they are started when first needed.
        recycle: Runs after which a worker is replaced; 0 for never.
    """

    def __init__(self, start: Callable[[], Worker], size: int, recycle: int = 0) -> None:
        self._start = start
        self._size = size
        self._recycle = recycle
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(self._size):
            self._idle.put(None)
        self._all: set[Worker] = set()
        self._closed = False
        self._busy: set[int] = set()  # the threads that start, use or end a worker
        self._lock = threading.Condition()

    def _after_fork(self) -> None:
        closed = self._closed
        for worker in self._all:
            with contextlib.suppress(OSError):
                worker.disown()
        self._reset()
        self._closed = closed

    def run(self, order: dict[str, Any], check: Callable[[dict[str, Any]], None]) -> Attempts:
        """Do one run, a second time if the first one's worker is lost.

        Args:
            order: The order.
            check: Raises `WorkerLost` for a report that says nothing about the program.

        Raises:
            SandboxError: The pool is closed.
        """
        trouble = ""
        lost_running = True
        for attempt in (1, 2):
            worker = self._take()
            try:
                if worker is None:
                    worker = self._new()
                report = worker.run(order)
                check(report)
            except (WorkerLost, SandboxError, OSError) as error:
                trouble = str(error)
                lost_running &= isinstance(error, WorkerLost) and error.running
                self._drop(worker)
                worker = None
                if self._closed:
                    raise SandboxError("the sandbox was closed during the run") from error
                _log.warning("a sandbox worker was lost: %s", trouble)
                continue
            except BaseException:  # an interrupt leaves the worker in the middle of a run
                self._drop(worker)
                worker = None
                raise
            finally:
                if worker is not None and self._is_spent(worker, report):
                    self._drop(worker)
                    worker = None
                self._give_back(worker)
            return Attempts(report, attempt, trouble, False)
        return Attempts(None, 2, trouble, lost_running)

    def _is_spent(self, worker: Worker, report: dict[str, Any]) -> bool:
        return not report["clean"] or 0 < self._recycle <= worker.runs

    def warm_up(self) -> None:
        """Start a worker now, to see whether one can be started.

        Raises:
            SandboxError: The jail can't be set up here.
            WorkerLost: The guest died at its start.
        """
        worker = self._take()
        try:
            worker = worker or self._new()
        finally:
            self._give_back(worker)

    def _take(self) -> Worker | None:
        worker = self._idle.get()
        with self._lock:
            if not self._closed:
                self._busy.add(threading.get_ident())
                return worker
        self._idle.put(worker)
        raise SandboxError("the sandbox is closed")

    def _give_back(self, worker: Worker | None) -> None:
        with self._lock:
            self._busy.discard(threading.get_ident())
            self._lock.notify_all()
        self._idle.put(worker)

    def _new(self) -> Worker:
        worker = self._start()
        with self._lock:
            if not self._closed:
                self._all.add(worker)
                return worker
        worker.close()
        raise SandboxError("the sandbox is closed")

    def _drop(self, worker: Worker | None) -> None:
        if worker is not None:
            with self._lock:
                self._all.discard(worker)
            worker.close()

    def pids(self) -> list[int]:
        """Process ids of the running workers, for diagnosis."""
        with self._lock:
            return [pid for worker in self._all for pid in worker.transport.pids()]

    def close(self) -> None:
        """End all workers and wait until they are gone.

        Runs under way end with `SandboxError`.
        """
        with self._lock:
            self._closed = True
            workers = list(self._all)
            self._all.clear()
        for worker in workers:
            worker.close()
        # A thread may be starting a worker, or ending one that was lost. Our own can't be waited
        # for: it is in the middle of a run if a signal handler closes the pool.
        me = {threading.get_ident()}
        with self._lock:
            if not self._lock.wait_for(lambda: self._busy <= me, _CLOSING_SECONDS):
                _log.warning("a run goes on after its sandbox was closed")


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
