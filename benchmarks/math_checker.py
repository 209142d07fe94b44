"""The checker of mathematical answers beside math-verify: verdicts and time on the same cases.

    pip install "math-verify[antlr4_13_2]==0.9.0"
    python benchmarks/math_checker.py CASES.jsonl [--json OUT]

Each line of CASES has `gold`, `answer`, `equal` and `category`; an answer of category `boxed` is a
whole reply, any other is put into a box. The two take turns on each case. math-verify runs with
its own limit of five seconds.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import harness

from rlenv.environments.math import check_answer

PLAIN = 20_000  # checks of plain numbers that are timed


def theirs() -> Callable[[str, str], bool]:
    """Return math-verify's verdict on a reply."""
    from math_verify import parse, verify

    def judge(reply: str, gold: str) -> bool:
        return bool(verify(parse(f"${gold}$"), parse(reply)))

    return judge


def ours(reply: str, gold: str) -> bool:
    """Return our verdict on a reply."""
    return check_answer(reply, gold).value == 1.0


def main() -> None:
    """Judge all cases with both, and print what came of it."""
    parser = harness.parser(__doc__, json=None)
    parser.add_argument("cases", type=Path)
    arguments = parser.parse_args()
    cases = [json.loads(line) for line in arguments.cases.read_text().splitlines()]
    judges = {"rlenv": ours, "math-verify": theirs()}
    seconds: dict[str, list[float]] = {name: [] for name in judges}
    right: dict[str, int] = dict.fromkeys(judges, 0)
    for judge in judges.values():
        judge(r"\boxed{\frac{1}{2}x}", "x/2")  # imports and processes are not what is measured
    judged = [case for case in cases if case["category"] != "hostile"]
    for case in cases:
        reply = case["answer"]
        if case["category"] != "boxed":
            reply = rf"\boxed{{{reply}}}"
        for name, judge in judges.items():
            began = time.perf_counter()
            verdict = judge(reply, case["gold"])
            seconds[name].append(time.perf_counter() - began)
            right[name] += case["category"] != "hostile" and verdict == case["equal"]
    began = time.perf_counter()
    for number in range(PLAIN):
        check_answer(rf"So the sum is \boxed{{{number}}}.", "1234")
    plain = PLAIN / (time.perf_counter() - began)

    results = {}
    print(f"{len(cases)} cases, {len(judged)} of them not hostile\n")
    print(f"{'':12} {'right':>8} {'median ms':>10} {'p99 ms':>10} {'longest ms':>11}")
    for name, times in seconds.items():
        ordered = sorted(times)
        row = {
            "accuracy": right[name] / len(judged),
            "median_ms": 1e3 * statistics.median(times),
            "p99_ms": 1e3 * ordered[int(0.99 * (len(ordered) - 1))],
            "longest_ms": 1e3 * ordered[-1],
        }
        results[name] = row
        print(
            f"{name:12} {row['accuracy']:8.1%} {row['median_ms']:10.3f} {row['p99_ms']:10.2f} "
            f"{row['longest_ms']:11.1f}"
        )
    ratio = results["math-verify"]["median_ms"] / results["rlenv"]["median_ms"]
    print(
        f"\nmedian {ratio:.1f} times faster; plain numbers: {plain:,.0f} checks a second, one core"
    )
    harness.write_json(arguments.json, {**results, "plain_per_second": plain})


if __name__ == "__main__":
    main()
