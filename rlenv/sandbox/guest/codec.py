"""Plain data as bytes, exact in type and bounded on the way in.

Both sides of the sandbox speak this format. It holds None, bool, int, float, complex, str,
bytes, list, tuple, set, frozenset and dict, each told apart from the others (a bool is not
an int, a tuple is not a list). Decoding builds nothing else, so it can't run code, and it
checks size, depth and integer length before it allocates.

A value is one tag byte and a body; counts and lengths are unsigned 32-bit little-endian.
"""

import struct
from array import array

_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
_C128 = struct.Struct("<dd")
_MIN64, _MAX64 = -(2**63), 2**63 - 1
_PACK_FROM = 8  # lists shorter than this gain nothing from the packed form
_BITS_PER_DIGIT = 3.3219280948873626
# Equal hashes make a dict quadratic; honest keys hardly ever have more than a few.
_MAX_EQUAL_HASHES = 64


class NotPlain(TypeError):
    """The value holds something that is not plain data."""


class TooBig(ValueError):
    """The value is larger, deeper or longer than the bounds allow."""


class Corrupt(ValueError):
    """The bytes are not an encoding made by `encode`."""


class Bounds:
    """What a value may weigh.

    Args:
        max_bytes: Length of the encoding, in bytes.
        max_depth: How many containers may be nested.
        max_digits: Decimal digits of an integer.
    """

    def __init__(self, max_bytes=8 << 20, max_depth=100, max_digits=10_000):
        self.max_bytes = max_bytes
        self.max_depth = max_depth
        self.max_digits = max_digits
        self.max_int_bytes = int(max_digits * _BITS_PER_DIGIT / 8) + 2


def encode(value, bounds):
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
    _encode(value, out, bounds, 0)
    if len(out) > bounds.max_bytes:
        raise TooBig(f"the value takes more than {bounds.max_bytes} bytes")
    return bytes(out)


def _encode(value, out, bounds, depth):
    kind = type(value)
    if kind is int:
        if _MIN64 <= value <= _MAX64:
            out += b"I"
            out += _I64.pack(value)
            return
        length = value.bit_length() // 8 + 1
        if length > bounds.max_int_bytes:
            raise TooBig(f"an integer has more than {bounds.max_digits} digits")
        out += b"J" + _U32.pack(length) + value.to_bytes(length, "little", signed=True)
    elif kind is str:
        if len(value) > bounds.max_bytes:
            raise TooBig(f"the value takes more than {bounds.max_bytes} bytes")
        data = value.encode("utf-8", "surrogatepass")
        out += b"S" + _U32.pack(len(data)) + data
    elif value is None:
        out += b"N"
    elif kind is bool:
        out += b"T" if value else b"F"
    elif kind is float:
        out += b"D" + _F64.pack(value)
    elif kind is bytes:
        if len(value) > bounds.max_bytes:
            raise TooBig(f"the value takes more than {bounds.max_bytes} bytes")
        out += b"B" + _U32.pack(len(value)) + value
    elif kind is complex:
        out += b"C" + _C128.pack(value.real, value.imag)
    elif kind in _TAG_OF:
        _encode_container(kind, value, out, bounds, depth + 1)
    else:
        raise NotPlain(f"{kind.__module__}.{kind.__qualname__}"[:200] + " is not plain data")
    if len(out) > bounds.max_bytes:
        raise TooBig(f"the value takes more than {bounds.max_bytes} bytes")


def _encode_container(kind, value, out, bounds, depth):
    if depth > bounds.max_depth:
        raise TooBig(f"the value is nested more than {bounds.max_depth} deep")
    if kind is list and len(value) >= _PACK_FROM and _pack(value, out, bounds):
        return
    out += _TAG_OF[kind]
    out += _U32.pack(len(value))
    if kind is dict:
        for key, item in value.items():
            _encode(key, out, bounds, depth)
            _encode(item, out, bounds, depth)
    else:
        for item in value:
            _encode(item, out, bounds, depth)


def _pack(value, out, bounds):
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
    return True


_TAG_OF = {list: b"l", tuple: b"t", set: b"s", frozenset: b"z", dict: b"d"}
_TYPE_OF = {tag[0]: kind for kind, tag in _TAG_OF.items()}


def decode(data, bounds):
    """Turn bytes back into plain data.

    Args:
        data: What `encode` made, or what a hostile program claims it made.
        bounds: A `Bounds`.

    Returns:
        The value, with the exact types it had.

    Raises:
        Corrupt: The bytes are no encoding.
        TooBig: The value breaks a bound.
    """
    if len(data) > bounds.max_bytes:
        raise TooBig(f"the value takes more than {bounds.max_bytes} bytes")
    try:
        value, end = _decode(memoryview(data), 0, bounds, 0)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise Corrupt("the encoding is cut short or malformed") from error
    if end != len(data):
        raise Corrupt("bytes follow the value")
    return value


def _decode(data, at, bounds, depth):
    tag = data[at]
    at += 1
    if tag == 0x49:  # I
        return _I64.unpack_from(data, at)[0], at + 8
    if tag == 0x53:  # S
        body, at = _body(data, at)
        return str(body, "utf-8", "surrogatepass"), at
    if tag in _TYPE_OF:
        return _decode_container(_TYPE_OF[tag], data, at, bounds, depth + 1)
    if tag == 0x71 or tag == 0x66:  # q, f
        if depth + 1 > bounds.max_depth:
            raise TooBig(f"the value is nested more than {bounds.max_depth} deep")
        items = array("q" if tag == 0x71 else "d")
        body, at = _body(data, at, 8)
        items.frombytes(body)
        return items.tolist(), at
    if tag == 0x4E:  # N
        return None, at
    if tag == 0x54:  # T
        return True, at
    if tag == 0x46:  # F
        return False, at
    if tag == 0x44:  # D
        return _F64.unpack_from(data, at)[0], at + 8
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


def _body(data, at, width=1):
    end = at + 4 + _U32.unpack_from(data, at)[0] * width
    if end > len(data):
        raise Corrupt("a length reaches past the end")
    return data[at + 4 : end], end


def _decode_container(kind, data, at, bounds, depth):
    if depth > bounds.max_depth:
        raise TooBig(f"the value is nested more than {bounds.max_depth} deep")
    count = _U32.unpack_from(data, at)[0]
    at += 4
    if count > len(data) - at:  # every member takes a byte at least
        raise Corrupt("a count reaches past the end")
    items = []
    values = []
    for _ in range(count):
        item, at = _decode(data, at, bounds, depth)
        items.append(item)
        if kind is dict:
            item, at = _decode(data, at, bounds, depth)
            values.append(item)
    if kind is list:
        return items, at
    if kind is tuple:
        return tuple(items), at
    try:
        if len(items) - len(set(map(hash, items))) > _MAX_EQUAL_HASHES:
            raise TooBig("too many keys share one hash")
        whole = dict(zip(items, values)) if kind is dict else kind(items)  # noqa: B905 - Python 3.9
    except TypeError as error:
        raise Corrupt("a member can't be hashed") from error
    if len(whole) != count:
        raise Corrupt("a member is there twice")
    return whole, at
