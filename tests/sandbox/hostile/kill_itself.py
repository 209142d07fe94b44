# EXPECT: notpass | CHECK: - | SIGKILLs itself in several ways, to look like a broken machine
import ctypes
import os
import signal


def solve(n):
    libc = ctypes.CDLL(None)
    for attempt in (
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        lambda: signal.pthread_kill(__import__("threading").get_ident(), signal.SIGKILL),
        lambda: libc.prctl(1, signal.SIGKILL),
        lambda: __import__("fcntl").fcntl(0, 10, signal.SIGKILL),
        lambda: libc.syscall(200, os.getpid(), signal.SIGKILL),
        lambda: libc.syscall(129, os.getpid(), signal.SIGKILL, None),
    ):
        try:
            attempt()
        except OSError:
            pass
    return -1
