"""Programs made at random from what could harm a sandbox.

No such program may end in `infrastructure`, or take its worker along: what goes wrong is its own.
`python tests/sandbox/fuzz.py --backend landlock --count 10000`
"""

# ruff: noqa: E501

import argparse
import collections
import random
import sys

from rlenv.sandbox import FunctionJob, Limits, Sandbox

LIMITS = Limits(cpu_seconds=0.1, wall_multiple=2.0, memory_bytes=128 << 20)
HEAD = """
import atexit, ctypes, fcntl, gc, mmap, os, resource, select, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
memory = ctypes.create_string_buffer(4096)
def attempt(action):
    try:
        return action()
    except (OSError, ValueError, OverflowError, TypeError, RuntimeError) as error:
        return error
"""
# Calls whose numbers on x86_64 a random number would hardly meet, and that end or stop processes.
CALLS = (
    62,
    200,
    234,
    129,
    297,
    109,
    112,
    157,
    160,
    302,
    231,
    60,
    101,
    310,
    56,
    57,
    58,
    435,
    424,
    434,
)


def number(rng):
    """A number that some call may take for what it is not."""
    return rng.choice(
        [0, 1, 2, 3, 4, 5, 9, 15, 19, -1, -9, 2**31, 2**32, 2**63 - 1, rng.randrange(70000)]
    )


def target(rng):
    """Whom a signal could be meant for."""
    own = ["os.getpid()", "os.getppid()", "os.getpgrp()", "-os.getpgrp()", "os.getsid(0)"]
    return rng.choice([*own, "0", "-1", "1", "2", str(rng.randrange(2, 40000))])


def system_call(rng):
    call = rng.choice(CALLS) if rng.random() < 0.4 else rng.randrange(470)
    arguments = [
        "memory" if rng.random() < 0.3 else f"ctypes.c_long({number(rng)})" for _ in range(6)
    ]
    return f"libc.syscall(ctypes.c_long({call}), {', '.join(arguments)})"


def send_signal(rng):
    which = rng.choice([9, 19, 20, 15, 6, 11, 14, 17, 24, 25, rng.randrange(1, 65)])
    how = rng.choice(["os.kill", "os.killpg", "libc.kill"])
    return f"attempt(lambda: {how}({target(rng)}, {which}))"


def raise_signal(rng):
    return f"attempt(lambda: signal.raise_signal({rng.choice([6, 11, 15, 19, 20, 24, 31])}))"


def handle_signals(rng):
    handler = rng.choice(["signal.SIG_IGN", "signal.SIG_DFL", "lambda *_: None"])
    return f"for s in range(1, 65): attempt(lambda: signal.signal(s, {handler}))"


def forge(rng):
    body = bytes(rng.randrange(256) for _ in range(rng.randrange(40)))
    frame = f"struct.pack('<cII', {bytes([rng.choice(b'RXMNLED?')])!r}, {rng.randrange(4)}, {rng.choice([0, 9, len(body), 2**32 - 1])})"
    return f"attempt(lambda: os.write({rng.randrange(8)}, {frame} + {body!r}))"


def descriptors(rng):
    return rng.choice(
        [
            f"attempt(lambda: os.close({rng.randrange(70)}))",
            f"attempt(lambda: os.dup2({rng.randrange(6)}, {rng.randrange(64)}))",
            "os.closerange(0, 100)",
            f"attempt(lambda: fcntl.fcntl({rng.randrange(6)}, {rng.randrange(40)}, {number(rng)}))",
            f"attempt(lambda: os.set_blocking({rng.randrange(6)}, False))",
            f"attempt(lambda: os.ftruncate({rng.randrange(6)}, {abs(number(rng))}))",
        ]
    )


def files(rng):
    name = rng.choice(["a", ".gone-1", "x" * 250, "\\udc80", "a\\nb", "..", "tmp"])
    return rng.choice(
        [
            f"attempt(lambda: os.makedirs({name!r} + '/b' * {rng.randrange(300)}))",
            f"attempt(lambda: os.mkdir({name!r}, {rng.choice([0, 0o111, 0o777])}))",
            f"attempt(lambda: open({name!r}, 'wb').write(bytes({rng.choice([1, 10**6, 10**8])})))",
            f"attempt(lambda: os.symlink({rng.choice(['/', name, '/proc/self/fd/3'])!r}, {name!r}))",
            f"for i in range({rng.choice([10, 3000])}): attempt(lambda: open(f'{{i}}', 'w').close())",
            "attempt(lambda: os.rmdir(os.getcwd()))",
            "attempt(lambda: os.rename('.', 'elsewhere'))",
            "attempt(lambda: os.chmod('.', 0))",
        ]
    )


def resources(rng):
    return rng.choice(
        [
            f"attempt(lambda: resource.setrlimit({rng.randrange(16)}, ({rng.choice([0, 1, 64])}, {rng.choice([64, 2**40])})))",
            "held = [bytearray(1 << 20) for _ in range(10**6)]",
            "held = mmap.mmap(-1, 1 << 26); held.write(bytes(1 << 26))",
            "for _ in range(100): attempt(lambda: threading.Thread(target=time.sleep, args=(9,), daemon=True).start())",
            "pairs = [attempt(socket.socketpair) for _ in range(40)]",
            "def deep(n): return deep(n + 1)\nattempt(lambda: deep(0))",
            "sys.setrecursionlimit(10**6)\ndef deeper(n): return [deeper(n + 1)]\nattempt(lambda: deeper(0))",
            "attempt(lambda: signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001))",
            "attempt(lambda: print('x' * 10**7))",
        ]
    )


def crash(rng):
    return rng.choice(
        [
            f"ctypes.string_at({rng.choice([0, 1, 2**47])})",
            f"ctypes.memset(id({rng.choice(['None', 'sys', 'int', 'attempt'])}), {rng.randrange(256)}, {rng.randrange(64)})",
            f"os._exit({rng.randrange(256)})",
            f"sys.exit({rng.choice([0, 1, 'None', 2**40])})",
            "os.abort()",
            "sys.stdout = sys.stderr = None",
            "sys.modules.clear()",
            "gc.disable(); del __builtins__.__dict__['print']",
            "atexit.register(lambda: os.kill(0, 9))",
            "sys.settrace(lambda *_: 1 / 0)",
            "attempt(lambda: os.fork())",
            "attempt(lambda: os.execv('/bin/true', ['true']))",
            "while True: pass",
            "time.sleep(5)",
        ]
    )


PARTS = (system_call, system_call, send_signal, raise_signal, handle_signals, forge)
PARTS += (descriptors, files, resources, crash)


def program(seed):
    """The program of a seed; most do several things, before or in the function that is called."""
    rng = random.Random(seed)
    lines = [rng.choice(PARTS)(rng) for _ in range(rng.randint(1, 6))]
    if rng.random() < 0.5:
        body = "\n".join("    " + line for part in lines for line in part.split("\n"))
        return f"{HEAD}\ndef solve(n):\n{body}\n    return n\n"
    return "\n".join([HEAD, *lines, "def solve(n): return n", ""])


def outcomes(sandbox, seeds):
    """Judge the programs of seeds. Returns how many got each status, and what may not be."""
    seeds = list(seeds)
    jobs = [FunctionJob(program(seed), "solve", [[1], [2]], [1, 3]) for seed in seeds]
    verdicts = sandbox.judge_many(jobs)
    wrong = [
        (seed, verdict.status, verdict.attempts, verdict.detail)
        for seed, verdict in zip(seeds, verdicts, strict=True)
        if verdict.status in ("infrastructure", "pass") or verdict.attempts > 1
    ]
    return collections.Counter(verdict.status for verdict in verdicts), wrong


def main():
    """Judge many programs and report those that may not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    counted, wrong = collections.Counter(), []
    with Sandbox(arguments.backend, limits=LIMITS) as sandbox:
        last = arguments.first + arguments.count
        for start in range(arguments.first, last, 200):
            got, bad = outcomes(sandbox, range(start, min(start + 200, last)))
            counted += got
            wrong += bad
            print(start, dict(counted), bad, flush=True)
        print(
            f"{sandbox.backend}: {sum(counted.values())} programs, {dict(counted)}, {len(wrong)} wrong"
        )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
