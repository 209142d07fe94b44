r"""The checker of mathematical answers on cases that you bring, beside math-verify.

    python benchmarks/math_checker.py CASES.jsonl [MORE.jsonl ...] [--json OUT] [--list]
    python benchmarks/math_checker.py GOLDS.jsonl --mutations 4

Each line of a file of cases has `gold`, `equal`, and either `answer`, a bare answer that is put
into a box, or `reply`, a whole reply (an `answer` of category `boxed` is one too). `category` and
`source` sort the report; cases of category `hostile` only count for the time. Other projects' test
suites and judges' fixtures become such files by a few lines of yours; none come with rlenv.

A false reward is a wrong answer that is accepted, a refusal a right one that is not. They are
reported apart, and by cause: the rule or status that decided. Where math-verify is installed
(pip install "math-verify[antlr4_13_2]") it takes turns with the checker on each case, with its own
limit of five seconds.

With `--mutations N`, each gold answer is changed in one character, N times, and judged against
itself; what is accepted is listed, chains such as `x = A = B` apart, for somebody to read.
"""

from __future__ import annotations

import importlib.util
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness

from rlenv.environments.math import check_answer

PLAIN = 20_000  # checks of plain numbers that are timed
Judge = Callable[[str, str], tuple[bool, str]]
SWAPS = [*"0123456789", *"abcdkmnpqrstxyz", *"+-", *"<>"]


def theirs() -> Judge:
    """Return math-verify's verdict on a reply."""
    from math_verify import parse, verify

    def judge(reply: str, gold: str) -> tuple[bool, str]:
        return bool(verify(parse(f"${gold}$"), parse(reply))), ""

    return judge


def ours(reply: str, gold: str) -> tuple[bool, str]:
    """Return our verdict on a reply, and its cause."""
    reward = check_answer(reply, gold)
    cause = reward.detail.rpartition("decided by: ")[2] if reward.status == "ok" else reward.status
    return reward.value == 1.0, cause


def read(paths: list[Path]) -> Iterator[dict[str, Any]]:
    """Yield the cases of files, each with its whole reply."""
    for path in paths:
        for line in path.read_text().splitlines():
            case = json.loads(line)
            if "reply" not in case and "answer" in case:
                boxed = case.get("category") == "boxed"
                answer = case["answer"]
                case["reply"] = answer if boxed else rf"\boxed{{{answer}}}"
            yield {"category": "", "source": path.stem, **case}


def compare(cases: list[dict[str, Any]], judges: dict[str, Judge], listed: bool) -> dict[str, Any]:
    """Judge all cases with all judges in turn, print the report and return its figures."""
    seconds: dict[str, list[float]] = {name: [] for name in judges}
    wrong: dict[str, Counter[str]] = {name: Counter() for name in judges}
    causes: Counter[tuple[str, str, str]] = Counter()
    for judge in judges.values():
        judge(r"\boxed{\frac{1}{2}x}", "x/2")  # imports and processes are not what is measured
        judge(r"\boxed{\int_0^1 x dx}", "1/2")
    for case in cases:
        for name, judge in judges.items():
            began = time.perf_counter()
            right, cause = judge(case["reply"], case["gold"])
            seconds[name].append(time.perf_counter() - began)
            if case["category"] == "hostile" or right == case["equal"]:
                continue
            kind = "false reward" if right else "refusal"
            wrong[name][kind] += 1
            if name == "rlenv":
                causes[kind, case["category"] or case["source"], cause] += 1
                if listed:
                    print(f"{kind}: {case['gold'][:80]} | {case['reply'][-100:]!r} | {cause}")
    judged = [case for case in cases if case["category"] != "hostile"]
    equal = sum(case["equal"] for case in judged)
    results: dict[str, Any] = {"cases": len(judged), "equal": equal}
    print(f"{len(judged)} cases, {equal} of them equal\n")
    print(f"{'':12} {'false rewards':>14} {'refusals':>9} {'median ms':>10} {'p99 ms':>9}")
    for name, times in seconds.items():
        ordered = sorted(times)
        results[name] = {
            "false_rewards": wrong[name]["false reward"],
            "refusals": wrong[name]["refusal"],
            "median_ms": 1e3 * statistics.median(times),
            "p99_ms": 1e3 * ordered[int(0.99 * (len(ordered) - 1))],
        }
        row = results[name]
        print(
            f"{name:12} {row['false_rewards']:14} {row['refusals']:9} {row['median_ms']:10.3f} "
            f"{row['p99_ms']:9.1f}"
        )
    print("\nrlenv, by cause")
    for (kind, category, cause), count in sorted(causes.items(), key=lambda item: -item[1]):
        print(f"{count:5} {kind:13} {category[:30]:30} {cause[:60]}")
    return results


def mutations(cases: list[dict[str, Any]], count: int, seed: int) -> dict[str, Any]:
    """Change gold answers in one character and print the changed ones that are accepted."""
    rng = random.Random(seed)
    tried, accepted = 0, []
    for gold in dict.fromkeys(case["gold"] for case in cases):
        places = [n for n, character in enumerate(gold) if character in SWAPS]
        for place in rng.sample(places, min(count, len(places))):
            old = gold[place]
            alike = [c for c in SWAPS if c != old and c.isdigit() == old.isdigit()]
            new = rng.choice([c for c in alike if c.isalpha() == old.isalpha()])
            mutated = gold[:place] + new + gold[place + 1 :]
            tried += 1
            if ours(rf"\boxed{{{mutated}}}", gold)[0]:
                accepted.append((gold, mutated))
    chains = [pair for pair in accepted if pair[0].count("=") > 1]
    print(f"{tried} mutations, {len(accepted)} accepted, {len(chains)} of them of chains")
    for gold, mutated in accepted:
        print(f"  {gold} | {mutated}")
    return {"mutations": tried, "accepted": len(accepted), "chains": len(chains)}


def main() -> None:
    """Judge all cases, and print what came of it."""
    parser = harness.parser(__doc__, json=None)
    parser.add_argument("cases", type=Path, nargs="+")
    parser.add_argument("--list", action="store_true", help="print every case that is wrong")
    parser.add_argument("--alone", action="store_true", help="without math-verify")
    parser.add_argument("--mutations", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    arguments = parser.parse_args()
    cases = list(read(arguments.cases))
    if arguments.mutations:
        results = mutations(cases, arguments.mutations, arguments.seed)
    else:
        judges: dict[str, Judge] = {"rlenv": ours}
        if not arguments.alone and importlib.util.find_spec("math_verify"):
            judges["math-verify"] = theirs()
        results = compare(cases, judges, arguments.list)
        if "math-verify" in results:
            ratio = results["math-verify"]["median_ms"] / results["rlenv"]["median_ms"]
            print(f"\nmedian {ratio:.1f} times faster than math-verify")
        began = time.perf_counter()
        for number in range(PLAIN):
            check_answer(rf"So the sum is \boxed{{{number}}}.", "1234")
        results["plain_per_second"] = PLAIN / (time.perf_counter() - began)
        print(f"plain numbers: {results['plain_per_second']:,.0f} checks a second, one core")
    harness.write_json(arguments.json, results)


if __name__ == "__main__":
    main()
