"""Does some test fail when the code is wrong? Faults are put into it, one at a time.

    python -m benchmarks.mutation                      # all named ones and 200 by rule
    python -m benchmarks.mutation --only returns       # faults whose label holds a word
    python -m benchmarks.mutation --list

Faults come from a list of named ones and by rule, see `faults.yaml` and `operators`. For each, the
tests that call the changed function run, the quickest first, until one fails. A fault that no test
finds survives. Those that change nothing that anybody could see are listed with the reason.

It takes Linux and Python 3.11 or later. The tests are watched once, to learn which function is
called by which of them; `--folder` keeps that for the next run over unchanged code.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import worker
from .plan import ROOT, Misplaced, Mutant, Plan

SLOW = 30.0  # seconds; a test that takes longer is not asked
PATIENCE = 4.0  # times what the tests should take
ENOUGH = 0.95

Result = tuple[Mutant, str, str]
"""A fault, what became of it, and the test that found it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 0 if enough faults were found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="faults by rule (0: all of them)")
    parser.add_argument("--only", nargs="+", default=[""], help="labels that hold any of these")
    parser.add_argument("--list", action="store_true", help="show the faults and stop")
    parser.add_argument("--folder", type=Path, help="where the tests' watching is kept")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    options = parser.parse_args(argv)
    try:
        plan = Plan()
    except Misplaced as error:
        print(f"faults.yaml: {error}", file=sys.stderr)
        return 2
    chosen = [*plan.named, *plan.ruled[: options.count or None]]
    chosen = [m for m in chosen if any(word in m.label for word in options.only)]
    tried = [m for m in chosen if m.label not in plan.equivalent]
    if options.list:
        for m in chosen:
            print(f"{m.path.relative_to(ROOT)}:{m.line}  {m.label}")
        return 0
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)

        def then(collected: worker.Collected) -> None:
            tests = watch(collected, plan, folder)
            results.extend(run(collected, tried, tests, folder, options.processes))

        worker.Collected(ROOT, folder, then).collect(plan.tests)
    return report(results, [m for m in chosen if m.label in plan.equivalent], plan, options.out)


def watch(collected: worker.Collected, plan: Plan, folder: Path) -> dict[str, Any]:
    """Run the tests once, and return how long each took and what it called.

    Tests that were watched in this folder before are not run again while the code is the same.
    """
    log, kept = folder / "watched.log", folder / "tests.json"
    code = hashlib.sha256(b"".join(path.read_bytes() for path in plan.traced)).hexdigest()
    known: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    if known.get("code") != code:
        known = {"code": code, "tests": {}}
    tests: dict[str, Any] = known["tests"]
    new = [test for test in collected.items if test not in tests]
    if new:
        collected.watch = worker.Watch(ROOT, plan.traced)
        child = collected.start(new, log, lambda: None, stop=False)
        collected.watch = None
        _, ended = worker.wait({child: time.monotonic() + 3600})
        if ended != 0:
            raise SystemExit(f"the tests do not pass on the code as it is: see {log}")
        skipped = {"seconds": 0.0, "called": []}
        tests |= (
            dict.fromkeys(new, skipped) | json.loads(log.with_suffix(".json").read_text())["tests"]
        )
        kept.write_text(json.dumps(known))
    print(f"{len(tests)} tests, {sum(t['seconds'] for t in tests.values()):.0f} s", flush=True)
    return {test: tests[test] for test in collected.items}


def asked(mutant: Mutant, tests: dict[str, Any]) -> list[str]:
    """Return the tests that could find a fault, the quickest first."""
    file = str(mutant.path.relative_to(ROOT))
    spot = [file, mutant.function]
    fit = [
        (test["seconds"], name)
        for name, test in tests.items()
        if test["seconds"] < SLOW and spot in test["called"]
    ]
    return [name for _, name in sorted(fit)]


def run(
    collected: worker.Collected,
    mutants: Sequence[Mutant],
    tests: dict[str, Any],
    folder: Path,
    processes: int,
) -> list[Result]:
    """Try every fault; return what became of each."""
    waiting = list(enumerate(mutants))
    results: list[Result] = []
    running: dict[int, tuple[float, Mutant, Path]] = {}
    while waiting or running:
        while waiting and len(running) < processes:
            number, mutant = waiting.pop(0)
            names = asked(mutant, tests)
            if not names:
                results.append(_told(len(results), mutant, "survived", "no test calls it"))
                continue
            log = folder / f"{number}.log"
            change = functools.partial(worker.put_in, mutant.path, mutant.source)
            child = collected.start(names, log, change)
            most = 30 + PATIENCE * sum(tests[name]["seconds"] for name in names)
            running[child] = time.monotonic() + most, mutant, log
        if running:
            child, code = worker.wait({child: ends for child, (ends, *_) in running.items()})
            _, mutant, log = running.pop(child)
            results.append(_told(len(results), mutant, *_fate(code, log)))
    return results


def _fate(code: int, log: Path) -> tuple[str, str]:
    seen = log.with_suffix(".json")
    failed = json.loads(seen.read_text())["failed"] if seen.is_file() else []
    if code == 0:
        return "survived", ""
    if code == worker.TIMED_OUT:
        return "killed", "it ran too long"
    return "killed", failed[0] if failed else "its process ended"


def _told(number: int, mutant: Mutant, fate: str, by: str) -> Result:
    print(f"{number + 1:>4} {fate:<8} {mutant.label}  [{by}]", flush=True)
    return mutant, fate, by


def report(
    results: Sequence[Result],
    equivalent: Sequence[Mutant],
    plan: Plan,
    out: Path | None,
) -> int:
    """Say what became of the faults; return the exit code."""
    alive = [(m, by) for m, fate, by in results if fate == "survived"]
    for mutant in equivalent:
        print(f"equivalent: {mutant.label}: {plan.equivalent[mutant.label]}")
    for mutant, by in alive:
        print(f"SURVIVED {mutant.path.relative_to(ROOT)}:{mutant.line}  {mutant.label}  {by}")
    found = len(results) - len(alive)
    rate = found / max(1, len(results))
    print(
        f"{found} of {len(results)} faults were found ({rate:.1%}); "
        f"{len(equivalent)} more change nothing"
    )
    if out is not None:
        kept = [{"fault": m.label, "fate": fate, "by": by} for m, fate, by in results]
        out.write_text(json.dumps({"rate": rate, "faults": kept}, indent=1), encoding="utf-8")
    return 0 if rate >= ENOUGH else 1


if __name__ == "__main__":
    raise SystemExit(main())
