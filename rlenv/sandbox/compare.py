"""Judging a value against the expected one, on the trusted side."""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Iterator
from itertools import count
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
    # The containers under way, outermost first: where each is, and its pairs still to be compared.
    # Without recursion neither depth nor the caller's own stack matters.
    under_way: list[_UnderWay] = [("", iter(((None, expected, got),)))]
    while under_way:
        where, pairs = under_way[-1]
        for index, wanted, value in pairs:
            kind = type(wanted)
            if type(value) is not kind:
                name = _at(where, index)
                return f"{name} is a {type(value).__name__}, expected a {kind.__name__}"
            if kind is float:
                same = wanted == value or _floats_match(wanted, value, rel_tol, abs_tol)
            elif kind in _CONTAINERS:
                name = _at(where, index)
                if len(wanted) != len(value):
                    items = "keys" if kind is dict else "items"
                    return f"{name} has {len(value)} {items}, expected {len(wanted)}"
                if kind is list or kind is tuple:
                    inner: _Pairs = zip(count(), wanted, value)
                elif kind is dict:
                    found = {exact_key(k): v for k, v in value.items()}
                    keys = [(exact_key(k), v) for k, v in wanted.items()]
                    if any(key not in found for key, _ in keys):
                        return f"{name} lacks a key that was expected"
                    inner = (("...", v, found[key]) for key, v in keys)
                elif set(map(exact_key, wanted)) != set(map(exact_key, value)):
                    return f"{name} is wrong"
                else:
                    continue
                under_way.append((name, inner))
                break
            elif kind is complex:
                same = _floats_match(wanted.real, value.real, rel_tol, abs_tol) and _floats_match(
                    wanted.imag, value.imag, rel_tol, abs_tol
                )
            else:
                same = wanted == value
            if not same:
                return f"{_at(where, index)} is wrong"
        else:
            under_way.pop()
    return ""


_Pairs = Iterator[tuple[object, Any, Any]]
_UnderWay = tuple[str, _Pairs]
_CONTAINERS = frozenset({list, tuple, set, frozenset, dict})


def _at(where: str, index: object) -> str:
    if not where:
        return "the result"
    if len(where) > 120:  # a deep result must not make a quadratic message
        return where
    return f"{where}[{index}]" if where != "the result" else f"result[{index}]"


def _floats_match(a: float, b: float, rel: float, tol: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return math.isclose(a, b, rel_tol=rel, abs_tol=tol)


# A program chooses what it returns, and the hashes of numbers are known to it. Nobody outside of
# this process can tell which of these keys collide.
_SALT = os.urandom(16)


def exact_key(value: Any) -> bytes:
    """Make a key that differs wherever types or values do.

    Args:
        value: Hashable plain data.

    Returns:
        A key under which 1, 1.0 and True are three different things and every NaN is one. Keys
        of this process can be compared with one another only.
    """
    if type(value) not in _HASHED:
        return _leaf_key(value)
    under_way: list[tuple[type, list[bytes], Iterator[Any]]] = [(type(value), [], iter(value))]
    while True:
        kind, parts, members = under_way[-1]
        for member in members:
            if type(member) in _HASHED:
                under_way.append((type(member), [], iter(member)))
                break
            parts.append(_leaf_key(member))
        else:
            under_way.pop()
            if kind is frozenset:
                parts.sort()
            lengths = b"".join(b"%d " % len(part) for part in parts)
            key = _short(b"%s %s|%s" % (kind.__name__.encode(), lengths, b"".join(parts)))
            if not under_way:
                return key
            under_way[-1][1].append(key)


_HASHED = frozenset({tuple, frozenset})


def _leaf_key(value: Any) -> bytes:
    kind = type(value)
    if kind is int:
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    elif kind is str:
        data = value.encode("utf-8", "surrogatepass")
    elif kind is float:
        data = _float_key(value)
    elif kind is complex:
        data = _float_key(value.real) + b"," + _float_key(value.imag)
    elif kind is bytes:
        data = value
    else:
        data = repr(value).encode()  # None, True, False
    return _short(kind.__name__.encode() + b" " + data)


def _float_key(value: float) -> bytes:
    # The bytes tell infinities apart, but zero has two signs and is one key.
    return b"nan" if math.isnan(value) else struct.pack("<d", value + 0.0)


def _short(data: bytes) -> bytes:
    """Add the salt; of what is long only a digest is kept, so that nesting does not copy it."""
    if len(data) <= 40:
        return _SALT + data
    return hashlib.blake2b(data, key=_SALT, digest_size=32).digest()


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
