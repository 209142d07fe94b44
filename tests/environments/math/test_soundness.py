"""Functions that differ somewhere are not equal, however well they hide it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv.environments.math import check_answer
from rlenv.environments.math.answers.limits import Budget
from rlenv.environments.math.answers.parser import parse
from rlenv.environments.math.answers.rational import identical


def judged(answer: str, gold: str) -> tuple[bool, str]:
    reward = check_answer(rf"\boxed{{{answer}}}", gold)
    return reward.value == 1.0, reward.detail


FALSE_REWARDS = [
    (r"x_1' + 2", "x_1 + 2"),
    ("P(1+r)^t", "P^t (1+r)^t"),
    ("f(2)", "2f"),
    ("P(2) + P(3)", "5"),
    (r"\Delta q = -x", r"\Delta p = -x"),
    (r"\lfloor n/3\rfloor", r"\lfloor n/4\rfloor"),
    ("|ab|", "ab"),
    ("|x+y|", "|x|+|y|"),
    ("x+y+(x-y)^{100}", "x+y"),
    ("10^{100}x+1", "10^{100}x"),
    (r"n^2+\binom n9", "n^2"),
    (r"\binom{n}{500}", "0"),
    (r"\prod_{k=0}^{20}(n-k)+n", "n"),
    ("2.3e^{-0.0138620t}", "2.3e^{-0.0138629t}"),
    ("1.00001x", "x"),
    ("ax=ay", "x=y"),
    ("xy=x", "y=1"),
    ("x^2=4", "x=2"),
    ("522 in^3", "522 in^2"),
    (r"522\text{ in^3}", r"522\text{ in^2}"),
    (r"\{1,2\},\{3\}", r"\{1\},\{2,3\}"),
    (r"\{1\},\{2\}", r"\{1\},\{3\}"),
    (r"\pi+10^{-200}", r"\pi"),
    (r"\sin(x)+10^{-80}", r"\sin(x)"),
    ("e^{-x^2}", "0"),
    (r"\max(0,x-10^6)", "0"),
    (r"\lfloor x+10^{-30}\rfloor", r"\lfloor x\rfloor"),
    (r"|x-10^{12}|", "10^{12}-x"),
    (r"\sqrt{x^2}", "x"),
    (r"\sqrt{(x-10^6)^2}", "10^6-x"),
    (r"\sqrt{x^2-2000000x+10^{12}}", "10^6-x"),
    (r"\ln(e^x)+e^{e^{-60-x^2}}", "x+1"),
    ("f(x+2)+3f(x)", "3f(x+1)+f(x-1)"),
    ("x^2>4", "x>2"),
    (r"x^2\ge4", "x^2>4"),
    ("(x-1)(x-2)(x-5)x+x>0", "x>0"),
    ("x>2", "y>2"),
    (r"\frac{x}{y}>1", "x>y"),
    ("(0,1+10^{-40})", "(0,1)"),
    ("x<1+10^{-40}", "x<1"),
    (r"\int 2x dx", "x^2+1"),
    ("x^2+C", "x^3+C"),
    (r"\tan^{-1}x", r"\frac{1}{\tan x}"),
    (r"\sqrt{x}\sqrt{y}", r"-\sqrt{xy}"),
    (r"2\infty", r"3\infty"),
    (r"3 \approx 4", "3"),
    (r"\frac13 \approx 0.5", r"\frac13"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^T", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\sum_{n=1}^\infty \frac{1}{n^2}", "1.644"),
]


@pytest.mark.parametrize(("answer", "gold"), FALSE_REWARDS)
def test_what_only_looks_equal_is_refused(answer: str, gold: str) -> None:
    for one, other in ((answer, gold), (gold, answer)):
        right, detail = judged(one, other)
        assert not right, detail


def test_a_chain_of_values_that_differ_states_none_of_them() -> None:
    assert not judged("x = 3 = 4", "4")[0]
    assert judged("x = 1 + 3 = 4", "4")[0]
    assert judged("AB = CD = 4", "4")[0]


MENDED = [
    ("x^2>4", r"x<-2 \text{ or } x>2"),
    (r"x^2-3x+2\le0", "[1,2]"),
    (r"|x-3|<5", "(-2,8)"),
    (r"x>1 \text{ and } (x<3 \text{ or } x>5)", r"(1,3)\cup(5,\infty)"),
    (r"1<x<3 \text{ and } x>2", "(2,3)"),
    (r"[0,2]\cap[1,3]", "[1,2]"),
    ("a>b>c", "c<b<a"),
    (r"\frac{x^2}{a}+\frac{y}{a}=1", "x^2+y=a"),
    (r"\sin^2x+C", r"-\cos^2x+C"),
    (r"\int 2x dx", "x^2+C"),
    (r"\frac{d}{dx}x^3", "3x^2"),
    (r"\frac{d^2}{dx^2} x^4", "12x^2"),
    (r"\frac{\partial}{\partial x}(x^2y)", "2xy"),
    (r"\int_0^1\int_0^1 xy\,dx\,dy", r"\frac14"),
    (r"\int_0^\infty e^{-x}dx", "1"),
    (r"\sum_{n=1}^\infty \frac{1}{n^2}", r"\frac{\pi^2}{6}"),
    (r"\lim_{x\to 0^+} \frac1x", r"\infty"),
    (r"\lim_{x\to0}\frac{\sin x}{x}", "1"),
    (
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^{-1}",
        r"\begin{pmatrix}-2&1\\3/2&-1/2\end{pmatrix}",
    ),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^T", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    (r"\left[\begin{array}{cc}1&2\\3&4\end{array}\right]", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\frac{1}{3}\approx 0.333", r"\frac13"),
    (r"\sqrt2", r"\sqrt2\approx1.41"),
    (r"\frac{1}{3} \approx 0.33", r"\frac13 \approx 0.333"),
    (r"\sin^2x+\cos^2x-1", "0"),
    ("(0,1)", r"(\sin^2x+\cos^2x-1,1)"),
    (
        r"\begin{pmatrix}0&\sin^2x+\cos^2x-1\\1&2\end{pmatrix}",
        r"\begin{pmatrix}0&0\\1&2\end{pmatrix}",
    ),
    (r"\begin{aligned} x &= 1+2 \\ &= 3\end{aligned}", "3"),
    ("x^2+2x+1 = (x+1)^2", "(x+1)^2"),
    (r"11,\! 111", "11111"),
    (r"\color{red}{5}", "5"),
    (r"x=5 \tag{1}", "5"),
    ("v^2_0", "v_0^2"),
    (r"\omega^{\prime}", r"\omega'"),
    (r"\omega_{L}^{\prime} c", r"c \omega_L'"),
    (r"2 + x_1''", r"x''_1 + 2"),
    (r"\Delta p \approx -x", "-x"),
    ("P(1+r)^t", "(1+r)^t P"),
    (r"A = P(1 + \frac{r}{12})^{12t}", r"A = (1 + r/12)^{12t} P"),
    (r"\Delta p = -x", r"\Delta p = -x"),
    (r"\\frac{1}{2}", "0.5"),
]


@pytest.mark.parametrize(("answer", "gold"), MENDED)
def test_what_is_equal_is_accepted(answer: str, gold: str) -> None:
    for one, other in ((answer, gold), (gold, answer)):
        right, detail = judged(one, other)
        assert right, detail


@pytest.mark.parametrize(
    ("answer", "gold", "says"),
    [
        ("(x+1)^2", "x^2+2x+1", "proved"),
        ("(x+1)^2", "x^2+2x+2", "refuted"),
        (r"\sin 2x", r"2\sin x\cos x", "agreed at 12 points"),
        (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5+2\sqrt6}", "agreed to 80 digits"),
        (r"\frac{1}{\sqrt2}", r"\frac{\sqrt2}{2}", "proved"),
        (r"|x+y|", r"|x|+|y|", "refuted"),
    ],
)
def test_the_detail_says_how_sure_it_is(answer: str, gold: str, says: str) -> None:
    assert says in judged(answer, gold)[1]


# Random trees, and what becomes of them

POLYNOMIALS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 3)),
    st.integers(-99, 99).filter(bool),
    min_size=1,
    max_size=5,
)


def written(polynomial: dict[tuple[int, int], int]) -> str:
    return "+".join(f"({c})x^{{{m}}}y^{{{n}}}" for (m, n), c in polynomial.items())


@settings(max_examples=60)
@given(POLYNOMIALS, POLYNOMIALS)
def test_a_product_is_what_it_multiplies_out_to_and_nothing_near_it(
    first: dict[tuple[int, int], int], second: dict[tuple[int, int], int]
) -> None:
    product: dict[tuple[int, int], int] = {}
    for (a, b), c in first.items():
        for (d, e), f in second.items():
            product[a + d, b + e] = product.get((a + d, b + e), 0) + c * f
    product = {m: c for m, c in product.items() if c} or {(0, 0): 0}
    factors = f"({written(first)})({written(second)})"
    assert judged(factors, written(product))[0]
    for monomial in list(product)[:2]:
        changed = {**product, monomial: product[monomial] + 1}
        right, detail = judged(factors, written(changed))
        assert not right, detail
        assert "refuted" in detail


WRAPPED = [
    r"\sin({})",
    r"e^{{{}}}",
    r"\sqrt{{({})^2+1}}",
    r"\left|{}\right|",
    r"\frac{{1}}{{({})^2+3}}",
    r"\ln(({})^2+2)",
]


@settings(max_examples=80)
@given(st.lists(st.sampled_from(WRAPPED), min_size=1, max_size=2), POLYNOMIALS, st.data())
def test_one_changed_coefficient_or_sign_is_refuted_inside_of_any_function(
    wraps: list[str], polynomial: dict[tuple[int, int], int], data: st.DataObject
) -> None:
    def wrapped(inner: dict[tuple[int, int], int]) -> str:
        text = written(inner)
        for wrap in wraps:
            text = wrap.format(text)
        return text + "+x"

    monomial = data.draw(st.sampled_from(sorted(polynomial)))
    changed = {**polynomial, monomial: polynomial[monomial] + data.draw(st.sampled_from([1, -1]))}
    shuffled = dict(data.draw(st.permutations(list(polynomial.items()))))
    assert judged(wrapped(polynomial), wrapped(shuffled))[0]
    negated = {m: -c for m, c in polynomial.items()} == changed
    even = any("^2" in wrap or "|" in wrap for wrap in wraps)
    if not (negated and even):
        right, detail = judged(wrapped(polynomial), wrapped(changed))
        assert not right, detail


@settings(max_examples=40)
@given(st.integers(2, 60), st.integers(2, 60), st.integers(0, 40))
def test_floors_of_two_quotients_are_equal_if_the_quotients_are(a: int, b: int, c: int) -> None:
    right, detail = judged(
        rf"\lfloor\frac{{n+{c}}}{{{a}}}\rfloor", rf"\lfloor\frac{{n+{c}}}{{{b}}}\rfloor"
    )
    assert right == (a == b), detail


@settings(max_examples=40)
@given(st.integers(-(10**40), 10**40), st.integers(1, 60), st.integers(0, 60))
def test_what_stands_beside_a_large_coefficient_counts(a: int, power: int, digits: int) -> None:
    big = 10**digits
    assert not judged(rf"{big}\sin(x)+x^{{{power}}}+{a}", rf"{big}\sin(x)+x^{{{power}}}+{a + 1}")[0]


@given(st.integers(-500, 500), st.integers(1, 500), st.integers(2, 60), st.integers(2, 60))
def test_roots_of_fractions_are_proved_equal(a: int, b: int, c: int, d: int) -> None:
    one, other = (
        rf"\frac{{{a}}}{{{b}\sqrt{{{c * d * d}}}}}",
        rf"\frac{{{a}\sqrt{{{c}}}}}{{{b * c * d}}}",
    )
    trees = parse(one), parse(other)
    right, detail = judged(one, other)
    assert right, detail
    moved = rf"\frac{{{a + 1}\sqrt{{{c}}}}}{{{b * c * d}}}"
    assert not judged(one, moved)[0]
    assert identical(trees[0], trees[0], Budget()) is not False
    assert identical(parse(rf"\sqrt{{{c * d * d}}}"), parse(rf"{d}\sqrt{{{c}}}"), Budget())


def test_points_are_drawn_anew() -> None:
    from rlenv.environments.math.answers.points import PointSource

    trees = (parse("x"), parse("y"))
    drawn = [next(PointSource(Budget()).real(trees, ["x", "y"])) for _ in range(20)]
    assert len({tuple(sorted(point.items())) for point in drawn}) == 20
    many = [
        p for _, p in zip(range(60), PointSource(Budget()).real(trees, ["x", "y"]), strict=False)
    ]
    assert any(p["x"] < 0 < p["y"] for p in many)
    assert any(p["y"] < 0 < p["x"] for p in many)
    assert any(abs(p["x"]) < Fraction(1, 2) for p in many)
    assert any(abs(p["x"]) > 100 for p in many)
