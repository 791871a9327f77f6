"""Tensors as the Open Inference Protocol ("v2", KServe and Triton) carries them: datatypes, JSON data, binary data.

Hostile sizes are refused before anything is allocated: a tensor's declared shape must agree with the bytes or commas that
are really there. numpy is imported inside functions: what only speaks of tensors (the supervisor) stays without it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from argosy.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MAX_RANK = 8
#: JSON spends some 30 bytes of memory on a number while it decodes; more elements than this belong into binary data.
MAX_JSON_ELEMENTS = 1 << 22
_BYTES = "BYTES"
#: OIP datatype to numpy dtype name. BYTES are strings, numpy's `object`; BF16 has no numpy dtype and is refused.
_NUMPY = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    _BYTES: "object",
}
_DATATYPE = {name: datatype for datatype, name in _NUMPY.items()}
_LENGTH = struct.Struct("<I")
_LONGEST_EMPTY = 4096


def datatype_of(dtype: str) -> str:
    """The OIP datatype of a numpy dtype name, for example `FP32` of `float32`; strings of any kind are `BYTES`.

    Raises:
        InvalidInput: the protocol has no such datatype.
    """
    if dtype.startswith(("str", "bytes")):
        return _BYTES
    if dtype not in _DATATYPE:
        raise InvalidInput(f"dtype {dtype!r:.40} has no datatype in the Open Inference Protocol: use one of {', '.join(_DATATYPE)}")
    return _DATATYPE[dtype]


def dtype_of(datatype: str) -> str:
    """The numpy dtype name of an OIP datatype.

    Raises:
        InvalidInput: unknown, or BF16.
    """
    if datatype not in _NUMPY:
        raise InvalidInput(f"datatype {datatype!r:.40} is not supported: use one of {', '.join(_NUMPY)}")
    return _NUMPY[datatype]


def element_count(shape: Sequence[int], at_most: int) -> int:
    """How many elements a shape has; 1 for a scalar.

    Raises:
        InvalidInput: a negative size, more than MAX_RANK dimensions, or more than `at_most` elements.
    """
    if len(shape) > MAX_RANK or any(size < 0 for size in shape):
        raise InvalidInput(f"shape {list(shape)!s:.80} is impossible: use at most {MAX_RANK} sizes, none negative")
    count = math.prod(shape)
    if count > at_most:
        raise InvalidInput(f"shape {list(shape)!s:.80} has {count} elements, at most {at_most} fit here: send fewer, or binary data")
    return count


def decode_binary(datatype: str, shape: Sequence[int], raw: bytes | memoryview) -> Array:
    """A tensor from binary data: row-major, little-endian; BYTES as elements with a 4-byte little-endian length before each.

    Returns:
        An array that may share memory with `raw` (read-only), of the native byte order. BYTES give `str` objects (UTF-8).

    Raises:
        InvalidInput: unknown datatype, or data that are not exactly those of the shape.
    """
    import numpy as np

    if datatype == _BYTES:
        return _decode_strings(shape, bytes(raw))
    dtype = np.dtype(dtype_of(datatype)).newbyteorder("<")
    count = element_count(shape, len(raw) // dtype.itemsize)
    if count * dtype.itemsize != len(raw):
        raise InvalidInput(f"binary data has {len(raw)} bytes, shape {list(shape)} of {datatype} needs {count * dtype.itemsize}")
    if datatype == "BOOL":
        truth: Array = (np.frombuffer(raw, np.uint8) != 0).reshape(shape)
        return truth
    return np.frombuffer(raw, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def encode_binary(array: Array) -> bytes:
    """The inverse of `decode_binary`."""
    import numpy as np

    if datatype_of(array.dtype.name) == _BYTES:
        parts = [text.encode() if isinstance(text, str) else bytes(text) for text in array.reshape(-1).tolist()]
        return b"".join(_LENGTH.pack(len(part)) + part for part in parts)
    little: Array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little.tobytes()


def decode_json(datatype: str, shape: Sequence[int], raw: bytes | msgspec.Raw) -> Array:
    """A tensor from the JSON text of `data`: a flat list in row-major order, or lists nested as the shape is.

    Raises:
        InvalidInput: unknown datatype, elements of another type or out of its range, or not as many as the shape says.
    """
    text = bytes(raw)
    count = element_count(shape, MAX_JSON_ELEMENTS)
    depth = _depth(text)
    if depth not in (1, len(shape)):
        raise InvalidInput(f"data is nested {depth} deep: give one flat list, or nest it as deep as shape {list(shape)}")
    _check_elements(datatype, text, count, shape)
    nested = _parsed(datatype, text, depth)
    array = _array(datatype, nested)
    if array.size != count or (depth > 1 and array.shape != tuple(shape)):
        raise InvalidInput(f"data has shape {list(array.shape)}, the tensor says {list(shape)}")
    return array.reshape(shape)


def encode_json(array: Array) -> list[Any]:
    """The flat list that `data` carries; NaN and infinities become null when it is written as JSON."""
    flat = array.reshape(-1).tolist()
    if datatype_of(array.dtype.name) != _BYTES:
        return flat
    return [text if isinstance(text, str) else text.decode("utf-8", "replace") for text in flat]


def _decode_strings(shape: Sequence[int], raw: bytes) -> Array:
    import numpy as np

    count, at = element_count(shape, len(raw) // _LENGTH.size), 0
    texts = np.empty(count, object)
    for number in range(count):
        end = at + _LENGTH.size
        length = _LENGTH.unpack(raw[at:end])[0] if end <= len(raw) else len(raw)
        if end + length > len(raw):
            raise InvalidInput(f"element {number} of BYTES data says it has {length} bytes, which goes beyond its end")
        texts[number], at = _text(raw[end : end + length], number), end + length
    if at != len(raw):
        raise InvalidInput(f"BYTES data has {len(raw) - at} bytes more than shape {list(shape)} needs")
    return texts.reshape(shape)


def _text(raw: bytes, number: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"element {number} of BYTES data is no UTF-8 text, which is what string inputs are") from error


def _check_elements(datatype: str, text: bytes, count: int, shape: Sequence[int]) -> None:
    """Counts separators before anything is decoded, so a short shape cannot announce a long list."""
    if count == 0:
        fits = len(text) <= _LONGEST_EMPTY
    elif datatype == _BYTES:  # strings may hold commas and escaped quotes: a bound within a factor of two
        fits = text.count(b'"') - text.count(b'\\"') <= 2 * count <= text.count(b'"')
    else:
        fits = text.count(b",") == count - 1
    if not fits:
        raise InvalidInput(f"data does not have the {count} elements of shape {list(shape)}")


def _depth(text: bytes) -> int:
    """How many brackets open before the first element."""
    depth = 0
    for byte in text[: 4 * MAX_RANK * MAX_RANK]:
        if byte == 0x5B:
            depth += 1
        elif byte not in b" \t\r\n":
            break
    return depth


def _parsed(datatype: str, text: bytes, depth: int) -> list[Any]:
    element: Any = {"BOOL": bool, _BYTES: str}.get(datatype, float if dtype_of(datatype).startswith("float") else int)
    kind: Any = element
    for _ in range(depth):
        kind = list[kind]
    try:
        parsed: list[Any] = msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidInput(f"data does not decode as {datatype}: {error}") from error
    return parsed


def _array(datatype: str, nested: list[Any]) -> Array:
    """Lists to an array; ragged lists and numbers out of range are refused, never wrapped round."""
    import numpy as np

    dtype = np.dtype(dtype_of(datatype))
    try:
        if dtype.kind not in "iu":
            return _real(np.array(nested, dtype if dtype.kind != "f" else np.float64), dtype)
        wide = np.array(nested, object if datatype == "UINT64" else np.int64)
    except (ValueError, OverflowError, TypeError) as error:
        raise InvalidInput(f"data is ragged or has a number beyond {datatype}") from error
    limits = np.iinfo(dtype)
    if wide.size and not (limits.min <= wide.min() and wide.max() <= limits.max):
        raise InvalidInput(f"data has a number outside {limits.min} to {limits.max}, which {datatype} cannot hold")
    return wide.astype(dtype)


def _real(array: Array, dtype: Any) -> Array:
    import numpy as np

    if dtype.kind != "f" or dtype == np.float64:
        return array
    limit = float(np.finfo(dtype).max)
    if array.size and float(np.abs(array).max()) > limit:
        raise InvalidInput(f"data has a number beyond {limit:g}, which {dtype.name} cannot hold")
    return array.astype(dtype)
