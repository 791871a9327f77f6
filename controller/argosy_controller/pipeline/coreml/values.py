"""Constants of an ML program: written inside it, or as blobs in a weights file beside it.

A weights file begins with 64 bytes; each blob has 64 bytes in front that say what it is (MILBlob of Apple's coremltools,
StorageFormat.hpp): a mark, the kind of number, the count of bytes and where in the file they are. All of it is checked.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from argosy.errors import InvalidInput
from argosy_controller.pipeline.task import Array

_MARK = 0xDEADBEEF
_HEADER = struct.Struct("<IIQQ")
_HEADER_BYTES = 64
#: Kind of a blob's numbers, by the dtype that the program declares.
_BLOB_KINDS = {"float16": 1, "float32": 2, "uint8": 3, "int8": 4, "int16": 6, "uint16": 7, "int32": 14, "uint32": 15}
_IN_BYTES = ("float16", "int8", "uint8", "uint32")
_FIELDS = {"float32": "floats", "float64": "doubles", "int16": "ints", "uint16": "ints", "int32": "ints", "int64": "longInts"}
_FIELDS |= {"uint64": "longInts", "bool": "bools", "str": "strings"} | dict.fromkeys(_IN_BYTES, "bytes")
_MOST_DIMENSIONS = 16

Shape = tuple[int | None, ...]


def declared(kind: Any) -> tuple[str, Shape]:
    """numpy's name of a declared type's numbers, and its shape; None is a dimension that may vary.

    Raises:
        InvalidInput: it is no tensor, or of numbers that numpy does not have.
    """
    from coremltools.proto import MIL_pb2

    if kind.WhichOneof("type") != "tensorType" or len(kind.tensorType.dimensions) > _MOST_DIMENSIONS:
        raise InvalidInput("the program has values that are no tensors")
    tensor = kind.tensorType
    name = MIL_pb2.DataType.Name(tensor.dataType).lower() if tensor.dataType in MIL_pb2.DataType.values() else ""
    dtype = "str" if name == "string" else name
    if dtype not in _FIELDS:
        raise InvalidInput(f"the program has numbers of type {name or tensor.dataType}")
    return dtype, tuple(int(one.constant.size) if one.HasField("constant") else None for one in tensor.dimensions)


def constant(value: Any, weights: Mapping[str, bytes]) -> Array:
    """The array that a constant of the program stands for.

    Raises:
        InvalidInput: its numbers do not fit its shape, or are not where it says.
    """
    dtype, shape = declared(value.type)
    if any(one is None for one in shape):
        raise InvalidInput("the program has a constant without a fixed shape")
    sizes = tuple(one or 0 for one in shape)
    flat = _blob(value.blobFileValue, dtype, math.prod(sizes), weights) if value.HasField("blobFileValue") else _immediate(value, dtype)
    if flat.size != math.prod(sizes):
        raise InvalidInput(f"a constant of the program has {flat.size} numbers and the shape {list(sizes)}")
    return flat.reshape(sizes)


def _immediate(value: Any, dtype: str) -> Array:
    if value.immediateValue.WhichOneof("value") != "tensor":
        raise InvalidInput("the program has constants that are no tensors")
    tensor = value.immediateValue.tensor
    field = tensor.WhichOneof("value")
    if field != _FIELDS[dtype]:
        raise InvalidInput(f"a constant of {dtype} is written as {field} in the program")
    if field == "bytes":
        raw = tensor.bytes.values
        return np.frombuffer(raw[: len(raw) // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize], np.dtype(dtype).newbyteorder("<"))
    return np.array(getattr(tensor, field).values, dtype=dtype)


def _blob(place: Any, dtype: str, count: int, weights: Mapping[str, bytes]) -> Array:
    """A blob's numbers; the file is not copied."""
    content = weights.get(place.fileName)
    if content is None:
        raise InvalidInput(f"the program keeps weights in {place.fileName!r:.80}, which is not in the package")
    if not _HEADER_BYTES <= place.offset <= len(content) - _HEADER_BYTES:
        raise InvalidInput(f"the program looks for weights at {place.offset} in a file of {len(content)} bytes")
    mark, kind, length, start = _HEADER.unpack_from(content, place.offset)
    numbers = np.dtype(dtype).newbyteorder("<") if dtype in _BLOB_KINDS else None
    if mark != _MARK or numbers is None or kind != _BLOB_KINDS[dtype] or length != count * numbers.itemsize:
        raise InvalidInput(f"the weights at {place.offset} are not the {count} numbers of {dtype} that the program expects there")
    if start + length > len(content):
        raise InvalidInput(f"the weights at {place.offset} end outside their file")
    return np.frombuffer(content, numbers, count, start)
