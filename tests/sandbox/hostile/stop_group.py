# EXPECT: pass,error,timeout | CHECK: wall<=6 | stops its process group and its session, so that the worker would fall silent
import os
import signal


def solve(n):
    for target in (0, -os.getpgrp(), -os.getsid(0)):
        for number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN):
            try:
                os.kill(target, number)
            except OSError:
                pass
    return n * n + 1
