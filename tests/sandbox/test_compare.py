"""What counts as the same value and as the same output."""

import math

import pytest

from rlenv.sandbox.compare import difference, same_output


@pytest.mark.parametrize(
    "value",
    [
        0,
        True,
        None,
        "a",
        b"a",
        1.5,
        1j,
        [1, [2]],
        (1, 2),
        {1, 2},
        frozenset({1}),
        {1: [2], "a": ()},
    ],
)
def test_a_value_matches_itself(value):
    assert difference(value, value) == ""


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (1, True),
        (True, 1),
        (10, 10.0),
        (1.0, 1),
        ([1], (1,)),
        ({1}, frozenset({1})),
        ({1}, {True}),
        ({1: 2}, {True: 2}),
        ({1: 2}, {1.0: 2}),
        ({1: 2}, {1: 2.0}),
        ([1, 2], [1]),
        ([1, 2], [2, 1]),
        ([[1]], [[True]]),
        ("1", b"1"),
        (None, False),
        (1.0, math.nan),
        (math.inf, 1e308),
        (math.inf, -math.inf),
        (1.0, 1.00001),
        (1 + 1j, 1 + 2j),
        ({1.0}, {1.0 + 1e-12}),
        ({(1, 2)}, {(True, 2)}),
    ],
)
def test_types_and_values_must_match_exactly(expected, got):
    assert difference(expected, got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (1.0, 1.0 + 1e-9),
        (0.0, 1e-10),
        (math.nan, math.nan),
        (0.0, -0.0),
        ([1.0], [1.0000001]),
        ({"a": 1.0}, {"a": 1.0000001}),
        (1 + 1j, 1.0000001 + 1j),
        ({1: 0, 2: 0}, {2: 0, 1: 0}),
    ],
)
def test_floats_have_a_tolerance_and_order_of_keys_does_not_count(expected, got):
    assert difference(expected, got) == ""


def test_the_tolerance_can_be_set():
    assert difference(1.0, 1.1, rel_tol=0.2) == ""
    assert difference(1.0, 1.0 + 1e-12, rel_tol=0.0, abs_tol=0.0)


def test_a_difference_never_tells_the_expected_value():
    for expected, got in ((12345, 1), ("12345", "x"), ([0, 12345], [0, 1]), ({12345: 1}, {1: 1})):
        assert "12345" not in difference(expected, got)


@pytest.mark.parametrize(
    ("got", "same"),
    [
        (b"1 2\n3\n", True),
        (b"1 2  \n3", True),
        (b"1 2\r\n3\r\n\n\n", True),
        (b"1 2\n\n3\n", False),
        (b" 1 2\n3\n", False),
        (b"1  2\n3\n", False),
        (b"1 2\n3\n4\n", False),
        (b"", False),
    ],
)
def test_outputs_match_up_to_white_space_at_line_ends(got, same):
    assert same_output(b"1 2\n3\n", got) is same
