# EXPECT: notpass | CHECK: wall<=5,no_survivor | kills its process group, which must not hold anything but the run
import os


def solve(n):
    os.kill(0, 9)
    os.killpg(os.getpgrp(), 9)
