"""When a run is over a limit: looks at it, as the warm parent takes them."""

from hypothesis import given
from hypothesis import strategies as st

from sandbox.guest.watch import Account

CPU, WALL = 1.0, 4.0


def looks(share, sleeps, seconds=1000.0, stretch=0.0):
    """What becomes of a run that computes, or sleeps when it could, with a share of a core.

    Args:
        share: How much of a core the machine has for it.
        sleeps: How much of the time that it is free to run it spends asleep.
        seconds: How long to look.
        stretch: It gets its share in one turn every so many seconds.
    """
    account = Account(CPU, WALL)
    count = int(seconds / 0.05)
    for i in range(1, count + 1):
        elapsed = i * 0.05
        turned = elapsed if not stretch else elapsed // stretch * stretch
        # Of the time up to its last turn it waited `waited`, and used the rest in its own way.
        free = turned * share / (share + sleeps - share * sleeps) if share < 1 else turned
        used = free * (1 - sleeps)
        ready = share < 1 and turned < elapsed or sleeps == 0
        if why := account.overdue(elapsed, used, turned - free, ready):
            return why, elapsed
    return b"", seconds


def test_processor_time_is_what_a_computing_run_is_judged_by():
    assert looks(share=1.0, sleeps=0.0)[0] == b"cpu"
    why, elapsed = looks(share=0.05, sleeps=0.0)
    assert why == b"cpu"
    assert elapsed > 2 * WALL
