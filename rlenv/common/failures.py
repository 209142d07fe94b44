"""Failures that come again and again: told once, then counted."""

from __future__ import annotations

import logging
import threading
from collections import Counter

from rlenv.common.errors import cause

_lock = threading.Lock()
_seen: Counter[tuple[str, str, str]] = Counter()


def tell(log: logging.Logger, what: str, error: BaseException) -> str:
    """Tell of a failure, the first time and then each time that their number has grown tenfold.

    An environment that is broken fails on every rollout, and each time in the same way.

    Args:
        log: where to; the traceback goes to its debug level.
        what: failed, such as `Wordle.score`.
        error: why.

    Returns:
        The cause in one line, see `rlenv.common.errors.cause`.
    """
    why = cause(error)
    with _lock:
        _seen[what, type(error).__name__, _place(why)] += 1
        count = _seen[what, type(error).__name__, _place(why)]
    log.debug("%s failed", what, exc_info=error)
    if count == 1:
        log.warning("%s failed: %s; from here on such failures are counted", what, why)
    elif count in _TOLD:
        log.warning("%s failed %d times so far: %s", what, count, why)
    return why


_TOLD = {10**power for power in range(1, 10)}


def _place(why: str) -> str:
    return why.rpartition(" (")[2] if why.endswith(")") else ""
