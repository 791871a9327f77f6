"""Tensors survive the wire in both forms, and no declared size makes the decoder allocate what is not there."""

from __future__ import annotations

import contextlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from argosy import tensors
from argosy.errors import InvalidInput

NUMERIC = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
numeric_arrays = st.sampled_from(NUMERIC).flatmap(
    lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
finite_arrays = st.sampled_from(NUMERIC).flatmap(
    lambda name: hnp.arrays(
        name,
        hnp.array_shapes(max_side=4),
        elements=hnp.from_dtype(np.dtype(name), allow_nan=False, allow_infinity=False) if name.startswith("float") else None,
    )
)
string_arrays = st.lists(st.text(max_size=8), max_size=6).map(lambda words: np.array(words, object))


def _json(data):
    return msgspec.json.encode(data)


@given(array=numeric_arrays | string_arrays)
def test_binary_form_gives_the_same_array_back(array):
    datatype = tensors.datatype_of(array.dtype.name)
    back = tensors.decode_binary(datatype, array.shape, tensors.encode_binary(array))
    assert back.dtype == array.dtype and back.shape == array.shape
    assert back.tobytes() == array.tobytes() if datatype != "BYTES" else back.tolist() == array.tolist()


@given(array=finite_arrays | string_arrays, nested=st.booleans())
def test_json_form_gives_the_same_array_back(array, nested):
    datatype = tensors.datatype_of(array.dtype.name)
    data = array.tolist() if nested else tensors.encode_json(array)
    back = tensors.decode_json(datatype, array.shape, _json(data))
    assert back.dtype == array.dtype and back.shape == array.shape and (back == array).all()


def test_binary_form_is_little_endian_and_reads_big_endian_arrays():
    assert tensors.encode_binary(np.array([1], ">i4")) == b"\x01\0\0\0"
    assert tensors.encode_binary(np.array(["ab"], object)) == b"\x02\0\0\0ab"


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        ("FP32", [2], b"\0" * 4),
        ("FP32", [1], b"\0" * 8),
        ("FP32", [1 << 62, 4], b"\0" * 8),
        ("FP32", [-1], b""),
        ("FP32", [1] * 9, b"\0" * 4),
        ("BF16", [1], b"\0\0"),
        ("NONSENSE", [1], b"\0"),
        ("BYTES", [1], b"\xff\xff\xff\xff"),
        ("BYTES", [1], b"\x01\0\0\0"),
        ("BYTES", [1], b"\x01\0\0\0\xff"),
        ("BYTES", [1], b"\0\0\0\0\0"),
        ("BYTES", [1 << 40], b"\0\0\0\0"),
        ("BYTES", [2], b"\x04\0\0\0abcd"),
    ],
)
def test_refuses_binary_data_that_are_not_the_shapes(datatype, shape, raw):
    with pytest.raises(InvalidInput):
        tensors.decode_binary(datatype, shape, raw)


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        ("FP32", [2], b"[1]"),
        ("FP32", [1 << 40], b"[1]"),
        ("FP32", [1], b'["1"]'),
        ("FP32", [1], b"[true]"),
        ("FP32", [1], b"[1e39]"),
        ("FP16", [1], b"[70000]"),
        ("FP32", [1], b"[null]"),
        ("INT8", [1], b"[128]"),
        ("INT32", [1], b"[1.5]"),
        ("INT64", [1], b"[9223372036854775808]"),
        ("UINT8", [1], b"[-1]"),
        ("UINT64", [1], b"[-1]"),
        ("UINT64", [1], b"[18446744073709551616]"),
        ("BOOL", [1], b"[1]"),
        ("BYTES", [1], b"[1]"),
        ("BYTES", [2], b'["a"]'),
        ("BYTES", [1], b'["a","b"]'),
        ("FP32", [2, 2], b"[[1,2],[3]]"),
        ("FP32", [2, 2], b"[[1,2,3],[4]]"),
        ("FP32", [2, 2, 1], b"[[1,2],[3,4]]"),
        ("FP32", [2, 2], b"[[1,2,3,4],[]]"),
        ("FP32", [1], b"1"),
        ("FP32", [1], b"{}"),
        ("FP32", [1], b""),
        ("FP32", [0], b"[" + b"[]," * 5000 + b"[]]"),
        ("FP32", [1], b"[" * 5000),
    ],
)
def test_refuses_json_data_that_are_not_the_shapes(datatype, shape, raw):
    with pytest.raises(InvalidInput):
        tensors.decode_json(datatype, shape, raw)


def test_takes_nested_and_flat_and_whitespace_and_hard_strings():
    assert tensors.decode_json("FP32", [2, 2], b" [ [1, 2] ,[3,4]]").tolist() == [[1, 2], [3, 4]]
    assert tensors.decode_json("INT8", [2, 2], b"[1,2,3,4]").tolist() == [[1, 2], [3, 4]]
    assert tensors.decode_json("BYTES", [2], b'["a,\\"[b","\\\\"]').tolist() == ['a,"[b', "\\"]
    assert tensors.decode_json("UINT64", [1], b"[18446744073709551615]").tolist() == [(1 << 64) - 1]
    assert tensors.decode_json("FP32", [0, 3], b"[]").shape == (0, 3)


def test_unknown_dtypes_are_refused_by_name():
    with pytest.raises(InvalidInput, match="complex64"):
        tensors.datatype_of("complex64")


@given(
    datatype=st.sampled_from(["FP32", "INT8", "BYTES", "BOOL", "UINT64", "BF16"]),
    shape=st.lists(st.integers(-2, 1 << 70), max_size=9),
    raw=st.binary(),
)
def test_random_bytes_are_refused_in_a_sentence(datatype, shape, raw):
    for decode in (tensors.decode_binary, tensors.decode_json):
        with contextlib.suppress(InvalidInput):
            assert list(decode(datatype, shape, raw).shape) == shape
