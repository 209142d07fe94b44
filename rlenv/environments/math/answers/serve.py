"""The loop of a process that decides."""

from __future__ import annotations

import json
import resource
import struct
import sys

from .decide import Verdict, decide

_LENGTH = struct.Struct("<I")


def serve(memory: int) -> None:
    """Answer questions from standard input until it ends.

    Args:
        memory: bytes of address space that this process may have.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    _send(sink, b"ready")
    while header := source.read(_LENGTH.size):
        answer, gold = json.loads(source.read(_LENGTH.unpack(header)[0]))
        _send(sink, json.dumps(_decide(answer, gold)).encode())


def _decide(answer: str, gold: str) -> Verdict:
    try:
        return decide(answer, gold)
    except (MemoryError, RecursionError) as error:
        return Verdict(False, f"beyond the limits: {type(error).__name__}", "timeout")
    except Exception as error:  # noqa: BLE001 the process must live, and the caller must hear of it
        return Verdict(False, f"{type(error).__name__}: {error}"[:300], "grader_error")


def _send(sink: object, data: bytes) -> None:
    sink.write(_LENGTH.pack(len(data)) + data)  # type: ignore[attr-defined]
    sink.flush()  # type: ignore[attr-defined]
