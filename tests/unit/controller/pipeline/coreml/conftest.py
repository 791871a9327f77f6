"""ML programs written by hand, and packages of them."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FLOAT16, FLOAT32, INT32 = 10, 11, 23
Pack = Callable[..., Path]


def tensor_type(kind: int, shape: Sequence[int | None]) -> Any:
    from coremltools.proto import MIL_pb2

    found = MIL_pb2.ValueType()
    found.tensorType.dataType, found.tensorType.rank = kind, len(shape)
    for one in shape:
        dimension = found.tensorType.dimensions.add()
        if one is None:
            dimension.unknown.variadic = False
        else:
            dimension.constant.size = one
    return found


class Model:
    """A program with one input `x` of `columns` numbers a row, grown operator by operator."""

    def __init__(self, columns: int = 2) -> None:
        from coremltools.proto import Model_pb2

        self.spec = Model_pb2.Model(specificationVersion=6)
        function = self.spec.mlProgram.functions["main"]
        function.opset = "CoreML5"
        self.block = function.block_specializations["CoreML5"]
        given = function.inputs.add(name="x")
        given.type.CopyFrom(tensor_type(FLOAT32, [None, columns]))
        self._feature(self.spec.description.input, "x", [1, columns])
        ranges = self.spec.description.input[0].type.multiArrayType.shapeRange.sizeRanges
        ranges.add(lowerBound=1, upperBound=8)
        ranges.add(lowerBound=columns, upperBound=columns)

    def _feature(self, to: Any, name: str, shape: Sequence[int]) -> None:
        array = to.add(name=name).type.multiArrayType
        array.dataType = 65568
        array.shape.extend(shape)

    def add(self, kind: str, name: str, shape: Sequence[int | None] = (None, 2), dtype: int = FLOAT32, **inputs: str) -> Model:
        one = self.block.operations.add(type=kind)
        for key, value in inputs.items():
            one.inputs[key].arguments.add(name=value)
        one.outputs.add(name=name).type.CopyFrom(tensor_type(dtype, shape))
        return self

    def constant(self, name: str, values: Sequence[float], dtype: int = FLOAT32) -> Any:
        one = self.block.operations.add(type="const")
        one.outputs.add(name=name).type.CopyFrom(tensor_type(dtype, [len(values)]))
        value = one.attributes["val"]
        value.type.CopyFrom(tensor_type(dtype, [len(values)]))
        if dtype == FLOAT32:
            value.immediateValue.tensor.floats.values.extend(values)
        else:
            value.immediateValue.tensor.bytes.values = np.array(values, np.float16).tobytes()
        return value

    def blob(self, name: str, count: int, offset: int, file: str = "@model_path/weights/weight.bin") -> Model:
        value = self.constant(name, [0.0] * count)
        value.ClearField("immediateValue")
        value.blobFileValue.fileName, value.blobFileValue.offset = file, offset
        return self

    def gives(self, *names: str) -> Model:
        for name in names:
            self.block.outputs.append(name)
            self._feature(self.spec.description.output, name, [])
        return self


def weights(values: Sequence[float], mark: int = 0xDEADBEEF, kind: int = 2, length: int | None = None, start: int = 128) -> bytes:
    """A weights file with one blob of single-precision numbers at 64."""
    raw = np.array(values, np.float32).tobytes()
    head = struct.pack("<IIQQ", mark, kind, len(raw) if length is None else length, start)
    return bytes(64) + head.ljust(64, b"\0") + raw


MANIFEST = {"itemInfoEntries": {"A": {"path": "com.apple.CoreML/model.mlmodel"}}, "rootModelIdentifier": "A"}


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    def write(model: Model | bytes, beside: Mapping[str, bytes] | None = None, manifest: Any = MANIFEST) -> Path:
        path = tmp_path / "model.mlpackage.zip"
        raw = model if isinstance(model, bytes) else model.spec.SerializeToString()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("model.mlpackage/Manifest.json", manifest if isinstance(manifest, (str, bytes)) else json.dumps(manifest))
            archive.writestr("model.mlpackage/Data/com.apple.CoreML/model.mlmodel", raw)
            for name, content in (beside or {}).items():
                archive.writestr(name, content)
        return path

    return write


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def blob() -> Callable[..., bytes]:
    return weights
