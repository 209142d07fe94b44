"""The checker: what it accepts, what it refuses, and that nothing stops it."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from rlenv.environments.math import check_answer, extract, worker

SHARED = Path(__file__).parents[4] / "shared" / "math" / "cases.jsonl"


def verdict(answer: str, gold: str) -> bool:
    reward = check_answer(rf"\boxed{{{answer}}}", gold)
    assert reward.status in ("ok", "unparseable", "timeout")
    return reward.value == 1.0


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/math/cases.jsonl")
def test_cases_from_outside() -> None:
    wrong = []
    cases = [json.loads(line) for line in SHARED.read_text().splitlines()]
    plain = [case for case in cases if case["category"] != "hostile"]
    for case in plain:
        reply = case["answer"]
        if case["category"] != "boxed":
            reply = rf"\boxed{{{reply}}}"
        if (check_answer(reply, case["gold"]).value == 1.0) != case["equal"]:
            wrong.append((case["gold"], case["answer"]))
    assert len(wrong) <= 0.03 * len(plain), wrong


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/math/cases.jsonl")
def test_hostile_cases_end_in_a_stated_status() -> None:
    for line in SHARED.read_text().splitlines():
        case = json.loads(line)
        if case["category"] == "hostile":
            reward = check_answer(rf"\boxed{{{case['answer']}}}", case["gold"])
            right = (reward.value == 1.0) == case["equal"]
            assert right or reward.status in ("unparseable", "timeout"), case["source"]


SAME = [
    (r"2n\pi", r"2k\pi"),
    (r"x = \frac{\pi}{4} + n\pi (n \in \mathbb{Z})", r"\frac{\pi}{4} + k\pi, k \in \mathbb{Z}"),
    (r"\frac{\pi}{4} - k\pi, k \text{ an integer}", r"x = \frac{\pi}{4} + k\pi, k \in \mathbb{Z}"),
    (r"-\frac{3\pi}{4} + m\pi", r"\frac{\pi}{4} + k\pi \text{ for any integer } k"),
    (r"\{2n + 1 \mid n \in \mathbb{Z}\}", r"2k - 1, \text{ where } k \text{ is an integer}"),
    ("x^2 + K", "x^2 + C"),
    (r"y = \ln|x| + c", r"\ln|x| + C"),
    ("C(5,2)", "10"),
    ("C(5,2)", "C(5, 2)"),
    ("P(5, 2)", "20"),
    ("1,234,567", "1234567"),
    (r"1{,}000", "1000"),
    ("1.234,5", "1234.5"),
    (r"3.0\times 10^{8}", "300000000"),
    (r"2\frac{3}{4}", "11/4"),
    ("1010_2", "10"),
    (r"1010 \text{ base } 2", "10"),
    (r"0.\overline{3}", r"\frac13"),
    (r"0.1666\ldots", "1/6"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    (r"\sqrt[3]{-8}", "-2"),
    (r"\log_{10} 1000", "3"),
    (r"\sum_{k=1}^{10} k", "55"),
    (r"\int_0^1 x^2 dx", r"\frac{1}{3}"),
    (r"\ln(x^2)", r"2\ln x"),
    (r"\cos(\pi n)", "(-1)^n"),
    (r"y = \frac{1}{x}", "xy = 1"),
    ("f(t) = 2t", "f(x) = 2x"),
    (r"|x| < 2", "(-2, 2)"),
    (r"x < 1 \text{ or } x > 5", r"(-\infty, 1) \cup (5, \infty)"),
    (r"x > 1 \text{ and } x < 5", "1 < x < 5"),
    (r"\mathbb{R}", r"(-\infty, \infty)"),
    ("]1, 5[", "(1, 5)"),
    (r"x = \pm 2", "2, -2"),
    (r"\langle 1, 0, 2 \rangle", r"\hat{i} + 2\hat{k}"),
    ("[[1, 2], [3, 4]]", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"2\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}2&4\end{pmatrix}"),
    (r"1 \text{ km}", r"1000 \text{ m}"),
    (r"1 \text{ hour } 30 \text{ minutes}", r"90 \text{ min}"),
    (r"180^\circ", r"\pi"),
    ("2:3", "4:6"),
    ("twenty-one", "21"),
    ("Option C", "C"),
    ("no solutions", r"\emptyset"),
    (r"\text{all real numbers}", r"\mathbb{R}"),
    ("FF_{16}", "255"),
    ("0b101", "101_{\\text{two}}"),
    ("XIV", "14"),
    ("0.(3)", r"\frac13"),
    (r"2\operatorname{cis}(60^\circ)", r"1 + i\sqrt{3}"),
    (r"3\mathbf{i} + 4\mathbf{j}", r"\begin{pmatrix}3\\4\end{pmatrix}"),
    (r"(\pm 1, 2)", "(1, 2), (-1, 2)"),
    (r"\frac{n(n+1)}{2}", r"\sum_{k=1}^{n} k"),
    (r"x \equiv 3 \pmod{5}", r"3 \pmod 5"),
    (r"\frac{\pi}{6} + 2\pi k, k \in \mathbb{Z}", r"\frac{\pi}{6} + 2\pi k"),
    (r"\text{(A) and (C)}", "A, C"),
    (r"37^\circ\text{C}", "37"),
    (r"\tan\theta = \frac34", "0.75"),
    ("５", "5"),
    ("1.0000000000e-30", "10^{-30}"),
    ("three and a half", "3.5"),
    ("minus one half", r"-\frac12"),
    ("1st", "first"),
    ("4 or more", r"x \ge 4"),
    ("at most 3", r"(-\infty, 3]"),
    ("approximately 5", "5"),
    ("the answer is 5", "5"),
    ("DNE", "does not exist"),
    ("3 pm", "15:00"),
    ("12:30", "12:30 p.m."),
    ("2 h 30 min", r"150 \text{ minutes}"),
    ("5'6\"", "66 inches"),
    (r"4\,\mathrm{m\,s^{-1}}", "4 m/s"),
    ("100 cm^2", "0.01 m^2"),
    (r"\pi/3 \text{ rad}", r"60^\circ"),
    (r"\$1.2M", "1,200,000 dollars"),
    ("25¢", r"\$0.25"),
    ("{}_5C_2", "10"),
    (r"\max(3)", "3"),
    (r"\gcd(12, 18)", "6"),
    (r"\log(8, 2)", "3"),
    (r"^{10}P_3", "720"),
    (r"\overline{AB}", "AB"),
    (r"\overline{3+4i}", "3 - 4i"),
    ("x^2 + C", "x^2 + c"),
    (r"\log 100", "2"),
    (r"\frac34 = 0.75", "0.75"),
    ("12 remainder 3", r"12 \text{ R } 3"),
    ("all real numbers except 2", r"x \ne 2"),
    ("3 + 4\\mathrm{i}", "3 + 4i"),
]

DIFFERENT = [
    (r"n\pi", r"(n-2)\pi"),  # the angles of a polygon, no family
    (r"2k-1, k\in\mathbb{N}", r"2k+1, k\in\mathbb{N}"),
    ("C(1, 0)", "C(2,0)"),  # points: one binomial, two places
    ("P(2,1)", "P(2,2)"),
    ("a + d", "b + c"),  # at evenly spaced points they would agree
    ("2k + 1", "2n + 1"),  # no word of whole numbers: two quantities
    (r"\frac{\pi}{4} + 2k\pi", r"\frac{\pi}{4} + k\pi, k \in \mathbb{Z}"),
    (r"\frac{\pi}{3} + n\pi", r"-\frac{\pi}{3} + n\pi"),
    ("x^2 + y", "x^2 + C"),
    ("Cx^2", "Kx^2"),
    ("10^{-30}", "2 \\cdot 10^{-30}"),
    ("10^{20}", "10^{20} + 1"),
    ("0.333", r"\frac13"),
    ("3.14", r"\pi"),
    ("0.5000001", "0.5"),
    (r"e^{-200}", "e^{-201}"),
    (r"\sqrt{x^2}", "x"),
    ("x+1", "x"),
    ("y = 2x", "y = 3x"),
    (r"x \le 2", "x < 2"),
    ("x > 2", "x < 2"),
    ("(1, 2)", "(2, 1)"),
    ("[1, 2]", "(1, 2)"),
    (r"\{1, 2, 3\}", r"\{1, 2\}"),
    (r"5 \text{ kg}", r"5 \text{ m}"),
    ("28", "0.28"),
    ("2:3:4", "2:4:3"),
    ("D", "C"),
    ("no", "on"),
    ("5, 6", "5"),
    (r"5 \text{ or } 6", "5"),
    (r"\frac{1}{0}", "0"),
    ("0^{-1}", "0"),
    (r"\infty", r"-\infty"),
    (r"2 + 3i", "2 - 3i"),
    ("12345", "12346"),
    (r"37^\circ\text{C}", r"37^\circ\text{F}"),
    (r"3 \pmod 5", r"3 \pmod 7"),
    ("a + 3z = 0", "0"),
    ("x + y = 5", "4"),
    ("XIV", "15"),
    (r"\sum_{k=1}^{n} k", r"\frac{n(n-1)}{2}"),
    ("third", "3"),
    ("4 or more", "4"),
    ("about 5", "6"),
    ("3 pm", "3:00"),
    ("5 m", "5 cm"),
    ("3x", r"3 \text{ m}"),
    ("x + C", "x"),
    (r"2 + 2 = 5", "5"),
    (r"\log 100", "3"),
    (r"\overline{AB}", r"\overline{CD}"),
    ("3 + 4j", "3 + 4i"),
    (r"\overline{3+4i}", "3 + 4i"),
]


@pytest.mark.parametrize(("answer", "gold"), SAME)
def test_same(answer: str, gold: str) -> None:
    assert verdict(answer, gold)
    assert verdict(gold, answer)


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_different(answer: str, gold: str) -> None:
    assert not verdict(answer, gold)
    assert not verdict(gold, answer)


@pytest.mark.parametrize(
    ("reply", "answer", "rule"),
    [
        (r"\boxed{1} no, \boxed{2}", "2", "last box"),
        (r"\boxed{7} and then \boxed{8", "7", "last box"),
        (r"\boxed{\{1,\frac{2}{3}\}}", r"\{1,\frac{2}{3}\}", "last box"),
        (r"<think>\boxed{3}</think> It is \boxed{4}.", "4", "last box"),
        ("so 17 + 25\n#### 42", "42", "last ####"),
        ("The final answer is **42**.", "42", "stated as the answer"),
        ("Therefore, $x = 5$.", "x = 5", "last formula"),
        ("42", "42", "the whole reply"),
    ],
)
def test_extraction_says_what_and_by_which_rule(reply: str, answer: str, rule: str) -> None:
    assert extract(reply) == (answer, rule)
    assert answer in check_answer(reply, "1").detail
    assert rule in check_answer(reply, "1").detail


@pytest.mark.parametrize("reply", ["", "  ", r"<think>\boxed{5}", r"\boxed{}", "a\nb\nc"])
def test_no_answer_is_unparseable(reply: str) -> None:
    reward = check_answer(reply, "5")
    assert (reward.value, reward.status) == (0.0, "unparseable")


def test_a_gold_answer_that_cannot_be_judged_is_no_verdict_on_the_reply() -> None:
    assert check_answer(r"\boxed{5}", "").status == "grader_error"
    assert check_answer(r"\boxed{5}", "9^{9^{9^{9}}}").status == "grader_error"
    assert check_answer(r"\boxed{5}", "1" * 30_000).status == "grader_error"
    deep = "(" * 70 + "5" + ")" * 70
    assert check_answer(r"\boxed{5}", deep).status == "grader_error"
    assert (
        check_answer(rf"\boxed{{{deep}}}", "21!!!").status == "grader_error"
    )  # both are too large
    assert check_answer(rf"\boxed{{{deep}}}", "6").status == "timeout"  # the answer's own fault


@pytest.mark.parametrize(
    "answer",
    [
        r"1\pm\sqrt{9}\cup[3,\infty)",
        r"\begin{pmatrix}\pm 1\\2\end{pmatrix}",
        r"\sum_{k=1}^{3} \pm k",
        r"(1\pm 2,2]\cup[3,\infty)",
    ],
)
def test_a_plus_minus_that_stands_for_no_two_values_is_refused(answer: str) -> None:
    assert check_answer(rf"\boxed{{{answer}}}", "5").status == "timeout"
    assert check_answer(r"\boxed{5}", answer).status == "grader_error"


@pytest.mark.parametrize("answer", ["sqrt{0,3}", r"\sin(1,2)", r"\max()", r"\ln()", "gcd()"])
def test_a_function_of_too_many_or_no_values_cannot_be_read(answer: str) -> None:
    assert check_answer(rf"\boxed{{{answer}}}", "5").status == "unparseable"


def test_a_unit_inside_an_equation_equals_nothing_as_in_an_expression() -> None:
    reward = check_answer(r"\boxed{x_2=1p=5,q=rt{\$319}W}", "p=5,q=2qpt{19}")
    assert (reward.value, reward.status) == (0.0, "ok")
    reward = check_answer(r"\boxed{rt{\$319}W}", "2qpt{19}")
    assert (reward.value, reward.status) == (0.0, "ok")


def test_code_in_an_answer_is_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for code in (
        f"__import__('pathlib').Path('{canary}').touch()",
        f"exec(\"open('{canary}', 'w')\")",
        f"lambda: open('{canary}', 'w')",
        f"f(x)=open('{canary}','w')",
    ):
        assert check_answer(rf"\boxed{{{code}}}", "5").value == 0.0
    assert not canary.exists()


def with_decide(body: str) -> str:
    """Return a worker's program in which deciding does something else."""
    replaced = (
        f"import time\nimport answers.decide\nanswers.decide.decide = lambda a, g, p: {body}\n"
    )
    return worker._CHILD.replace("from answers.decide", replaced + "from answers.decide")


def test_a_hung_check_costs_its_own_limit_and_the_next_is_not_affected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = worker.DecisionPool(1)
    with monkeypatch.context() as patch:
        patch.setattr(worker, "_CHILD", with_decide("time.sleep(60)"))
        began = time.monotonic()
        verdict = pool.decide("x", "y", limit_s=0.3)
        assert verdict.status == "timeout"
        assert time.monotonic() - began < 30
    assert pool.decide("x+x", "2x").right
    pool.close()


def test_a_check_that_takes_the_memory_ends_in_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = worker.DecisionPool(1)
    monkeypatch.setattr(worker, "_CHILD", with_decide("bytearray(1 << 31)"))
    assert pool.decide("x", "y").status == "timeout"
    pool.close()


def test_a_worker_that_dies_is_replaced() -> None:
    pool = worker.DecisionPool(1)
    assert pool.decide("x+x", "2x").right
    pool.idle[0].process.kill()
    pool.idle[0].process.wait()
    assert pool.decide("x+x", "2x").right
    pool.close()


def _right(number: int) -> bool:
    return check_answer(rf"\boxed{{x + {number}}}", f"{number} + x").value == 1.0


def test_from_threads() -> None:
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(_right, range(64)))


def test_from_asyncio() -> None:
    async def many() -> list[bool]:
        direct = _right(1)
        return [direct, *await asyncio.gather(*(asyncio.to_thread(_right, n) for n in range(16)))]

    assert all(asyncio.run(many()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_from_worker_processes(method: str) -> None:
    assert _right(0)  # this process has a worker of its own when it forks
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as processes:
        assert all(processes.map(_right, range(8)))
    assert _right(1)


def test_importing_the_checker_first_leaves_the_registry_whole() -> None:
    program = (
        "from rlenv.environments.math import check_answer\n"
        "import rlenv\n"
        "assert rlenv.make('rlenv/Arithmetic-v0').reset(seed=0)\n"
        "try:\n    rlenv.make('rlenv/Arithmetik-v0')\n"
        "except rlenv.UserError as error:\n    assert 'rlenv/Arithmetic-v0' in str(error), error\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_a_worker_starts_with_neither_torch_nor_sympy_and_loads_sympy_when_it_must() -> None:
    folder = str(Path(worker.__file__).parent)
    program = (
        f"import sys\nsys.path.insert(0, {folder!r})\nfrom answers.decide import decide\n"
        "print([m in sys.modules for m in ('torch', 'sympy', 'numpy', 'rlenv')])\n"
        "decide('x+x', '2x')\nprint('sympy' in sys.modules)\n"
        "print(decide(r'\\lim_{x\\to 0}\\frac{\\sin x}{x}', '1').right, 'sympy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True)
    assert done.stdout.split("\n")[:3] == ["[False, False, False, False]", "False", "True True"]


def test_the_time_that_sympy_takes_to_load_is_no_part_of_a_decision() -> None:
    pool = worker.DecisionPool(1)
    assert pool.decide("x+x", "2x").right
    verdict = pool.decide(r"\frac{d}{dx}x^2", "2x", limit_s=60)
    assert (verdict.right, verdict.status) == (True, "ok")
    pool.close()
