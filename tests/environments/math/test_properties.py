"""What holds of every answer, not of chosen ones."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv.environments.math import check_answer

LETTERS = st.sampled_from("xyzabn")
INTEGERS = st.integers(-(10**12), 10**12)


def _latex(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(children, children)
    return st.one_of(
        pairs.map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}"),
        pairs.map(lambda p: f"({p[0]})+({p[1]})"),
        pairs.map(lambda p: f"({p[0]})({p[1]})"),
        st.tuples(children, st.integers(2, 4)).map(lambda p: f"({p[0]})^{{{p[1]}}}"),
        children.map(lambda c: rf"\sqrt{{{c}}}"),
        children.map(lambda c: rf"\sin\left({c}\right)"),
        children.map(lambda c: rf"\left|{c}\right|"),
    )


EXPRESSIONS = st.recursive(
    st.one_of(st.integers(1, 99).map(str), LETTERS, st.just(r"\pi")), _latex, max_leaves=6
)
LISTS = st.lists(EXPRESSIONS, min_size=2, max_size=3)
ANSWERS = st.one_of(
    EXPRESSIONS,
    LISTS.map(", ".join),
    LISTS.map(lambda items: "(" + ", ".join(items) + ")"),
    LISTS.map(lambda items: r"\{" + ", ".join(items) + r"\}"),
    EXPRESSIONS.map(lambda e: f"y = {e}"),
    st.integers(0, 999).map(lambda n: rf"{n} \text{{ cm}}"),
    st.integers(0, 999).map(lambda n: rf"{n}\%"),
)
SPELLINGS = [
    (r"\frac", r"\dfrac"),
    (r"\left", ""),
    (r"\right", ""),
    (")(", r") \cdot ("),
    ("+", " + "),
    (r"\text", r"\mbox"),
]


def same(answer: str, gold: str) -> bool:
    return check_answer(rf"\boxed{{{answer}}}", gold).value == 1.0


MANY_LETTERS = st.lists(st.sampled_from("abdghjpqrstuvwxyz"), min_size=1, max_size=4)


@given(MANY_LETTERS, MANY_LETTERS)
def test_sums_of_letters_are_equal_if_their_letters_are(
    first: list[str], second: list[str]
) -> None:
    assert same("+".join(first), "+".join(second)) == (sorted(first) == sorted(second))


@given(ANSWERS)
def test_reflexive(answer: str) -> None:
    assert same(f" {answer}", answer + " ")


@given(ANSWERS, ANSWERS)
def test_symmetric(first: str, second: str) -> None:
    assert same(first, second) == same(second, first)


@given(ANSWERS, st.sampled_from(SPELLINGS))
def test_spelling_and_white_space_do_not_matter(answer: str, spelling: tuple[str, str]) -> None:
    respelled = answer.replace(*spelling).replace(", ", r",\; ").replace("}{", "} {")
    judged = check_answer(rf"\boxed{{{respelled}}}", answer)
    # where an expression has no value (1/0), only the same text is the same
    assert judged.value == 1.0 or not same(f"({answer})", f"{answer}")


@given(INTEGERS, st.integers(1, 10**6))
def test_a_fraction_is_its_value_and_not_its_neighbour(top: int, bottom: int) -> None:
    gold = str(Fraction(top, bottom))
    sign = "-" if top < 0 else ""
    assert same(rf"{sign}\frac{{{abs(top)}}}{{{bottom}}}", gold)
    assert not same(rf"\frac{{{top + 1}}}{{{bottom}}}", gold)


@given(INTEGERS)
def test_grouped_digits(number: int) -> None:
    assert same(f"{number:,}", str(number))
    assert same(rf"\${number:,}.00" if number >= 0 else f"{number}.0", str(number))
    assert not same(f"{number + 1:,}", str(number))


@settings(max_examples=300)
@given(st.text(max_size=80), st.text(min_size=1, max_size=40))
def test_any_text_gets_a_status(reply: str, gold: str) -> None:
    assert check_answer(reply, gold).status in ("ok", "unparseable", "timeout", "grader_error")


MARKUP = [
    *r"\{}()[]^_$%!&,;:.|<>=+-*/ 0123456789xyeinf'",
    *(r"\frac", r"\sqrt", r"\text{", r"\begin{cases}", r"\end{cases}", r"\cup", r"\in", r"\pm"),
    *(r"\int_0^1", "dx"),
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(MARKUP), max_size=30).map("".join))
def test_any_markup_gets_a_status(answer: str) -> None:
    assert check_answer(answer, "5").status in ("ok", "unparseable", "timeout")
    assert check_answer(rf"\boxed{{{answer}}}", "x+1").status in ("ok", "unparseable", "timeout")
