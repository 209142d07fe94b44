# EXPECT: error,memory,timeout | CHECK: wall<=10 | recurses in C until the stack ends
import sys

sys.setrecursionlimit(10**9)


class Endless:
    def __repr__(self):
        return repr([self])


def solve(n):
    return repr(Endless())
