import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv import parsing


@given(st.integers(-(10**30), 10**30))
def test_a_number_stated_in_any_usual_way(n):
    for reply in (
        f"{n}",
        f" {n}\n",
        f"{n}.",
        f"17 + 25 = {n}",
        f"The answer is {n}.",
        f"Let me see.\nAnswer: {n}",
        f"So #### {n}",
        f"First \\boxed{{1}}, no: \\boxed{{{n}}}",
        f"{n:,}",
    ):
        assert parsing.integer(reply) == n, reply


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   ",
        "forty-two",
        "41 42 43",
        "41 or 42",
        "42 apples",
        "4.5",
        "= ",
        "1,23",
        "\\boxed{4 5}",
        "-",
        "the answer is 41 or 42",
        "1e5",
    ],
)
def test_replies_that_state_no_single_integer(reply):
    assert parsing.integer(reply) is None


@given(st.text())
def test_never_raises(reply):
    result = parsing.integer(reply)
    assert result is None or isinstance(result, int)
    assert parsing.boxed(reply) is None or isinstance(parsing.boxed(reply), str)


def test_a_number_of_a_million_digits_is_refused_at_once():
    assert parsing.integer("9" * 1_000_000) is None


@pytest.mark.parametrize(
    ("reply", "content"),
    [
        (r"\boxed{1}", "1"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{1} then \boxed{2", "1"),
        (r"\boxed{a \boxed{b}}", "b"),
        (r"\boxed{", None),
        ("no box", None),
    ],
)
def test_the_last_box_that_closes(reply, content):
    assert parsing.boxed(reply) == content
