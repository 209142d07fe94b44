"""The list of checks, what a check returns, and how they are run."""

from __future__ import annotations

import importlib
import logging
import random
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rlenv.common.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from rlenv.conformance.env_under_test import EnvUnderTest

# name -> function, and the checks without which its verdict means nothing
CHECKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "gymnasium": ("protocol:gymnasium_accepts_it", ()),
    "text spaces": ("protocol:spaces_hold_all_text", ()),
    "determinism": ("determinism:same_seed", ()),
    "across processes": ("determinism:across_processes", ("determinism",)),
    "groups": ("determinism:groups", ("determinism",)),
    "own randomness": ("determinism:own_randomness", ("determinism",)),
    "split disjointness": ("splits:disjoint", ()),
    "task identity": ("splits:worlds_are_tasks", ()),
    "held-out tasks": ("splits:enough_held_out", ("split disjointness",)),
    "gold reply": ("replies:gold_earns_the_maximum", ()),
    "worthless replies": ("replies:worthless", ()),
    "reward range": ("replies:in_range", ()),
    "gaming": ("gaming:gaming", ("determinism",)),
    "reset and step": ("isolation:reset_and_step", ("determinism",)),
    "picklable": ("isolation:picklable", ("determinism",)),
    "speed": ("speed:speed", ()),
}


@dataclass(frozen=True)
class CheckSettings:
    """How thorough the checks are.

    Attributes:
        tasks: played by the checks that play episodes.
        draws: tasks drawn to compare the splits.
        seconds: after so many a check that repeats itself stops, and says how far it came.
        processes: started, each with a `PYTHONHASHSEED` of its own.
        seed: decides everything that the checks draw.
    """

    tasks: int = 200
    draws: int = 1_000_000
    seconds: float = 60.0
    processes: int = 2
    seed: int = 0


@dataclass(frozen=True)
class CheckOutcome:
    """What a check found.

    Attributes:
        check: its name.
        status: `ok`, `fail` or `skipped`.
        detail: what was seen, or why it was skipped.
        fix: what to do about a failure.
        seconds: it took.
    """

    check: str
    status: Literal["ok", "fail", "skipped"]
    detail: str = ""
    fix: str = ""
    seconds: float = 0.0


class Failure(Exception):
    """Raised by a check: what is wrong, and what to do about it."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.fix = fix


class Hanging(BaseException):
    """Raised by the watch over a step; no Exception, which an environment might swallow."""


class Skip(Exception):
    """Raised by a check that has nothing to test here; the text says why."""


@dataclass
class Clock:
    """Says when to stop repeating; a few rounds always run, however slow they are."""

    seconds: float
    least: int = 3
    _begun: float = field(default_factory=time.monotonic)

    def within(self, rounds: int) -> bool:
        """Return whether another round should begin after so many."""
        return rounds < self.least or time.monotonic() - self._begun < self.seconds


def run(
    ref: str,
    options: Mapping[str, Any] | None = None,
    settings: CheckSettings | None = None,
    *,
    skip: Collection[str] = (),
    progress: Callable[[str], None] = lambda name: None,
) -> list[CheckOutcome]:
    """Check an environment.

    Args:
        ref: an id, or `path/to/file.py:Name-v0`.
        options: the environment's options.
        settings: how thorough the checks are.
        skip: names of checks to leave out.
        progress: is told the name of each check before it runs.

    Returns:
        One outcome a check, in the order of `CHECKS`.

    Raises:
        UserError: no such environment, option or check.
    """
    from rlenv.conformance.env_under_test import EnvUnderTest

    for name in skip:
        if name not in CHECKS:
            raise UserError(
                f"{name!r} is not a check; there are {', '.join(CHECKS)}."
                f"{did_you_mean(name, CHECKS)}"
            )
    under_test = EnvUnderTest(ref, dict(options or {}), settings or CheckSettings())
    outcomes: dict[str, CheckOutcome] = {}
    begins = ""
    with _quiet():
        try:
            under_test.make().reset(seed=under_test.settings.seed)
        except (Exception, SystemExit) as error:  # noqa: BLE001 the first check reports it
            begins = f"{type(error).__name__}: {error}"
        for number, (name, (function, needs)) in enumerate(CHECKS.items()):
            broken = [n for n in needs if outcomes[n].status == "fail"]
            if name in skip:
                outcomes[name] = CheckOutcome(name, "skipped", "left out by request")
            elif begins and number > 0:
                outcomes[name] = CheckOutcome(name, "skipped", "the environment can't be reset")
            elif broken:
                outcomes[name] = CheckOutcome(name, "skipped", f"needs {broken[0]}, which failed")
            else:
                progress(name)
                outcomes[name] = _carry_out(name, function, under_test)
    return list(outcomes.values())


def _carry_out(name: str, function: str, under_test: EnvUnderTest) -> CheckOutcome:
    module, _, attribute = function.partition(":")
    check = getattr(importlib.import_module(f"rlenv.conformance.{module}"), attribute)
    begun = time.monotonic()
    try:
        outcome = CheckOutcome(name, "ok", check(under_test))
    except Skip as reason:
        outcome = CheckOutcome(name, "skipped", str(reason))
    except Failure as failure:
        outcome = CheckOutcome(name, "fail", str(failure), failure.fix)
    except Hanging as hanging:
        outcome = CheckOutcome(
            name,
            "fail",
            str(hanging),
            "judge in time linear in the reply's length, or refuse long replies; let what can "
            "hang run in a process that can be killed",
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001 it broke where it should not
        outcome = CheckOutcome(
            name,
            "fail",
            f"the environment raised {type(error).__name__}: {error}",
            "make generate, start, reset, step and demonstrate work for every task",
        )
    spent = time.monotonic() - begun
    return CheckOutcome(outcome.check, outcome.status, outcome.detail, outcome.fix, round(spent, 3))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the noise of thousands of deliberate failures, and our own seeding, to ourselves."""
    python, array = random.getstate(), np.random.get_state()
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        random.setstate(python)
        np.random.set_state(array)
