"""Coverage-guided fuzzing of the reader and comparer of mathematical answers.

Looks for inputs that raise, that take three seconds of processor time or a gibibyte, or that
are not equal to themselves. Needs `pip install atheris` (Python 3.11 to 3.13, Linux).

    python benchmarks/fuzz_answers.py CORPUS_FOLDER -max_total_time=3600

CORPUS_FOLDER keeps what was found interesting, so a later run goes on from there. Seeds are
written into it first: the notations that the parser knows.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent / "rlenv" / "environments" / "math"))
with atheris.instrument_imports(include=["answers"]):
    from answers.decide import decide

SEEDS = r"""
1,234.5
-3\frac{1}{2}
\frac13
2^{10}!
\sqrt[3]{x+1}
(1,2]\cup[3,\infty)
\{x\mid |x|<2\}
x^2+y^2=1
-5<2x+1\le 3
\begin{pmatrix}1&2\\3&4\end{pmatrix}
\begin{cases}1&x>0\\0&\text{otherwise}\end{cases}
5\text{ km/h}
\$3 \text{ million}
28\%
90^\circ
1 \text{ hour } 30 \text{ minutes}
\sum_{k=1}^{10} k^2
\int_0^1 x^2 dx
\lim_{x\to 0}\frac{\sin x}{x}
\log_2 8+\ln e^{i\pi}
\binom{10}{3}
1\pm\sqrt{19}
p=5,q=2;p=7,q=2
204_5
0.333\ldots
1.2\times10^{-5}
\text{(C)} B. x
twenty-one
2:3:4
\langle 1,2\rangle=\hat{i}+2\hat{j}
f(x)=\lfloor x\rfloor
10:30 a.m.
"""

SECONDS = (
    3.0  # of processor time for the comparisons of one input, so that a busy machine may run it
)
sys.setrecursionlimit(20_000)  # as the worker processes have it
TOKENS = [t for line in SEEDS.split("\n") for t in line.split()]


def one_input(data: bytes) -> None:
    """Judge the two answers in the data; each must be the same as itself."""
    provider = atheris.FuzzedDataProvider(data)
    text = provider.ConsumeUnicodeNoSurrogates(400)
    answer, _, gold = text.partition("|||")
    gold = gold or "5"
    began = time.process_time()
    forward, backward = decide(answer, gold), decide(gold, answer)
    if {forward.status, backward.status} == {"ok"} and forward.right != backward.right:
        raise AssertionError(f"not symmetric: {answer!r} {gold!r} {forward} {backward}")
    own = decide(" " + answer, answer) if answer.strip() else None
    if own is not None and own.status == "ok" and not own.right:
        raise AssertionError(f"not equal to itself: {answer!r} {own}")
    if time.process_time() - began > SECONDS:
        raise AssertionError(f"more than {SECONDS} s: {answer!r} {gold!r}")


def main() -> None:
    """Write the seeds and fuzz until the time is over."""
    arguments = sys.argv[1:]
    folder = next((Path(a) for a in arguments if not a.startswith("-")), None)
    if folder is None:
        sys.exit("usage: python benchmarks/fuzz_answers.py CORPUS_FOLDER [libFuzzer options]")
    folder.mkdir(parents=True, exist_ok=True)
    lines = [line for line in SEEDS.split("\n") if line]
    for number, line in enumerate(lines):
        pair = f"{line}|||{lines[(number * 7 + 3) % len(lines)]}"
        (folder / f"seed-{number}").write_bytes(b"\x01" + pair.encode())
    dictionary = folder.with_suffix(".dict")
    words = sorted({*TOKENS, "|||", *("\\frac{", "\\sqrt{", "^{", "}", "\\text{", "\\left(")})
    escaped = [w.replace("\\", "\\\\").replace('"', '\\"') for w in words]
    dictionary.write_text("".join(f'"{w}"\n' for w in escaped))
    options = [f"-dict={dictionary}", "-timeout=60", "-rss_limit_mb=1024", "-max_len=400"]
    atheris.Setup([sys.argv[0], *options, *arguments], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
