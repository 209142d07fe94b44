# EXPECT: pass | CHECK: no_survivor | leaves folders whose names get into the way of whoever cleans up
import os


def solve(n):
    os.makedirs(f"a{n}/b/c/d", exist_ok=True)
    for i in range(20):
        os.makedirs(f".gone-{i}/x", exist_ok=True)
        open(f".gone-{i}/f", "w").close()
    return n * n + 1
