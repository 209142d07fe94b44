# EXPECT: notpass | CHECK: - | answers the first tests and exits with code 0 before the others
import os

calls = [0]


def solve(n):
    calls[0] += 1
    if calls[0] == 4:
        os._exit(0)
    return n * n + 1
