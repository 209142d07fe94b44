"""How fast is it?"""

from __future__ import annotations

import time

from rlenv.conformance.env_under_test import EnvUnderTest, gold, play
from rlenv.conformance.suite import Failure

ABSURD = 1 / 30  # steps per second; below it no training run would end


def speed(under_test: EnvUnderTest) -> str:
    """Episodes of the expert, reset included; reported, and a failure only where absurd."""
    env = under_test.make()
    play(env, gold, seed=under_test.settings.seed)  # what is loaded once is not counted
    begun = time.perf_counter()
    limit = min(1.0, under_test.settings.seconds)
    steps = episodes = 0
    while (spent := time.perf_counter() - begun) < limit or not episodes:
        steps += len(play(env, gold, seed=under_test.settings.seed + episodes).steps)
        episodes += 1
    spent = time.perf_counter() - begun
    rate = steps / spent
    if rate < ABSURD:
        raise Failure(
            f"{rate:.3f} steps per second",
            "do slow work once in __init__, and give the grader a time limit",
        )
    return f"{rate:,.0f} steps per second, {1e6 * spent / steps:,.0f} microseconds each"
