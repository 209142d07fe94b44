"""Judging a value against the expected one, on the trusted side."""

from __future__ import annotations

import math
import struct
from typing import Any


def difference(expected: Any, got: Any, *, rel_tol: float = 1e-6, abs_tol: float = 1e-9) -> str:
    """Say where two pieces of plain data differ.

    Types must be the same at every level: a bool is not an int, 10.0 is not 10, a tuple is
    not a list. Two floats match within the tolerances of `math.isclose`; a NaN matches a NaN
    and an infinity only itself. Members of sets and keys of dicts match exactly, floats
    included, and their order does not matter.

    Args:
        expected: The right value.
        got: The value to judge, made of exact plain types.
        rel_tol: Relative tolerance for floats.
        abs_tol: Absolute tolerance for floats.

    Returns:
        One sentence about the first difference, or an empty string if there is none. It tells
        types and positions, never an expected value.
    """
    return _difference(expected, got, rel_tol, abs_tol, "the result")


def _difference(expected: Any, got: Any, rel: float, tol: float, where: str) -> str:
    kind = type(expected)
    if type(got) is not kind:
        return f"{where} is a {type(got).__name__}, expected a {kind.__name__}"
    if kind is float:
        same = _floats_match(expected, got, rel, tol)
    elif kind is complex:
        same = _floats_match(expected.real, got.real, rel, tol) and _floats_match(
            expected.imag, got.imag, rel, tol
        )
    elif kind in (list, tuple):
        if len(expected) != len(got):
            return f"{where} has {len(got)} items, expected {len(expected)}"
        for i, (e, g) in enumerate(zip(expected, got, strict=True)):
            if found := _difference(e, g, rel, tol, _at(where, i)):
                return found
        return ""
    elif kind in (set, frozenset):
        same = {exact_key(e) for e in expected} == {exact_key(g) for g in got}
    elif kind is dict:
        items = {exact_key(k): v for k, v in got.items()}
        if len(items) != len(expected):
            return f"{where} has {len(got)} keys, expected {len(expected)}"
        for k, v in expected.items():
            key = exact_key(k)
            if key not in items:
                return f"{where} lacks a key that was expected"
            if found := _difference(v, items[key], rel, tol, _at(where, "...")):
                return found
        return ""
    else:
        same = bool(expected == got)
    return "" if same else f"{where} is wrong"


def _at(where: str, index: object) -> str:
    if len(where) > 120:  # a deep result must not make a quadratic message
        return where
    return f"{where}[{index}]" if where != "the result" else f"result[{index}]"


def _floats_match(a: float, b: float, rel: float, tol: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return math.isclose(a, b, rel_tol=rel, abs_tol=tol)


def exact_key(value: Any) -> Any:
    """Make a hashable key that differs wherever types or values do.

    Args:
        value: Hashable plain data.

    Returns:
        A key under which 1, 1.0 and True are three different things and every NaN is one.
    """
    kind = type(value)
    if kind is float:
        # The bytes tell NaNs and infinities apart, but zero has two signs and is one key.
        return ("float", "nan" if math.isnan(value) else struct.pack("<d", value + 0.0))
    if kind is complex:
        return ("complex", exact_key(value.real), exact_key(value.imag))
    if kind is tuple:
        return ("tuple", tuple(exact_key(v) for v in value))
    if kind is frozenset:
        return ("frozenset", frozenset(exact_key(v) for v in value))
    return (kind.__name__, value)


def same_output(expected: bytes, got: bytes) -> bool:
    """Tell whether a script printed the expected text.

    White space at the end of each line and line breaks at the end do not count; everything
    else does.

    Args:
        expected: The right output.
        got: What the script printed.
    """
    return _lines(expected) == _lines(got)


def _lines(text: bytes) -> list[bytes]:
    return [line.rstrip() for line in text.rstrip().split(b"\n")]
