"""Stopping at a point from which a run can go on."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from rlenv.common.time_limit import no_stop, stop_soon


class StopSignal:
    """Turns the first Ctrl-C (or SIGTERM) into a request; a second one ends the run at once."""

    def __init__(self) -> None:
        self.requested = False
        self._old: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        no_stop()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt("stopped at once; the last saved state is kept")
        self.requested = True
        stop_soon()  # what does not return would keep the run from ever looking
