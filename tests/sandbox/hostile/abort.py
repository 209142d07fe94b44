# EXPECT: error | CHECK: - | calls abort()
import os


def solve(n):
    os.abort()
