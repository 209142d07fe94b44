"""A limit on how long a piece of Python may take, in any thread."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator


class CutOff(Exception):
    """It took too long, and was interrupted."""


@contextlib.contextmanager
def cut_off(seconds: float) -> Iterator[None]:
    """Interrupt the block where it takes longer.

    Only Python code can be interrupted, between two of its instructions; a call into C is waited
    for.

    Args:
        seconds: that it may take.

    Raises:
        CutOff: it took longer.
    """
    me = ctypes.c_ulong(threading.get_ident())
    lock = threading.Lock()
    over = False

    def interrupt() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(me, ctypes.py_object(CutOff))

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
        timer.cancel()
