# EXPECT: notpass | CHECK: wall<=20 | memory that no address space shows: memfd, System V, message queues
import ctypes
import os


def solve(n):
    libc, got = ctypes.CDLL(None, use_errno=True), 0
    for i in range(40):
        try:
            fd = os.memfd_create("x")
            os.write(fd, b"x" * (32 << 20))
            got += 32
        except (OSError, AttributeError):
            pass
        if libc.shmget(0, 32 << 20, 0o1600) >= 0:
            got += 32
    return {"mb": got}
