"""Where async graders run: one event loop in the background, for a whole process.

Graders that wait, for a server say, wait side by side there: those of replies that were announced
while others are still sampled, and those of one reply that has several.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Awaitable, Coroutine, Sequence
from concurrent.futures import Future, wait
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Outcome: TypeAlias = "Future[tuple[Any, BaseException | None]]"

_LOOK = 0.2  # seconds between two looks, so that a thread that waits can be ended


class BackgroundLoop:
    """An event loop in a thread of its own, which begins with the first thing to run."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._limits: weakref.WeakKeyDictionary[object, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )

    def start(self, work: Awaitable[Any], limit_of: object, limit: int) -> Outcome:
        """Begin to carry out work.

        Args:
            work: a coroutine.
            limit_of: whose limit on concurrency holds.
            limit: so much of its work runs at once; what comes later waits.
        """
        return self.submit(self._carry_out(work, limit_of, limit))

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin to carry out a coroutine, without a limit."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    @property
    def is_here(self) -> bool:
        """Whether the caller is in the loop's own thread, and so must not wait for it."""
        return threading.current_thread() is self._thread

    async def _carry_out(
        self, work: Awaitable[Any], limit_of: object, limit: int
    ) -> tuple[Any, BaseException | None]:
        semaphore = self._limits.setdefault(limit_of, asyncio.Semaphore(limit))
        async with semaphore:
            try:
                return await work, None
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 raised again in the caller's thread
                return None, error

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="rlenv-graders", daemon=True
                )
                self._thread.start()
            return self._loop


_background = BackgroundLoop()


def _begin_anew() -> None:
    """Forget the loop in a child process, which has no such thread."""
    global _background
    _background = BackgroundLoop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def start(work: Sequence[Awaitable[Any]], limit_of: object, limit: int) -> list[Outcome]:
    """Begin to carry out coroutines side by side; `results` waits for them.

    Args:
        work: the coroutines.
        limit_of: whose limit on concurrency holds.
        limit: so much of its work runs at once.
    """
    return [_background.start(one, limit_of, limit) for one in work]


def run(work: Sequence[Awaitable[Any]], limit_of: object, limit: int) -> list[Any]:
    """Carry out coroutines side by side and return their results, from any code, async or not."""
    if not _background.is_here:
        return results(start(work, limit_of, limit))

    async def gather() -> list[Any]:
        return list(await asyncio.gather(*work))

    # a grader that itself asks for async graders: the loop can't wait for itself
    outcome: Outcome = Future()

    def apart() -> None:
        try:
            outcome.set_result((asyncio.run(gather()), None))
        except BaseException as error:  # noqa: BLE001 raised again in the caller's thread
            outcome.set_result((None, error))

    threading.Thread(target=apart, daemon=True).start()
    (found,) = results([outcome])
    return list(found)


def results(outcomes: Sequence[Outcome]) -> list[Any]:
    """Wait for what was started and return its results in order.

    Raises:
        BaseException: what the first that failed, in their order, has raised.
    """
    try:
        while wait(outcomes, timeout=_LOOK).not_done:
            pass
    except BaseException:
        cancel(outcomes)
        raise
    found = []
    for value, error in [outcome.result() for outcome in outcomes]:
        if error is not None:
            raise error
        found.append(value)
    return found


def cancel(outcomes: Sequence[Outcome]) -> None:
    """End what was started and nobody waits for."""
    for outcome in outcomes:
        outcome.cancel()
