"""The codec keeps exact types and gives hostile bytes nothing to work with."""

# ruff: noqa: SIM105

import inspect
import math
import struct
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv.sandbox.compare import exact_key
from rlenv.sandbox.guest.codec import (
    Allowance,
    Bounds,
    Corrupt,
    NotPlain,
    TooBig,
    TooCostly,
    decode,
    encode,
)

WIDE = Bounds(max_depth=900)

keys = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    keys,
    lambda inner: (
        st.lists(inner)
        | st.lists(st.integers(-(2**63), 2**63 - 1), min_size=8)
        | st.lists(st.floats(), min_size=8)
        | st.tuples(inner)
        | st.sets(keys, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=20,
)


def shape(value):
    """A form in which equality means the same types and values throughout."""
    kind = type(value)
    if kind in (list, tuple):
        return kind.__name__, [shape(v) for v in value]
    if kind in (set, frozenset):
        return kind.__name__, sorted(map(repr, map(shape, value)))
    if kind is dict:
        return "dict", sorted((repr(shape(k)), repr(shape(v))) for k, v in value.items())
    if kind is float:
        return "float", "nan" if math.isnan(value) else value.hex()
    if kind is complex:
        return "complex", shape(value.real), shape(value.imag)
    return kind.__name__, value


@given(values)
@settings(max_examples=300, deadline=None)
def test_round_trip_keeps_every_type(value):
    assert shape(decode(encode(value, Bounds()), Bounds())) == shape(value)


def test_lone_surrogates_survive():
    assert decode(encode("\ud800x", Bounds()), Bounds()) == "\ud800x"


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_bytes_decode_or_are_refused(data):
    try:
        decode(data, Bounds(10_000, 50, 100))
    except (Corrupt, TooBig):
        pass


@given(values, st.data())
@settings(max_examples=200, deadline=None)
def test_cut_and_changed_encodings_are_refused_or_plain(value, data):
    encoded = bytearray(encode(value, Bounds()))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    for changed in (bytes(encoded), bytes(encoded[:at])):
        try:
            decode(changed, Bounds())
        except (Corrupt, TooBig):
            pass


@pytest.mark.parametrize(
    "value", [object(), {1: print}, [range(3)], bytearray(b"x"), (Bounds,), ...]
)
def test_other_types_are_not_plain(value):
    with pytest.raises(NotPlain):
        encode(value, Bounds())


def test_subclasses_are_not_plain():
    class Liar(int):
        pass

    with pytest.raises(NotPlain, match="Liar"):
        encode([Liar(3)], Bounds())


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "bounds", "said"),
    [
        (nested(11), Bounds(1000, 10, 10), "10 deep"),
        (10**10, Bounds(1000, 10, 5), "5 digits"),
        (-(10**40), Bounds(1000, 10, 30), "30 digits"),
        ("x" * 2000, Bounds(1000, 10, 30), "1000 bytes"),
        (list(range(1000)), Bounds(1000, 10, 30), "1000 bytes"),
        ([["x" * 300] * 2] * 2, Bounds(1000, 10, 30), "1000 bytes"),
    ],
)
def test_bounds_hold_on_both_sides(value, bounds, said):
    if said != "5 digits":  # small ints go in eight bytes whatever their digits
        with pytest.raises(TooBig, match=said):
            encode(value, bounds)
        with pytest.raises(TooBig, match=said):
            decode(encode(value, Bounds()), bounds)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"I123",
        b"NN",
        b"l" + struct.pack("<I", 2**32 - 1),
        b"S" + struct.pack("<I", 5) + b"abc",
        b"S" + struct.pack("<I", 1) + b"\xff",
        b"s" + struct.pack("<I", 2) + b"NN",
        b"s" + struct.pack("<I", 1) + b"l" + struct.pack("<I", 0),
        b"d" + struct.pack("<I", 2) + b"TNTN",
        b"q" + struct.pack("<I", 2) + b"12345678",
    ],
)
def test_malformed_encodings_are_refused(data):
    with pytest.raises(Corrupt):
        decode(data, Bounds())


def test_an_allowance_bounds_what_decoding_costs_and_is_shared():
    encoded = encode([{1, 2, 3}, None, {4: 5}], Bounds())
    allowance = Allowance(18, 1000)
    for _ in range(2):  # nine values each; three times 27 bytes and twice 18
        assert decode(encoded, Bounds(), allowance) == [{1, 2, 3}, None, {4: 5}]
    assert (allowance.items, allowance.probes) == (0, 1000 - 2 * (81 + 36))
    with pytest.raises(TooBig, match="more values"):
        decode(b"N", Bounds(), allowance)
    with pytest.raises(TooCostly):
        decode(encoded, Bounds(), Allowance(18, 80))
    assert decode(encode([1.5] * 1000, Bounds()), Bounds(), Allowance(1, 0)) == [1.5] * 1000


def test_neither_direction_recurses():
    value = nested(900)

    def at_the_end_of_the_stack(left):
        if left:
            return at_the_end_of_the_stack(left - 1)
        return decode(encode(value, Bounds(max_depth=900)), Bounds(max_depth=900))

    deep = sys.getrecursionlimit() - len(inspect.stack()) - 40
    assert encode(at_the_end_of_the_stack(deep), Bounds(max_depth=900)) == encode(
        value, Bounds(max_depth=900)
    )


def test_exact_keys_of_nested_members():
    deep = ()
    for level in range(400):
        deep = (level, deep) if level % 2 else frozenset({deep, level})
    assert exact_key(deep) == exact_key(decode(encode(deep, WIDE), WIDE))
    assert exact_key((1, (2,))) != exact_key((1, 2)) != exact_key(((1, 2),))
    assert exact_key(("a", "b")) != exact_key(("ab", ""))
    assert exact_key(frozenset({1, 2})) == exact_key(frozenset({2, 1})) != exact_key((1, 2))
    assert exact_key("x" * 10_000) != exact_key("x" * 10_001)


def test_exact_keys_tell_equal_values_of_other_types_apart():
    assert len({exact_key(v) for v in (1, 1.0, True, 1 + 0j, "1", b"1", (1,), (True,))}) == 8
    assert exact_key(math.nan) == exact_key(-math.nan)
    assert exact_key(0.0) == exact_key(-0.0)
