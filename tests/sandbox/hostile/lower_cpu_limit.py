# EXPECT: timeout,notpass | CHECK: wall<=10 | lowers its processor limit so that the kernel kills it early
import resource


def solve(n):
    for pair in ((0, 0), (0, 1), (1, 1)):
        try:
            resource.setrlimit(resource.RLIMIT_CPU, pair)
        except (ValueError, OSError):
            pass
    while True:
        pass
