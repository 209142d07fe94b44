"""Deciding in a process that can be killed.

Each worker is a fresh interpreter that imports the reader of answers and nothing else, with at most
one gibibyte of memory. It answers one question at a time; when it is late it is killed, and the
next question gets another. Nothing here uses signals or an event loop, so checks may come from any
thread, from a coroutine and from forked or spawned processes.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from rlenv.environments.math.answers.decide import LOADING, STRICT, AnswerPolicy, AnswerVerdict

LIMIT_S = 8.0  # of one decision, which ends itself after three seconds of processor time
START_S = 20.0  # for an interpreter to come up, however busy the machine is
MEMORY = 1 << 30  # bytes
_LENGTH = struct.Struct("<I")
_LARGEST = 1 << 22  # bytes of a message

_CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
sys.setrecursionlimit(20_000)
from answers.decide import serve
serve(int(sys.argv[2]))
"""


class Late(Exception):
    """A worker did not answer in time; it is gone."""


class Gone(Exception):
    """A worker ended without an answer."""


class DecisionWorker:
    """One process that decides."""

    def __init__(self) -> None:
        folder = str(Path(__file__).parent)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _CHILD, folder, str(MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin: IO[bytes] = self.process.stdin
        self.stdout: IO[bytes] = self.process.stdout
        self.ready = False

    def ask(
        self, answer: str, gold: str, limit_s: float, policy: AnswerPolicy = STRICT
    ) -> AnswerVerdict:
        """Decide about one answer.

        Raises:
            Late: it took longer than the limit.
            Gone: the process ended.
        """
        if not self.ready:
            self._read(START_S)
            self.ready = True
        message = json.dumps([answer, gold, *policy]).encode()
        try:
            self.stdin.write(_LENGTH.pack(len(message)) + message)
            self.stdin.flush()
        except OSError as error:
            raise Gone(str(error)) from error
        while (reply := self._read(limit_s)) == LOADING:
            self._read(START_S)
        right, rule, status = json.loads(reply)
        return AnswerVerdict(right, rule, status)

    def _read(self, limit_s: float) -> bytes:
        deadline = time.monotonic() + limit_s
        (length,) = _LENGTH.unpack(self._bytes(_LENGTH.size, deadline))
        return self._bytes(min(length, _LARGEST), deadline)

    def _bytes(self, count: int, deadline: float) -> bytes:
        waiting = select.poll()
        waiting.register(self.stdout, select.POLLIN)
        data = b""
        while len(data) < count:
            left = deadline - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                raise Late
            more = os.read(self.stdout.fileno(), count - len(data))
            if not more:
                raise Gone("the process ended")
            data += more
        return data

    def close(self) -> None:
        """Kill the process and wait for its end."""
        self.process.kill()
        self.process.wait()
        self.forget()

    def forget(self) -> None:
        """Close this side's ends of the pipes."""
        for pipe in (self.stdin, self.stdout):
            try:
                pipe.close()
            except OSError:  # what was left in the buffer has nobody to read it
                continue


class DecisionPool:
    """Workers, started when they are needed.

    Args:
        most: how many decide at the same time.
    """

    def __init__(self, most: int) -> None:
        self.free = threading.BoundedSemaphore(most)
        self.lock = threading.Lock()
        self.idle: list[DecisionWorker] = []

    def decide(
        self,
        answer: str,
        gold: str,
        limit_s: float = LIMIT_S,
        policy: AnswerPolicy = STRICT,
    ) -> AnswerVerdict:
        """Decide about one answer; wait for a worker first, without a limit.

        Returns:
            The verdict; `timeout` after the limit; `grader_error` where no process can be had.
        """
        with self.free:
            for _ in range(2):  # an idle worker may have died since it was last used
                with self.lock:
                    worker = self.idle.pop() if self.idle else None
                fresh = worker is None
                try:
                    worker = worker or DecisionWorker()
                    verdict = worker.ask(answer, gold, limit_s, policy)
                except Late:
                    assert worker is not None
                    started = worker.ready
                    worker.close()
                    if not started:
                        return AnswerVerdict(
                            False, "no process for the check came up", "grader_error"
                        )
                    return AnswerVerdict(False, f"no decision in {limit_s:g} s", "timeout")
                except Gone:
                    assert worker is not None
                    worker.close()
                    if fresh and worker.ready:
                        return AnswerVerdict(False, "more memory than a check may take", "timeout")
                    continue
                except OSError as error:
                    if worker is not None:
                        worker.close()
                    return AnswerVerdict(
                        False, f"no process for the check: {error}", "grader_error"
                    )
                except BaseException:
                    if worker is not None:
                        worker.close()  # interrupted in the middle of a message
                    raise
                with self.lock:
                    self.idle.append(worker)
                return verdict
        return AnswerVerdict(False, "the process for the check ended twice", "grader_error")

    def close(self) -> None:
        """Kill all idle workers."""
        with self.lock:
            workers, self.idle = self.idle, []
        for worker in workers:
            worker.close()


_pool = DecisionPool(max(2, os.cpu_count() or 1))


def decide(
    answer: str, gold: str, limit_s: float = LIMIT_S, policy: AnswerPolicy = STRICT
) -> AnswerVerdict:
    """Decide in one of this process's workers; see `DecisionPool.decide`."""
    return _pool.decide(answer, gold, limit_s, policy)


def _after_fork() -> None:
    """A forked process has workers of its own; its parent's must not hear two voices."""
    global _pool
    old, _pool = _pool, DecisionPool(max(2, os.cpu_count() or 1))
    for worker in old.idle:
        worker.forget()


def _at_exit() -> None:
    _pool.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
