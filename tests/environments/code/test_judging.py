"""What passes and what does not, by the verdicts of real programs in the sandbox."""

from __future__ import annotations

import re
import threading

import pytest

from rlenv.common.errors import UserError
from rlenv.environments.code import CodeGrader, CodeProblem
from rlenv.environments.code.trusted import TestsBroken
from tests.conftest import SHARED

HOSTILE = SHARED / "sandbox" / "hostile"
SQUARES = CodeProblem(
    "solve",
    examples=("assert solve(3) == 10",),
    tests=("assert solve(0) == 1", "assert solve(12) == 145\nassert solve(7) == 50"),
)
RIGHT = "def solve(n):\n    return n * n + 1"
ALWAYS_EQUAL = """
class X{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __lt__(self, other): return True
    def __abs__(self): return 0
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __sub__
def solve(n): return X({argument})
"""


@pytest.fixture(scope="module")
def grader():
    made = CodeGrader(seconds=0.5, workers=2)
    yield made
    made.close()


def judge(grader, problem, code):
    return grader.submit(problem, problem.program(code)).result()


def test_right_and_wrong(grader):
    right = judge(grader, SQUARES, RIGHT)
    assert right.passed
    assert right.examples == (True,)
    assert right.tests == (True, True, True)
    partly = judge(grader, SQUARES, "def solve(n):\n    return 10 if n == 3 else 1")
    assert partly.examples == (True,)
    assert partly.tests == (True, False, False)
    assert partly.share == 1 / 3
    assert not partly.passed
    assert not partly.feedback  # hidden tests are not spoken of


@pytest.mark.parametrize(
    "code",
    [
        "",
        "pass",
        "def solve(n): pass",
        "def solve(n): return 1",
        "def solve(n): return None",
        "def solve(n): return float('nan')",
        "solve = None",
        "def solve(n): return n * n + 1\ndef solve(n): return solve",
        "def solve(): return 1",
        "def solve(n): return (n * n + 1,)",
        "def solve(n): return str(n * n + 1)",
        "def solve(n): yield n * n + 1",
        *(
            ALWAYS_EQUAL.format(base=base, argument=argument)
            for base, argument in (
                ("", ""),
                ("(int)", "99"),
                ("(str)", "'a'"),
                ("(list)", ""),
                ("(dict)", ""),
                ("(float)", "0.5"),
                ("(tuple)", ""),
            )
        ),
        "def solve(n): return ('value', n * n + 1)",
        "import sys\nsys.modules['program'].serve = lambda *a: ('value', 1)\n"
        "def solve(n): return 1",
        "import builtins\nbuiltins.eval = lambda *a: 10\ndef solve(n): return -1",
        "_as_plain = lambda v: 10\ndef solve(n): return -1",
    ],
)
def test_worthless_programs_never_pass(grader, code):
    assert not judge(grader, SQUARES, code).passed


def test_subclasses_of_plain_data_count_as_what_they_hold(grader):
    problem = CodeProblem("f", tests=("assert f() == {'a': 2}", "assert f() == {'a': 2, 'b': 0}"))
    code = "from collections import Counter\ndef f(): return Counter('aa')"
    assert judge(grader, problem, code).tests == (True, False)


@pytest.mark.skipif(not HOSTILE.is_dir(), reason=f"needs the hostile programs in {HOSTILE}")
def test_hostile_programs():
    grader = CodeGrader(seconds=0.25, workers=2)
    # c10 answers True and 10.0, which to an assert are 1 and 10
    honest = re.compile(r"# EXPECT: \S*\bpass\b|.* 10\.0 where 10 expected")
    for path in sorted(HOSTILE.glob("*.py")):
        source = path.read_text("utf-8")
        if not honest.match(source):
            assert not judge(grader, SQUARES, source).passed, path.name
    assert judge(grader, SQUARES, RIGHT).passed
    grader.close()


def test_limits_hold_for_each_test(grader):
    burn = (
        "import time\ndef solve(n):\n    end = time.process_time() + {}\n"
        "    while time.process_time() < end: pass\n    return n * n + 1"
    )
    # together more than the limit of one, each below it
    assert judge(grader, SQUARES, burn.format(0.2)).passed
    slow = judge(grader, SQUARES, burn.format(5))
    assert slow.stopped == "timeout"
    assert not any(slow.tests)
    assert slow.cpu_seconds < 1.5  # the others were not even tried
    late = judge(grader, SQUARES, f"{burn.format('0 if n != 7 else 9')}")
    assert late.examples == (True,)
    assert late.tests == (True, True, False)
    assert late.stopped == "timeout"
    big = judge(grader, SQUARES, "def solve(n):\n    x = bytearray(1 << 30)\n    return n * n + 1")
    assert big.stopped == "memory"


def test_feedback_is_about_shown_tests_only(grader):
    wrong = judge(grader, SQUARES, "def solve(n): return n")
    assert wrong.feedback == "This test failed:\nassert solve(3) == 10\nsolve(3) returned 3"
    raising = judge(grader, SQUARES, "def solve(n):\n    return n / 0")
    assert "line 2, in solve\n    return n / 0" in raising.feedback
    assert "ZeroDivisionError" in raising.feedback
    assert "serve" not in raising.feedback
    broken = judge(grader, SQUARES, "def solve(n)\n    return n")
    assert not broken.compiled
    assert "SyntaxError" in broken.feedback
    for text in (wrong.feedback, raising.feedback, broken.feedback):
        assert "145" not in text
        assert "12" not in text


def test_exceptions(grader):
    problem = CodeProblem(
        "f", tests=("with pytest.raises(ValueError):\n    f(-1)", "assert f(1) == 1")
    )
    good = "def f(x):\n    if x < 0: raise {}('no')\n    return x"
    assert judge(grader, problem, good.format("ValueError")).passed
    assert judge(grader, problem, good.format("UnicodeError")).passed  # a subclass
    assert judge(grader, problem, good.format("KeyError")).tests == (False, True)
    assert judge(grader, problem, "def f(x): return x").tests == (False, True)


LOOP = """
import random
def check(candidate):
    for _ in range(20):
        text = "".join(random.choice("abc") for _ in range(5))
        assert candidate(shifted(text)) == text
"""
CODEC = CodeProblem(
    "unshift",
    prelude="def shifted(s):\n    return s[1:] + s[:1]\n",
    tests=(LOOP,),
    solution="def unshift(s):\n    return s[-1:] + s[:-1]",
)


def test_the_trusted_checker(grader):
    assert judge(grader, CODEC, CODEC.solution).passed
    assert not judge(grader, CODEC, "def unshift(s):\n    return s").passed
    # a helper of the tests is not the candidate's to change
    forged = "def shifted(s):\n    return s\ndef unshift(s):\n    return s"
    assert not judge(grader, CODEC, forged).passed
    raising = "def unshift(s):\n    raise AssertionError"
    assert not judge(grader, CODEC, raising).passed


def test_the_trusted_checker_never_shares_an_interpreter(grader):
    spy = (
        "import gc, sys\ndef unshift(s):\n"
        "    seen = [k for k in sys.modules if 'test' in k]\n"
        "    return s if not any(type(o) is str and 'assert candidate' in o"
        " for o in gc.get_objects()) and not seen else s[-1:] + s[:-1]"
    )
    assert not judge(grader, CODEC, spy).passed


def test_calls_that_depend_on_answers(grader):
    problem = CodeProblem(
        "step",
        tests=("x = 1\nfor _ in range(4):\n    x = step(x)\nassert x == 16",),
        solution="def step(x):\n    return 2 * x",
    )
    assert judge(grader, problem, problem.solution).passed
    assert not judge(grader, problem, "def step(x):\n    return x + 1").passed
    # a program can't have its failure taken for the tests' by answering so that they go on asking
    counting = CodeProblem(
        "step",
        tests=("x = 3\nwhile x > 0:\n    x = step(x)\nassert x == 0",),
        solution="def step(x):\n    return x - 1",
    )
    assert judge(grader, counting, counting.solution).passed
    assert not judge(grader, counting, "def step(x):\n    return x + 1").passed
    # without a reference the calls are found one by one, up to a limit
    alone = CodeProblem("step", tests=problem.tests)
    assert judge(grader, alone, problem.solution).passed
    endless = CodeProblem("step", tests=("x = 1\nfor _ in range(99):\n    x = step(x)\nassert x",))
    with pytest.raises(TestsBroken):
        judge(grader, endless, "def step(x):\n    return x + 1")


@pytest.mark.parametrize("call", ["os.kill(0, 9)", "os.kill(-1, 9)", "os.kill(0, 19)"])
def test_a_program_that_signals_its_group_is_judged_like_any_other(grader, call):
    code = f"import os\ndef solve(n):\n    try:\n        {call}\n    except OSError:\n        pass"
    assert not judge(grader, SQUARES, code).passed  # no exception, so no reward that is missing


def test_scripts(grader):
    problem = CodeProblem(runs=(("3\n", "9\n"), ("5\n", "25")), example_runs=(("2\n", "4\n"),))
    assert judge(grader, problem, "print(int(input()) ** 2)").passed
    wrong = judge(grader, problem, "print(int(input()) * 2)")
    assert wrong.examples == (True,)
    assert wrong.tests == (False, False)
    assert "your output:\n0" in judge(grader, problem, "print(0)").feedback
    assert not judge(grader, problem, "print(").compiled


def test_the_same_program_is_judged_once(grader):
    calls = []
    original = grader.judge
    grader.judge = lambda *arguments: calls.append(1) or original(*arguments)
    try:
        code = f"{RIGHT}  # judged once"
        threads = [threading.Thread(target=judge, args=(grader, SQUARES, code)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        del grader.judge
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"entry_point": "f"}, "at least one hidden test"),
        ({"tests": ("assert f(1)",)}, "either an entry_point"),
        ({"entry_point": "f(", "tests": ("assert f(1)",)}, "no name of a function"),
    ],
)
def test_bad_problems(arguments, says):
    with pytest.raises(UserError, match=says):
        CodeProblem(**arguments)
