"""Decoding what a program returned, at a cost that the program can't drive up.

Reading bytes takes time in proportion to their number, but building a set or a dict of keys that
were chosen to collide takes the square of it, in one step that nothing in this process can break
off. Where results are large enough for that to matter they are first decoded in a process that
is killed when it takes too long.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rlenv.sandbox.guest import codec
from rlenv.sandbox.limits import Limits

# Members times bytes. This many probes, or bytes of keys compared, take about a tenth of a second.
_SAFE_PROBES = 1 << 29
_UNBOUNDED = 1 << 62
_TRIAL_CPU_SECONDS = 0.3  # to decode everything
_BUILD_CPU_SECONDS = 0.1  # to build one set or dict, which no thread can interrupt
_TRIAL_WALL_SECONDS = 60.0  # on a machine so busy that the others are never used up

_TRIAL = """
import signal, sys
def exactly(count):
    data = sys.stdin.buffer.read(count)
    if len(data) < count: sys.exit(1)
    return data
def number(): return int.from_bytes(exactly(8), "little")
codec = type(sys)("codec")
exec(exactly(number()), codec.__dict__)
hashed, build_seconds = codec._hashed, number() / 1e6
def build(kind, items):
    signal.setitimer(signal.ITIMER_VIRTUAL, build_seconds)
    try:
        return hashed(kind, items)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
codec._hashed = build
seconds = number() / 1e6
bounds = codec.Bounds(number(), number(), number())
bodies = [exactly(number()) for _ in range(number())]
# What these two timers do by default is to end the process, whatever the interpreter is doing.
signal.setitimer(signal.ITIMER_PROF, seconds)
for body in bodies:
    try:
        codec.decode(body, bounds)
    except ValueError:
        pass
    sys.stdout.buffer.write(b".")
    sys.stdout.buffer.flush()
"""


class ResultDecoder:
    """Decodes the results of one run, in order.

    Args:
        bodies: The encodings; empty ones stand for tests without a result.
        limits: The run's limits.
    """

    def __init__(self, bodies: Sequence[bytes], limits: Limits) -> None:
        self._bodies = bodies
        self._bounds = limits.bounds
        self._allowance = codec.Allowance(limits.result_items, _SAFE_PROBES)
        self._tried = 0  # bodies before this one were decoded elsewhere, fast enough
        self._has_tried = False

    def decode(self, index: int) -> Any:
        """Decode one result.

        Args:
            index: Which one.

        Raises:
            Corrupt: It is no encoding of plain data.
            TooBig: It breaks a bound, or would take too long to build.
        """
        body, allowance = self._bodies[index], self._allowance
        items = allowance.items
        if index < self._tried:
            allowance.probes = _UNBOUNDED
        try:
            return codec.decode(body, self._bounds, allowance)
        except codec.TooCostly:
            if self._has_tried:
                raise
        self._has_tried = True
        self._tried = index + _decoded_elsewhere(self._bodies[index:], self._bounds)
        if index >= self._tried:
            raise codec.TooCostly("its keys collide, so that it would take too long to build")
        allowance.items, allowance.probes = items, _UNBOUNDED
        return codec.decode(body, self._bounds, allowance)


def _decoded_elsewhere(bodies: Sequence[bytes], bounds: codec.Bounds) -> int:
    """How many of the bodies another process like this one decodes within its limits."""
    numbers = (bounds.max_bytes, bounds.max_depth, bounds.max_digits, len(bodies))
    given = [_with_length(_codec_source()), _number(int(_BUILD_CPU_SECONDS * 1e6))]
    given += [_number(int(_TRIAL_CPU_SECONDS * 1e6)), *map(_number, numbers)]
    given += map(_with_length, bodies)
    # The same interpreter with the same hash seed, so that the same keys collide.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONHASHSEED"] = os.environ.get("PYTHONHASHSEED", "random")
    try:
        done = subprocess.run(
            [sys.executable, "-s", "-S", "-B", "-c", _TRIAL],
            input=b"".join(given),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            timeout=_TRIAL_WALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return len(error.stdout or b"")
    return len(done.stdout)


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _with_length(data: bytes) -> bytes:
    return _number(len(data)) + data


@cache
def _codec_source() -> bytes:
    return Path(codec.__file__).read_bytes()
