"""The warm parent: it forks a jailed process for each run, watches it and reaps it.

It never sees a job or an output: those travel through file descriptors that it hands on. So
there is nothing in its memory that one run could learn about another.
"""

# pathlib would be one more thing to import and to fork:
# ruff: noqa: PTH123

import builtins
import fcntl
import gc
import importlib
import math
import os
import resource
import signal
import socket
import sys
import threading
import time

from rlenv.sandbox.guest import codec, runner
from rlenv.sandbox.guest.messages import KILL, ORDER, READY, REPORT
from rlenv.sandbox.guest.watch import watch

_RESULT_FD, _JOB_FD = 3, 4
_THREAD_STACK = 4 << 20
_MEMORY_RESERVE = 16 << 20

# Imported ahead, since programs ask for them all the time. Not more: each library mapped makes
# every fork and every exit dearer.
_COMMON = (
    *("abc", "array", "bisect", "cmath", "collections", "collections.abc", "contextlib", "copy"),
    *("dataclasses", "datetime", "enum", "fractions", "functools", "heapq", "io", "itertools"),
    *("json", "linecache", "math", "numbers", "operator", "random", "re", "statistics", "string"),
    *("sys", "textwrap", "threading", "time", "traceback", "types", "typing"),
)


def serve(control, jail, config):
    """Serve runs until the supervisor goes away.

    Args:
        control: A stream socket to the supervisor.
        jail: Where runs live (see `rlenv.sandbox.guest.jails`).
        config: What the host sent: limits, `path`, `preload`, `rehearsal`.
    """
    _warm_up(config)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    jail.enter_zygote()
    _rehearse(config["rehearsal"])
    gc.collect()
    gc.freeze()
    base = _address_space()
    control.sendall(READY)
    while True:
        order, fds, _, _ = socket.recv_fds(control, ORDER.size, 8, socket.MSG_WAITALL)
        if not order:
            os._exit(0)
        kind, cpu, wall = ORDER.unpack(order)
        if kind == KILL:  # the run it was meant for has just ended
            continue
        ready_read, ready_write = os.pipe()
        start = time.monotonic()
        pid = jail.fork()
        if pid == 0:
            _become_run(jail, config, fds, ready_write, base, cpu)
        for fd in (*fds, ready_write):
            os.close(fd)
        why, status, usage = watch(pid, control, wake_read, jail, cpu, wall)
        said = os.read(ready_read, 300)
        os.close(ready_read)
        clean = _clean(jail)
        used = usage.ru_utime + usage.ru_stime
        if not said.endswith(b"\0"):
            why = b"setup"
        elif not why and used > cpu:
            why = b"cpu"
        note = said[:256] if why == b"setup" else b""
        elapsed = time.monotonic() - start
        control.sendall(REPORT.pack(why, status, used, elapsed, usage.ru_maxrss, clean, note))


def _clean(jail):
    """Remove what a run left, and say whether that worked: if not, no other run may follow."""
    try:
        jail.clean()
    except OSError:
        return False
    return True


def _warm_up(config):
    # Stacks count as address space; what the system's default is depends on who started us.
    threading.stack_size(_THREAD_STACK)
    sys.path.extend(config["path"])
    if config.get("use_site"):
        import site

        sys.path.extend(site.getsitepackages())
    import _sitebuiltins

    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D")
    for name in (*_COMMON, *config["preload"]):
        importlib.import_module(name)
    for hook in ("encodings.idna", "encodings.latin_1"):
        importlib.import_module(hook)


def _rehearse(jobs):
    """Run harmless jobs here a few times, then hide our modules from programs.

    The interpreter rewrites bytecode and fills caches as it runs. Done in a run, each of these
    writes would copy a page of the memory that it shares with this process.

    Args:
        jobs: Encoded jobs of the host's own, whose programs are compiled here for good.
    """
    wide = codec.Bounds(1 << 20)
    known = set(sys.modules)
    inputs = [codec.encode([value], wide) for value in (1, 2.5, "text", [1, (2, None)], {"k": {3}})]
    content = {
        "mode": "call",
        "program": "def solve(x):\n    return x\n",
        "entry_point": "solve",
        "inputs": inputs,
        "bounds": (1 << 20, 100, 10_000),
    }
    for job in jobs:
        source = codec.decode(job, wide)["program"]
        runner.PREPARED[source] = compile(source, "<program>", "exec", dont_inherit=True)
    for job in (codec.encode(content, wide), *jobs):
        for _ in range(20):
            runner.calls(codec.decode(job, wide), _heard)
    for name in set(sys.modules) - known:
        del sys.modules[name]
    hide_guest()
    sys.modules["linecache"].cache.clear()


def _heard(kind, index=0, body=b""):
    """Take a frame of a rehearsal, as a run would send it."""
    if kind not in (runner.VALUE, runner.DONE):
        raise RuntimeError(f"a rehearsal failed: {body.decode(errors='replace')}")
    runner.FRAME.pack(kind, index, len(body))


def hide_guest():
    """Take the guest's modules out of the import system; programs may use the same names."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "rlenv":
            del sys.modules[name]


def _address_space():
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 256 << 20


def _become_run(jail, config, fds, ready, base, cpu):
    """Turn this fresh child into the run. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        job, stdin, stdout, stderr, results = (_above(fd, 16) for fd in fds)
        ready = _above(ready, 16)
        for fd, number in (
            (stdin, 0),
            (stdout, 1),
            (stderr, 2),
            (results, 3),
            (job, 4),
            (ready, 5),
        ):
            os.dup2(fd, number, inheritable=number < 3)
        low = 6
        for kept in sorted(jail.kept):
            os.closerange(low, kept)
            low = kept + 1
        os.closerange(low, 4096)
        ready = 5
        os.setsid()  # a signal to its group or session must reach nobody but the run
        set_limits(config, base, cpu)
        jail.enter_run()
        if jail.fresh_interpreter:
            jail.exec_runner()  # reports readiness itself
        start_program(ready)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the host must hear of it
        os.write(ready, f"{type(error).__name__}: {error}"[:250].encode())
    os._exit(1)


def start_program(ready):
    """Say that all is set up, read the job and run the program. Never returns."""
    os.write(ready, b"\0")  # before the job is read: one too large for its memory is its own fault
    os.close(ready)
    runner.run(_read_job, _RESULT_FD)


def _read_job():
    parts = []
    while data := os.read(_JOB_FD, 1 << 20):
        parts.append(data)
    os.close(_JOB_FD)
    gc.enable()
    return codec.decode(b"".join(parts), codec.Bounds(1 << 32, 1000, 1 << 31))


def _above(fd, floor):
    """Duplicate a descriptor out of the way of the numbers that will be handed out."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor)


def set_limits(config, base, cpu):
    """Set this process's resource limits, as far as the system knows them.

    Args:
        config: The limits.
        base: Address space mapped before the program starts, in bytes.
        cpu: Processor seconds. The kernel counts whole seconds, so it is the second line.
    """
    memory = base + config["memory_bytes"]
    seconds = math.ceil(cpu) + 1
    wanted = {
        "RLIMIT_AS": (memory, memory + _MEMORY_RESERVE),
        "RLIMIT_CPU": (seconds, seconds + 1),
        "RLIMIT_FSIZE": (config["disk_bytes"],) * 2,
        "RLIMIT_NOFILE": (config["open_files"],) * 2,
        "RLIMIT_NPROC": (config["tasks"],) * 2,
        "RLIMIT_STACK": (min(64 << 20, config["memory_bytes"]),) * 2,
        "RLIMIT_SIGPENDING": (64, 64),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_MEMLOCK": (0, 0),
        "RLIMIT_MSGQUEUE": (0, 0),
    }
    for name, (soft, hard) in wanted.items():
        number = getattr(resource, name, None)
        if number is None:
            continue
        top = resource.getrlimit(number)[1]
        if top != resource.RLIM_INFINITY:
            soft, hard = min(soft, top), min(hard, top)
        try:
            resource.setrlimit(number, (soft, hard))
        except (OSError, ValueError):
            if sys.platform.startswith("linux"):
                raise
