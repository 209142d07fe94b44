"""Plain data as bytes, exact in type and bounded on the way in.

Both sides of the sandbox speak this format. It holds None, bool, int, float, complex, str,
bytes, list, tuple, set, frozenset and dict, each told apart from the others (a bool is not
an int, a tuple is not a list). Decoding builds nothing else, so it can't run code, and it
checks size, depth and integer length before it allocates. Neither direction recurses, so
neither depends on how deep the caller's stack is.

A value is one tag byte and a body; counts and lengths are unsigned 32-bit little-endian.
"""

from __future__ import annotations

import struct
from array import array
from itertools import chain
from typing import Any

_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
_C128 = struct.Struct("<dd")
_MIN64, _MAX64 = -(2**63), 2**63 - 1
_NO_LIMIT = 1 << 62
_TOO_MANY = "the results hold more values than they may"
_PACK_FROM = 8  # lists shorter than this gain nothing from the packed form
_BITS_PER_DIGIT = 3.3219280948873626


class NotPlain(TypeError):
    """The value holds something that is not plain data."""


class TooBig(ValueError):
    """The value is larger, deeper or longer than the bounds allow."""


class TooCostly(TooBig):
    """Building the value may take long, since keys can be chosen so that they collide."""


class Corrupt(ValueError):
    """The bytes are not an encoding made by `encode`."""


class Bounds:
    """What a value may weigh.

    Args:
        max_bytes: Length of the encoding, in bytes.
        max_depth: How many containers may be nested.
        max_digits: Decimal digits of an integer.
        max_items: For encoding, how many members all its containers may have; see `Allowance`
            for what decoding may cost.
    """

    def __init__(
        self,
        max_bytes: int = 8 << 20,
        max_depth: int = 100,
        max_digits: int = 10_000,
        max_items: int = _NO_LIMIT,
    ) -> None:
        self.max_bytes = max_bytes
        self.max_depth = max_depth
        self.max_digits = max_digits
        self.max_items = max_items
        self.max_int_bytes = int(max_digits * _BITS_PER_DIGIT / 8) + 2


class Allowance:
    """What decoding may still cost. Several values can draw on one.

    Args:
        items: How many values may be decoded, members of containers included. A list of small
            whole numbers, or of floats, is decoded as a whole and counts as one.
        probes: For sets and dicts, the sum of their members times their bytes: a bound on what
            it takes to build them if every key collides with every other.
    """

    def __init__(self, items: int, probes: int) -> None:
        self.items = items
        self.probes = probes


def encode(value: Any, bounds: Bounds) -> bytes:
    """Turn plain data into bytes.

    Args:
        value: The value. Subclasses of the plain types do not count as plain.
        bounds: A `Bounds`.

    Returns:
        The encoding.

    Raises:
        NotPlain: Something in it is of another type.
        TooBig: It breaks a bound.
    """
    out = bytearray()
    limit = bounds.max_bytes
    items_left = bounds.max_items
    outer: list[Any] = []  # what is left of the containers around the one under way
    members: Any = iter((value,))
    while True:
        for value in members:
            kind = type(value)
            if kind is int:
                if _MIN64 <= value <= _MAX64:
                    out += b"I"
                    out += _I64.pack(value)
                else:
                    _encode_large(value, out, bounds)
            elif kind is str:
                _require_room(len(value), bounds)
                data = value.encode("utf-8", "surrogatepass")
                out += b"S" + _U32.pack(len(data)) + data
            elif value is None:
                out += b"N"
            elif kind is bool:
                out += b"T" if value else b"F"
            elif kind is float:
                out += b"D" + _F64.pack(value)
            elif kind in _TAG_OF:
                if len(outer) >= bounds.max_depth:
                    raise TooBig(f"the value is nested more than {bounds.max_depth} deep")
                if kind is list and len(value) >= _PACK_FROM and _pack(value, out, bounds):
                    continue
                items_left -= len(value)
                if items_left < 0:
                    raise TooBig(_TOO_MANY)
                out += _TAG_OF[kind]
                out += _U32.pack(len(value))
                _require_room(len(out), bounds)
                outer.append(members)
                members = chain.from_iterable(value.items()) if kind is dict else iter(value)
                break
            elif kind is bytes:
                _require_room(len(value), bounds)
                out += b"B" + _U32.pack(len(value)) + value
            elif kind is complex:
                out += b"C" + _C128.pack(value.real, value.imag)
            else:
                name = f"{kind.__module__}.{kind.__qualname__}"[:200]
                raise NotPlain(f"{name} is not plain data")
            if len(out) > limit:
                _require_room(len(out), bounds)
        else:
            if not outer:
                return bytes(out)
            members = outer.pop()


def _require_room(size: int, bounds: Bounds) -> None:
    if size > bounds.max_bytes:
        raise TooBig(f"the value takes more than {bounds.max_bytes} bytes")


def _encode_large(value: int, out: bytearray, bounds: Bounds) -> None:
    length = value.bit_length() // 8 + 1
    if length > bounds.max_int_bytes:
        raise TooBig(f"an integer has more than {bounds.max_digits} digits")
    out += b"J" + _U32.pack(length) + value.to_bytes(length, "little", signed=True)


def _pack(value: list[Any], out: bytearray, bounds: Bounds) -> bool:
    """Write a list of small ints or of floats as one array; False if it is neither."""
    if len(value) * 8 > bounds.max_bytes:
        return False
    kinds = set(map(type, value))
    try:
        if kinds == {int}:
            packed, tag = array("q", value), b"q"
        elif kinds == {float}:
            packed, tag = array("d", value), b"f"
        else:
            return False
    except OverflowError:
        return False
    out += tag + _U32.pack(len(value)) + packed.tobytes()
    _require_room(len(out), bounds)
    return True


_TAG_OF: dict[type, bytes] = {list: b"l", tuple: b"t", set: b"s", frozenset: b"z", dict: b"d"}
_TYPE_OF = {tag[0]: kind for kind, tag in _TAG_OF.items()}


def decode(data: bytes, bounds: Bounds, allowance: Allowance | None = None) -> Any:
    """Turn bytes back into plain data.

    Args:
        data: What `encode` made, or what a hostile program claims it made.
        bounds: A `Bounds`.
        allowance: What it may cost, by default anything; what it did cost is taken off.

    Returns:
        The value, with the exact types it had.

    Raises:
        Corrupt: The bytes are no encoding.
        TooCostly: It may cost more than the allowance has left for sets and dicts.
        TooBig: The value breaks another bound.
    """
    _require_room(len(data), bounds)
    try:
        value, end = _decode(memoryview(data), bounds, allowance)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise Corrupt("the encoding is cut short or malformed") from error
    except RecursionError as error:  # two deep keys were compared
        raise TooBig("a key is nested too deep") from error
    if end != len(data):
        raise Corrupt("bytes follow the value")
    return value


def _decode(data: memoryview, bounds: Bounds, allowance: Allowance | None) -> tuple[Any, int]:
    """Return the first value in the data and where it ends."""
    value: Any
    at = 0
    if allowance is None:
        allowance = Allowance(len(data), _NO_LIMIT)
    items_left = allowance.items
    # Of the container under way: its type, its members so far, how many there will be, where
    # they begin. The containers around it wait in `outer`.
    kind: type = list
    items: Any = None
    wanted = start = 0
    outer: list[Any] = []
    while True:
        tag = data[at]
        at += 1
        items_left -= 1
        if items_left < 0:
            allowance.items = 0
            raise TooBig(_TOO_MANY)
        if tag == 0x49:  # I
            value = _I64.unpack_from(data, at)[0]
            at += 8
        elif tag == 0x53:  # S
            body, at = _body(data, at)
            value = str(body, "utf-8", "surrogatepass")
        elif tag in _TYPE_OF:
            if len(outer) >= bounds.max_depth:
                raise TooBig(f"the value is nested more than {bounds.max_depth} deep")
            count = _U32.unpack_from(data, at)[0]
            at += 4
            if tag == 0x64:  # d
                count *= 2
            if count > len(data) - at:  # every member takes a byte at least
                raise Corrupt("a count reaches past the end")
            if count:
                outer.append((kind, items, wanted, start))
                kind, items, wanted, start = _TYPE_OF[tag], [], count, at
                continue
            value = _TYPE_OF[tag]()
        else:
            value, at = _decode_rare(tag, data, at, bounds, len(outer))
        while items is not None:
            items.append(value)
            if len(items) < wanted:
                break
            if kind is list:
                value = items
            elif kind is tuple:
                value = tuple(items)
            else:
                allowance.items = items_left  # what was read counts, even if no more comes of it
                _charge(allowance, wanted * (at - start))
                value = _hashed(kind, items)
            kind, items, wanted, start = outer.pop()
        else:
            allowance.items = items_left
            return value, at


def _decode_rare(
    tag: int, data: memoryview, at: int, bounds: Bounds, depth: int
) -> tuple[Any, int]:
    """Decode what is neither a small integer, a string nor a container of other values."""
    if tag == 0x4E:  # N
        return None, at
    if tag == 0x54:  # T
        return True, at
    if tag == 0x46:  # F
        return False, at
    if tag == 0x44:  # D
        return _F64.unpack_from(data, at)[0], at + 8
    if tag == 0x71 or tag == 0x66:  # q, f
        if depth >= bounds.max_depth:
            raise TooBig(f"the value is nested more than {bounds.max_depth} deep")
        items = array("q" if tag == 0x71 else "d")
        body, at = _body(data, at, 8)
        items.frombytes(body)
        return items.tolist(), at
    if tag == 0x4A:  # J
        body, at = _body(data, at)
        if len(body) > bounds.max_int_bytes:
            raise TooBig(f"an integer has more than {bounds.max_digits} digits")
        return int.from_bytes(body, "little", signed=True), at
    if tag == 0x42:  # B
        body, at = _body(data, at)
        return bytes(body), at
    if tag == 0x43:  # C
        return complex(*_C128.unpack_from(data, at)), at + 16
    raise Corrupt("unknown tag")


def _body(data: memoryview, at: int, width: int = 1) -> tuple[memoryview, int]:
    end = at + 4 + _U32.unpack_from(data, at)[0] * width
    if end > len(data):
        raise Corrupt("a length reaches past the end")
    return data[at + 4 : end], end


def _charge(allowance: Allowance, probes: int) -> None:
    if allowance.probes < probes:
        raise TooCostly("sets and dicts this large may take long to build")
    allowance.probes -= probes


def _hashed(kind: type, items: list[Any]) -> Any:
    """Build a set, a frozenset or a dict whose keys and values take turns."""
    try:
        whole = kind(items) if kind is not dict else dict(zip(items[::2], items[1::2]))  # noqa: B905 - Python 3.9
    except TypeError as error:
        raise Corrupt("a member can't be hashed") from error
    if len(whole) != (len(items) // 2 if kind is dict else len(items)):
        raise Corrupt("a member is there twice")
    return whole
