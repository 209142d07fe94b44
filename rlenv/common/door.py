"""How a command begins and ends as a process of its own.

This file imports nothing of rlenv, and little else: a Ctrl-C that comes while a command is still
being imported must find it in place.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

STOPPED = 130  # what shells return for a command that Ctrl-C ended


class _Interrupts:
    """Counts Ctrl-C where nothing else handles it: the first ends the command, a second at once."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            os._exit(STOPPED)
        raise KeyboardInterrupt


def run(command: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its code.

    Args:
        command: imports what it needs, and returns the exit code.
    """
    interrupts = _Interrupts()
    signal.signal(signal.SIGINT, interrupts)
    try:
        code = command()
    except KeyboardInterrupt:
        code = _say_stopped()
    except Exception:
        if not interrupts.count:
            raise
        code = _say_stopped()  # an import that was interrupted may raise anything
    # what is left is the interpreter's own end, where an exception would only be printed
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


def _say_stopped() -> int:
    sys.stderr.write("\nstopped\n")
    return STOPPED
