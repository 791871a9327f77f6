"""An ML program as plain data: its inputs and outputs, and its operators in order, constants already in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argosy.errors import InvalidInput
from argosy.protocol.card import TensorSpec
from argosy_controller.pipeline.coreml.package import Package, read_package
from argosy_controller.pipeline.coreml.values import Shape, constant, declared
from argosy_controller.pipeline.task import Array

_MOST_OPERATIONS = 200_000
#: ArrayFeatureType.ArrayDataType of Core ML's FeatureTypes.proto.
_DTYPES = {65568: "float32", 65600: "float64", 65552: "float16", 131104: "int32", 131080: "int8"}


@dataclass(frozen=True)
class Reference:
    """A value that an earlier operator, or an input, gave."""

    name: str


Argument = Reference | Array


@dataclass(frozen=True)
class Result:
    """What an operator gives: its name, and the dtype and shape that the program declares."""

    name: str
    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Operation:
    """One operator.

    Attributes:
        kind: as MIL calls it, `conv`.
        name: in the program, for messages.
        arguments: by parameter; several only where it takes a list of tensors.
    """

    kind: str
    name: str
    arguments: Mapping[str, tuple[Argument, ...]]
    results: tuple[Result, ...]

    @property
    def needed(self) -> Iterator[str]:
        """Names of the values that it takes."""
        return (one.name for each in self.arguments.values() for one in each if isinstance(one, Reference))


@dataclass(frozen=True)
class Program:
    """The main function of a model: operators in an order in which they can run.

    Attributes:
        file: name, for messages.
        constants: by the name under which operators refer to them.
    """

    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    constants: Mapping[str, Array]
    operations: tuple[Operation, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Operators that it uses, sorted, without those that only hold constants."""
        return tuple(sorted({one.kind for one in self.operations}))


def read_program(path: Path) -> Program:
    """The program of a zipped Core ML package.

    Raises:
        InvalidInput: the package is refused, holds no ML program, or the program refers to what is not there.
    """
    package = read_package(path)
    try:
        return _program(package)
    except InvalidInput as error:
        raise InvalidInput(f"{path.name} cannot be read: {error}") from error


def _program(package: Package) -> Program:
    from coremltools.proto import Model_pb2
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = Model_pb2.Model.FromString(package.model)
    except DecodeError as error:
        raise InvalidInput("its model is damaged") from error
    if model.WhichOneof("Type") != "mlProgram" or set(model.mlProgram.functions) != {"main"}:
        raise InvalidInput("it holds no ML program with one function main, the only kind that is read here")
    function = model.mlProgram.functions["main"]
    block = function.block_specializations.get(function.opset)
    if block is None or len(block.operations) > _MOST_OPERATIONS:
        raise InvalidInput(f"its function main has no block for {function.opset!r:.40}, or more than {_MOST_OPERATIONS} operators")
    constants, operations = _operations(block.operations, package)
    given = {one.name: declared(one.type) for one in function.inputs}
    made = {one.name: (one.dtype, one.shape) for each in operations for one in each.results}
    made |= given | {name: (str(one.dtype), one.shape) for name, one in constants.items()}
    _check_order(operations, {*given, *constants})
    inputs = tuple(_input_spec(one, given) for one in model.description.input)
    outputs = tuple(_output_spec(one, made, list(block.outputs)) for one in model.description.output)
    if {one.name for one in inputs} != set(given):
        raise InvalidInput("its description names other inputs than its program")
    return Program(package.name, inputs, outputs, constants, operations)


def _operations(found: Any, package: Package) -> tuple[dict[str, Array], tuple[Operation, ...]]:
    constants: dict[str, Array] = {}
    operations = []
    for one in found:
        if one.type == "const":
            constants[one.outputs[0].name] = constant(one.attributes["val"], package.weights)
        else:
            operations.append(_operation(one, package))
    return constants, tuple(operations)


def _operation(one: Any, package: Package) -> Operation:
    arguments: dict[str, tuple[Argument, ...]] = {}
    name = one.outputs[0].name if one.outputs else one.type
    for key, value in one.inputs.items():
        arguments[key] = tuple(
            Reference(each.name) if each.WhichOneof("binding") == "name" else constant(each.value, package.weights)
            for each in value.arguments
        )
    for key, value in one.attributes.items():
        if key != "name":
            arguments[key] = (constant(value, package.weights),)
    return Operation(one.type, name, arguments, tuple(Result(each.name, *declared(each.type)) for each in one.outputs))


def _check_order(operations: tuple[Operation, ...], known: set[str]) -> None:
    for one in operations:
        for name in one.needed:
            if name not in known:
                raise InvalidInput(f"operator {one.kind!r:.80} ({one.name!r:.80}) takes {name!r:.80}, which nothing before it gives")
        known.update(each.name for each in one.results)


def _input_spec(feature: Any, given: Mapping[str, tuple[str, Shape]]) -> TensorSpec:
    """As the description says: its ranges tell which dimensions may vary."""
    array = _array(feature)
    if feature.name not in given:
        raise InvalidInput(f"its program has no input {feature.name!r:.80}")
    ranges = list(array.shapeRange.sizeRanges) or [None] * len(array.shape)
    if len(ranges) != len(array.shape) or array.WhichOneof("ShapeFlexibility") == "enumeratedShapes":
        raise InvalidInput(f"input {feature.name!r:.80} has shapes that are listed one by one: convert it with a range")
    sizes = zip(array.shape, ranges, strict=True)
    shape = [None if limits is not None and limits.lowerBound != limits.upperBound else int(size) for size, limits in sizes]
    return TensorSpec(name=feature.name, dtype=_dtype(feature), shape=shape)


def _output_spec(feature: Any, made: Mapping[str, tuple[str, Shape]], given: list[str]) -> TensorSpec:
    if feature.name not in made or feature.name not in given:
        raise InvalidInput(f"its program has no output {feature.name!r:.80}")
    return TensorSpec(name=feature.name, dtype=_dtype(feature), shape=list(made[feature.name][1]))


def _array(feature: Any) -> Any:
    if feature.type.WhichOneof("Type") != "multiArrayType":
        raise InvalidInput(f"{feature.name!r:.80} is no array of numbers")
    return feature.type.multiArrayType


def _dtype(feature: Any) -> str:
    found = _DTYPES.get(_array(feature).dataType)
    if found is None:
        raise InvalidInput(f"{feature.name!r:.80} has numbers of type {_array(feature).dataType}")
    return found
