"""When a run is over a limit: looks at it, as the warm parent takes them, on any machine."""

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from rlenv.sandbox.guest.watch import Account

TICK, TICKS_A_LOOK = 0.01, 5
CPU, WALL = 1.0, 2.0
COMPUTE, SLEEP = "compute", "sleep"


def play(program, machine):
    """Run a program on a machine until it ends or is over a limit.

    Args:
        program: For each tick that it gets on with, whether it computes or sleeps.
        machine: For each tick, whether there is a core for it.

    Returns:
        Why it was ended, empty if it ended by itself, and after how many seconds.
    """
    account = Account(CPU, WALL)
    program, machine = iter(program), iter(machine)
    wish = next(program)
    used = waited = queued = 0.0
    for tick in itertools.count(1):
        core = next(machine)
        if wish == COMPUTE and core:
            used += TICK
            waited, queued = waited + queued, 0.0  # the kernel tells when the wait is over
        elif wish == COMPUTE:
            queued += TICK
        if tick % TICKS_A_LOOK == 0:
            why = account.overdue(tick * TICK, used, waited, wish == COMPUTE)
            if why:
                return why, tick * TICK
        if wish == SLEEP or core:
            wish = next(program, None)
            if wish is None:
                return b"", tick * TICK


def for_ever(pattern):
    return itertools.cycle(pattern)


# Sometimes a core and sometimes none, for up to two seconds at a time.
machines = st.lists(
    st.tuples(st.integers(4, 100), st.integers(0, 200)), min_size=1, max_size=8
).map(lambda turns: [c for on, off in turns for c in [True] * on + [False] * off])
# Up to 0.9 s, against 1 s of processor time and 2 s in all.
programs = st.lists(st.sampled_from([COMPUTE, SLEEP]), min_size=1, max_size=90)


@given(programs, machines)
def test_a_run_within_its_limits_ends_by_itself_on_any_machine(program, machine):
    assert play(program, for_ever(machine))[0] == b""


@given(machines)
def test_a_run_that_computes_is_judged_by_processor_time_on_any_machine(machine):
    assert play(for_ever([COMPUTE]), for_ever(machine))[0] == b"cpu"


@given(machines)
def test_a_run_that_sleeps_ends_at_its_wall_limit_on_any_machine(machine):
    why, elapsed = play(for_ever([SLEEP]), for_ever(machine))
    assert why == b"wall"
    assert WALL < elapsed < WALL + 0.2


@given(st.integers(1, 9))
def test_a_run_that_mostly_sleeps_ends_soon_after_it(ticks):
    # Even if it is ready whenever somebody looks.
    why, elapsed = play(for_ever([SLEEP] * ticks + [COMPUTE]), for_ever([True]))
    assert why in (b"wall", b"cpu")
    assert elapsed < WALL + 0.5


@given(st.integers(0, 2**32), st.sampled_from([0.01, 0.05, 0.12]))
def test_threads_that_wait_for_one_another_do_not_stretch_the_wall_limit(seed, share):
    # Sixty that wake together for a moment: little time in all, but each waits for those before it.
    rng = random.Random(seed)
    took = []
    for _ in range(20):
        account, elapsed, why = Account(CPU, WALL), 0.0, b""
        while not why:
            elapsed += rng.uniform(0.025, 0.075)
            why = account.overdue(elapsed, share * elapsed, 5 * elapsed, rng.random() < share)
        assert why == b"wall"
        took.append(elapsed)
    assert min(took) > WALL
    # the looks are at random, so that now and then a run is lucky
    assert sorted(took)[-3] < 1.7 * WALL
    assert max(took) < 2 * WALL


def test_a_run_that_can_not_be_judged_is_given_up():
    why, elapsed = play(for_ever([COMPUTE]), for_ever([False]))
    assert why == b"starved"
    assert WALL + 100 * CPU < elapsed < WALL + 100 * CPU + 0.2
    why, _ = play(for_ever([COMPUTE]), for_ever([True] + [False] * 60))
    assert why == b"cpu"
