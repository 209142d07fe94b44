"""Arithmetic expressions: the value against Python's own parser, and what is refused."""

import re
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rlenv import parsing
from rlenv.parsing import expressions

numbers = st.integers(0, 10**6).map(str) | st.decimals(
    0, 999, places=2, allow_nan=False, allow_infinity=False
).map(str)
blanks = st.sampled_from(["", " ", "\t", "\n"])
sums = st.recursive(
    numbers,
    lambda inner: (
        st.tuples(inner, blanks, st.sampled_from("+-*/"), blanks, inner).map("".join)
        | inner.map("({})".format)
        | st.tuples(st.sampled_from("+-"), inner).map("".join)
    ),
    max_leaves=12,
)


def worked_out_by_python(text):
    """Python's own grammar and precedence over exact fractions; the texts are made here."""
    quoted = re.sub(r"[0-9]+(?:\.[0-9]+)?", lambda m: f"F('{m[0]}')", text)
    return eval(f"({quoted})", {"F": Fraction})


@given(sums)
@example("1 / (2 - 2)")
@example("0.00/0")
@example("1 + 3 / -(1 - 1.0)")
def test_the_value_is_that_of_pythons_grammar(text):
    found = parsing.expression(text)
    try:
        value = worked_out_by_python(text)
    except ZeroDivisionError:
        assert (found.value, found.problem) == (None, "division by zero")
        return
    assert (found.value, found.problem) == (value, "")
    assert list(found.numbers) == [Fraction(n) for n in re.findall(r"[0-9.]+", text)]


@given(
    st.text()
    | st.text("0123456789.+-*/() ={}\\^,", max_size=40)
    | st.lists(
        st.sampled_from(["1", "0", "(", ")", "/", "-", r"\frac", "{", "}", r"\times", "e", "="])
    ).map("".join)
)
def test_never_raises_and_gives_a_value_or_a_reason(text):
    found = parsing.expression(text)
    assert (found.value is None) == bool(found.problem)
    assert found.text == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"2 \times \left(3 + 4\right)", 14),
        (r"\frac{1 + 2}{4} \cdot 8 \div 3", 2),
        (r"\dfrac{1}{\tfrac{1}{2}}", 2),
        ("6 × 4 ÷ 8 − 1 · 2", 1),
        ("8 / 2 / 2 - 1 - 1", 0),
        ("2 - -3", 5),
        ("-(3 - 5) * +2", 4),
        ("007", 7),
    ],
)
def test_spellings(text, value):
    assert parsing.expression(text).value == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("(", "incomplete"),
        ("3 +", "incomplete"),
        ("1 2", "unexpected '2'"),
        ("3)", "unexpected ')'"),
        ("()", "unexpected ')'"),
        ("2(3 + 4)", "unexpected '('"),
        ("9**9**9**9", "unexpected '*'"),
        ("9^9", "unexpected '^'"),
        ("10 // 3", "unexpected '/'"),
        ("1e9", "unexpected 'e'"),
        ("1,000", "unexpected ','"),
        ("5!", "unexpected '!'"),
        ("3 = 3", "unexpected '='"),
        ("٣ + 1", "unexpected '٣'"),
        ("½", "unexpected '½'"),
        (r"\sqrt{4}", "unexpected '\\\\sqrt'"),
        (r"\frac{1}", "incomplete"),
        ("__import__('os')", "unexpected '_'"),
        ("1 / (2 - 2)", "division by zero"),
        (r"\frac{1}{0}", "division by zero"),
        ("1 + " * 500 + "1", "too long"),
        ("(" * 100 + "1" + ")" * 100, "too deep"),
        ("-" * 100 + "1", "too deep"),
        ("9" * (expressions.MAX_DIGITS + 1), "too many digits"),
    ],
)
def test_what_is_refused_and_why(text, problem):
    found = parsing.expression(text)
    assert (found.value, found.problem) == (None, problem)


def test_the_largest_expression_stays_small():
    factors = "*".join(["9" * expressions.MAX_DIGITS] * 16)
    value = parsing.expression(factors).value
    assert value == Fraction("9" * expressions.MAX_DIGITS) ** 16
    assert len(str(value)) <= expressions.MAX_LENGTH


def test_deep_expressions_are_read_from_a_deep_stack():
    deepest = "(" * expressions.MAX_DEPTH + "1" + ")" * expressions.MAX_DEPTH

    def at(depth):
        return at(depth - 1) if depth else parsing.expression(deepest).value

    assert at(500) == 1
