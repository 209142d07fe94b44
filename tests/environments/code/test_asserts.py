"""Tests become calls and checks; what can't is left over."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv.environments.code import checks
from rlenv.environments.code.asserts import split

TURNED = {
    "assert f(1) == 2": ("f(1)", "value == 2"),
    "assert candidate(1, k='a') == [1, (2,)]": ("f(1, k='a')", "value == [1, (2,)]"),
    "assert 2 == f(1)": ("f(1)", "2 == value"),
    "assert f(1) in (2, 3)": ("f(1)", "value in (2, 3)"),
    "assert 2 in f(1)": ("f(1)", "2 in value"),
    "assert f(1)": ("f(1)", "value"),
    "assert not f(1)": ("f(1)", "not value"),
    "assert f(1) is None": ("f(1)", "value is None"),
    "assert f(1)[0] == 3": ("f(1)", "value[0] == 3"),
    "assert abs(f(1) - 0.3) < 1e-6": ("f(1)", "abs(value - 0.3) < 1e-06"),
    "assert math.isclose(f(1), 0.3, rel_tol=1e-3)": (
        "f(1)",
        "math.isclose(value, 0.3, rel_tol=0.001)",
    ),
    "assert f(1) == pytest.approx(0.3)": ("f(1)", "value == pytest.approx(0.3)"),
    "assert sorted(f('ba')) == ['a', 'b']": ("sorted(f('ba'))", "value == ['a', 'b']"),
    "assert len(set(f(1))) == 3": ("len(set(f(1)))", "value == 3"),
    "assert f(1) == 2 or f(1) == 3": ("f(1)", "value == 2 or value == 3"),
    "assert len(f(1)) == 1 and f(1)[0] == 2": ("f(1)", "len(value) == 1 and value[0] == 2"),
    "assert f(Pair(1, 2)) == 3": ("f(Pair(1, 2))", "value == 3"),
    "assert isinstance(f(1), int)": ("f(1)", "isinstance(value, int)"),
    "assert f(1) == (3 + 5 + 7, 3 * 5 * 7)": ("f(1)", "value == (3 + 5 + 7, 3 * 5 * 7)"),
    "def check(candidate):\n    assert candidate(1) == 2": ("f(1)", "value == 2"),
}
RAISED = {
    "with pytest.raises(ValueError):\n    f(1)": ("ValueError",),
    "with pytest.raises((ValueError, KeyError)):\n    f(1)": ("ValueError", "KeyError"),
    "try:\n    f(1)\n    assert False\nexcept ValueError:\n    pass": ("ValueError",),
    "try:\n    f(1)\nexcept KeyError:\n    pass\nelse:\n    assert False": ("KeyError",),
}
LEFT_OVER = [
    "assert f(1) == f(2)",
    "assert f(1) == g(2)",
    "assert f(1).startswith('a')",
    "assert f(1).__class__ == int",
    "x = 3\nassert f(x) == 4",
    "for x in range(3):\n    assert f(x) == x",
    "assert sorted(f(1), key=len) == []",
    "assert f(1)[1:] == [2]",
    "assert [x for x in f(1)] == []",
    "assert eval('1') == f(1)",
    "assert f(1) == __import__('os').getpid()",
    "assert all(x > 0 for x in f(1))",
    "try:\n    f(1)\nexcept ValueError:\n    pass\nelse:\n    assert f(2)",
    "try:\n    f(1)\n    assert False\nexcept Exception:\n    pass",
]


@pytest.mark.parametrize("test", TURNED)
def test_turned(test):
    parts = split(test, "f")
    assert parts.rest == ""
    (found,) = parts.expectations
    assert (found.call, ast.unparse(found.check)) == TURNED[test]


@pytest.mark.parametrize("test", RAISED)
def test_exceptions_are_turned(test):
    parts = split(test, "f")
    assert parts.rest == ""
    (found,) = parts.expectations
    assert (found.call, found.check, found.raises) == ("f(1)", None, RAISED[test])


@pytest.mark.parametrize("test", LEFT_OVER)
def test_left_over(test):
    parts = split(test, "f")
    assert parts.expectations == ()
    assert ast.dump(ast.parse(parts.rest)) == ast.dump(ast.parse(test))


def test_a_program_is_divided():
    parts = split(
        "def check(candidate):\n    '''Words.'''\n    assert True, 'x'\n    print\n"
        "    assert candidate(1) == 2\n    for i in range(3):\n        assert candidate(i) == i\n",
        "f",
    )
    assert [found.call for found in parts.expectations] == ["f(1)"]
    assert "f(1)" not in parts.rest
    assert "candidate(1)" not in parts.rest
    assert parts.rest.endswith("check(f)")


def test_methods_of_a_class():
    (found,) = split("assert Solution().add(1, 2) == 3", "Solution.add").expectations
    assert (found.call, ast.unparse(found.check)) == ("Solution().add(1, 2)", "value == 3")


literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(literals, literals, st.sampled_from(["==", "!=", "in", "not in", "<", ">="]))
def test_a_check_means_what_python_says(value, other, operator):
    if "inf" in repr(other):
        return
    text = f"value {operator} {other!r}"
    check = ast.parse(text, mode="eval").body
    checks.require_supported(check)
    try:
        expected = bool(eval(text, {"value": value}))
    except TypeError:
        expected = False
    assert checks.holds(check, value) == expected


@pytest.mark.parametrize(
    ("check", "value", "right"),
    [
        ("value == 1", True, True),
        ("value == 1", 1.0, True),
        ("value == (1, 2)", [1, 2], False),
        ("value == {'a': 1}", {"a": 1}, True),
        ("value is True", 1, False),
        ("abs(value - 0.3) < 1e-6", 0.1 + 0.2, True),
        ("value == pytest.approx(0.3)", 0.1 + 0.2, True),
        ("value == pytest.approx(0.3)", "0.3", False),
        ("1 < value < 3", 2, True),
        ("value[0] == 1", [], False),
        ("value['a']['b'] == 1", {"a": {"b": 1}}, True),
        ("round(value, 2) == 0.33", 1 / 3, True),
        ("sum(value) == 6", [1, 2, 3], True),
        ("sum(value) == 6", [[1], [2]], False),
        ("value * 10 ** 9 == 'aaaa'", "a" * 1000, False),
        ("value ** 10000000 > 1", 7, False),
        ("2 ** value > 1", 10**9, False),
        ("value % (1, 2) == 'a'", "%s %s", False),
        ("int(value) == 5", "5" * 100_000, False),
        ("value == 5 or len(value) == 2", "ab", True),
    ],
)
def test_checks(check, value, right):
    tree = ast.parse(check, mode="eval").body
    checks.require_supported(tree)
    assert checks.holds(tree, value) is right


@pytest.mark.parametrize(
    "check",
    [
        "value.__class__",
        "open('x')",
        "value()",
        "(lambda: 1)()",
        "[x for x in value]",
        "f'{value}'",
        "value << 100",
        "value @ value",
        "print(value)",
        "getattr(value, 'a')",
        "math.factorial(value)",
        "isinstance(value, object)",
        "max(*value)",
        "int(**value)",
        "(y := value)",
        "await value",
    ],
)
def test_what_could_run_code_is_refused(check):
    with pytest.raises(checks.Unsupported):
        checks.require_supported(ast.parse(check, mode="eval").body)
