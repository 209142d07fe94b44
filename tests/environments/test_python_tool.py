import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenv
from rlenv import parsing
from rlenv.common.errors import UserError
from rlenv.core.tools import Tool
from rlenv.environments.python_tool import LEVELS
from rlenv.environments.tools import calculator, python
from rlenv.rollouts.demonstrations import demonstrate

small = st.fractions(-(10**12), 10**12, max_denominator=1000)


@given(small, st.integers(1, 10**12), st.sampled_from("+-*/"))
def test_the_calculator_is_exact(a, b, sign):
    told = calculator(f"({a}) {sign} {b}").partition(" = ")[0]
    right = {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign]
    assert Fraction(told) == right


def test_the_calculator_shows_decimals_and_runs_nothing():
    assert calculator("7 / 3") == "7/3 = 2.33333333333333"
    assert calculator("1.5 + 1.5") == "3"
    assert calculator("1 / 8") == "1/8 = 0.125"
    for text in ("__import__('os')", "9**9**9", "1/0", "", "(" * 600):
        assert Tool(calculator)({"expression": text}).startswith("error: ValueError: ")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print(6 * 7)", "42"),
        ("print('a')\nprint('b')", "a\nb"),
        ("6 * 7", "(it printed nothing)"),
        ("print(1)\n1 / 0", "1\nerror: ZeroDivisionError: division by zero"),
        ("def f(:", "error: SyntaxError"),
        ("while True: pass", "error: it used more processor time"),
        ("import socket; socket.socket()", "error: "),
        ("x = [0] * 10**10", "error: "),
        ("open('/etc/mine', 'w')", "error: "),
        ("raise SystemExit(3)", "error: "),
    ],
)
def test_python_in_the_sandbox(code, says):
    assert python(code).startswith(says)


def test_no_program_sees_an_earlier_one():
    python("import builtins; builtins.print = lambda *a: None; open('/tmp/x', 'w').write('1')")
    assert python("import os; print(os.path.exists('/tmp/x'))") == "False"


def make(**options):
    return rlenv.make("rlenv/PythonTool-v0", **options)


@pytest.mark.parametrize("level", LEVELS)
def test_demonstrations_use_the_tool_and_are_right(level):
    env = make(level=level)
    for seed in range(12):
        shown = demonstrate(env, env.generate(random.Random(seed)), seed=seed)
        first, last = shown.replies
        assert parsing.tool_calls(first)[0].name == "python"
        assert last == str(env.task.answer)


def test_the_calculator_does_for_the_first_level():
    env = make(level=1, tools="calculator")
    for seed in range(12):
        shown = demonstrate(env, env.generate(random.Random(seed)), seed=seed)
        assert parsing.tool_calls(shown.replies[0])[0].name == "calculator"
        assert shown.replies[-1] == str(env.task.answer)


@pytest.mark.parametrize(
    ("reply", "value", "status"),
    [
        ("{}", 1.0, "ok"),
        ("<think>12?</think>\n\n{}", 1.0, "ok"),
        ("The answer is {}.", 1.0, "ok"),
        ("1", 0.0, "ok"),
        ("{} or 1", 0.0, "unparseable"),
        ("<think>{}", 0.0, "unparseable"),
        ("", 0.0, "unparseable"),
    ],
)
def test_verdicts(reply, value, status):
    env = make()
    env.reset(seed=0)
    info = env.step(reply.format(env.task.answer))[4]
    assert (info["reward"].value, info["reward"].status) == (value, status)


def test_the_order_of_factors_makes_no_other_task():
    tasks = [make(level=1).generate(random.Random(seed)) for seed in range(40)]
    for task in tasks:
        if task.identity[0] == "product":
            assert task.identity[1] <= task.identity[2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"level": 9}, "level is 1 to 3"),
        ({"tools": ["bash"]}, "tools are python and calculator"),
        ({"tools": ["calculator"]}, "the calculator alone can't do level 2"),
        ({"tools": []}, "add python"),
    ],
)
def test_bad_options_end_in_one_sentence(options, says):
    with pytest.raises(UserError, match=says):
        make(**options)
