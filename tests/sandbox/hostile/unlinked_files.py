# EXPECT: pass,output_limit | CHECK: wall<=20,canary | fills the disk with files that it has removed but holds open; right only if it was stopped
import os


def solve(n):
    held, megabytes = [], 0
    for i in range(50):
        try:
            fd = os.open(f"f{i}", os.O_CREAT | os.O_RDWR)
            os.unlink(f"f{i}")
            held.append(fd)
            for _ in range(32):
                os.write(fd, b"x" * (1 << 20))
                megabytes += 1
        except OSError:
            pass
    for fd in held:
        os.close(fd)
    return n * n + 1 if megabytes <= 400 else -1
