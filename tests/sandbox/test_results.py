"""What a program returns can't take the host's time, even if made to be dear to decode."""

import inspect
import struct
import sys
import time

import numpy as np
import pytest

from rlenv.sandbox import FunctionJob, Limits, Sandbox
from rlenv.sandbox.guest.codec import TooBig, encode
from rlenv.sandbox.guest.runner import BROKEN, DONE, FRAME, NOT_PLAIN, RAISED, VALUE
from rlenv.sandbox.judging import call_verdict
from rlenv.sandbox.results import ResultDecoder

MOST_SECONDS = 0.5  # of processor time in the host, whatever a program returns
LIMITS = Limits()


def chain(bits=17, filled=60_000, colliding=12_000):
    """Keys of a dict with 2**bits places, the last of which look at places in a chain.

    A dict looks for a place at (5 * place + 1 + perturb) % size, where perturb is the hash, shifted
    by 5 bits more each time. The first keys take a run of places that ends up on this path
    once perturb is 0, the others all enter that run.
    """
    size = 1 << bits
    run, place = [], 1
    for _ in range(filled):
        run.append(place)
        place = (5 * place + 1) % size
    taken = np.zeros(size, bool)
    taken[run] = True
    order = np.zeros(size, np.int64)
    order[run] = np.arange(filled)
    rng = np.random.default_rng(0)
    found = np.array([], np.int64)
    while len(found) < colliding:
        hashes = rng.integers(size, 1 << 24, 2_000_000)
        perturb, place = hashes.copy(), hashes % size
        good = taken[place]
        while perturb.any():
            perturb >>= 5
            place = (5 * place + 1 + perturb) % size
            good &= taken[place]
        good &= order[place] < filled // 4
        found = np.unique(np.append(found, hashes[good]))
    return [*run, *found[:colliding].tolist()]


def as_dict(keys):
    """The encoding of a dict with these keys, made without building it."""
    return (
        b"d"
        + struct.pack("<I", len(keys))
        + b"".join(encode(k, LIMITS.bounds) + b"N" for k in keys)
    )


def as_set(keys):
    return b"s" + struct.pack("<I", len(keys)) + b"".join(encode(k, LIMITS.bounds) for k in keys)


def one_hash(count, width):
    """Large integers with one hash that differ in their lowest digits alone."""
    return [(1 << 8 * width) - 1 - i * (2**61 - 1) for i in range(count)]


def deep(levels):
    """A tuple in a frozenset in a tuple, and so on."""
    value = ()
    for level in range(levels):
        value = (level, value) if level % 2 else frozenset({value})
    return value


DEAR = {
    "a chain": lambda: as_dict(chain()),
    "one hash": lambda: as_set([i * (2**61 - 1) for i in range(100_000)]),
    "one hash, long keys": lambda: as_set(one_hash(8000, 1000)),
    "very many values": lambda: b"l" + struct.pack("<I", 8_000_000) + b"N" * 8_000_000,
    "very many lists": lambda: b"l" + struct.pack("<I", 1_600_000) + (b"l" + b"\0" * 4) * 1_600_000,
    "very many keys": lambda: as_dict(range(800_000)),
}


@pytest.mark.parametrize("name", DEAR)
def test_a_dear_result_is_refused(name):
    assert refuse_dear(name) > 0


@pytest.mark.slow  # it measures time, which a busy machine stretches
@pytest.mark.parametrize("name", DEAR)
def test_a_dear_result_is_refused_at_little_cost(name):
    assert refuse_dear(name) < MOST_SECONDS


def refuse_dear(name):
    """Judge a result that is dear to look into; returns the processor seconds that it took."""
    body = DEAR[name]()
    assert len(body) <= LIMITS.result_bytes
    results = FRAME.pack(VALUE, 0, len(body)) + body + FRAME.pack(DONE, 1, 0)
    start = time.thread_time()
    verdict = call_verdict(
        FunctionJob("", "f", [[]], [{1: None}]), report(results), LIMITS, "namespaces", 1
    )
    seconds = time.thread_time() - start
    assert verdict.status == "output_limit", verdict.detail
    return seconds


def report(results):
    """What a guest reports of a run that ended by itself."""
    return {
        "why": "",
        "status": 0,
        "cpu": 0.1,
        "wall": 0.1,
        "stdout": b"",
        "stderr": b"",
        "results": results,
        "truncated": False,
    }


@pytest.mark.parametrize("kind", [RAISED, BROKEN, NOT_PLAIN])
def test_only_the_beginning_of_a_message_is_kept(kind):
    body = "é".encode() * (4 << 20)
    results = FRAME.pack(kind, 0, len(body)) + body + FRAME.pack(DONE, 1, 0)
    verdict = call_verdict(
        FunctionJob("", "f", [[]], [1]), report(results), LIMITS, "namespaces", 1
    )
    assert verdict.status in ("error", "fail")
    assert "é" * 500 in verdict.detail
    assert len(verdict.detail) < 700


def test_of_many_dear_results_most_are_refused():
    refuse_many()


@pytest.mark.slow  # it measures time, which a busy machine stretches
def test_many_results_together_cost_no_more_than_one():
    assert refuse_many() < MOST_SECONDS


def refuse_many():
    """Decode fifty results that are dear to look into; returns the processor seconds it took."""
    body = as_set([i * (2**61 - 1) for i in range(9000)])
    decoder = ResultDecoder([body] * 50, LIMITS)
    start = time.thread_time()
    refused = 0
    for index in range(50):
        try:
            decoder.decode(index)
        except TooBig:
            refused += 1
    seconds = time.thread_time() - start
    assert refused > 40
    return seconds


def test_large_honest_results_pass():
    large = {i: str(i) for i in range(60_000)}
    words = {f"word {i}" for i in range(90_000)}
    bodies = [encode(value, LIMITS.bounds) for value in (large, words, [0.5] * 900_000)]
    decoder = ResultDecoder(bodies, LIMITS)
    assert decoder.decode(0) == large
    assert decoder.decode(1) == words
    assert decoder.decode(2) == [0.5] * 900_000


def test_large_honest_results_of_a_program_pass(sandbox):
    verdict = sandbox.judge(
        "def f(n):\n"
        "    return {i: i * i for i in range(n)}, list(range(10 * n)), {(i, 0) for i in range(n)}",
        entry_point="f",
        inputs=[[20_000]],
        expected=[
            (
                {i: i * i for i in range(20_000)},
                list(range(200_000)),
                {(i, 0) for i in range(20_000)},
            )
        ],
    )
    assert verdict.passed, verdict.detail


@pytest.mark.parametrize("levels", [100, 398, 800])
def test_no_depth_makes_judge_raise_a_recursion_error(levels):
    with Sandbox(workers=1, limits=Limits(result_depth=400)) as sandbox:

        def judge(left, value):
            if left:
                return judge(left - 1, value)
            return sandbox.judge(
                "def f(x): return x", entry_point="f", inputs=[[value]], expected=[value]
            )

        for value in (deep(levels), {deep(levels)}, {deep(levels): 1}):
            verdict = judge(sys.getrecursionlimit() - len(inspect.stack()) - 60, value)
            assert verdict.status == ("pass" if levels < 400 else "output_limit"), verdict.detail


def test_a_forged_depth_is_refused_however_deep_the_caller(sandbox):
    program = """
import os, struct
body = (b"t" + struct.pack("<I", 1)) * 99 + b"N"
body = b"s" + struct.pack("<I", 2) + body + body[:-1] + b"T"
os.write(3, struct.pack("<cII", b"R", 0, len(body)) + body + struct.pack("<cII", b"D", 1, 0))
os._exit(0)
"""

    def judge(left):
        if left:
            return judge(left - 1)
        return sandbox.judge(program, entry_point="f", inputs=[[]], expected=[{1}])

    assert judge(sys.getrecursionlimit() - len(inspect.stack()) - 60).status == "fail"
