# EXPECT: pass | CHECK: - | correct, but closes its standard streams (legal)
import os

os.closerange(0, 3)


def solve(n):
    return n * n + 1
