"""The front door: an ONNX file becomes a module of torch's operators that computes the same."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from argosy.errors import ArgosyError, InvalidInput
from argosy_controller.pipeline.sources.onnx_to_torch.building import At, Builder, Network
from argosy_controller.pipeline.sources.onnx_to_torch.reading import attributes, is_default, opset, parsed, tensor, told
from argosy_controller.pipeline.sources.onnx_to_torch.table import OPERATORS
from argosy_controller.pipeline.sources.onnx_to_torch.values import Const, Live, Undecided, Unsupported, Value
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.task import Array

if TYPE_CHECKING:
    import onnx

#: Sizes that the batch has in trial runs: what depends on it differs between them.
_TRIALS = (2, 3)
_QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger"})


@dataclass(frozen=True)
class Imported:
    """A file as torch's operators.

    Attributes:
        network: takes the file's inputs in its order, gives its outputs in its order as a tuple.
        free_batch: the batch may have any size; else it is the example's.
        fixed: inputs that decided which way the model takes, with the values for which the network holds.
    """

    network: Network
    free_batch: bool
    fixed: dict[str, Any]


def imported(content: bytes, file: str, example: Mapping[str, Array], changing: Collection[str] = ()) -> Imported:
    """Imports a file by running it on an example, operator by operator.

    Args:
        file: its name, for messages.
        example: one request: an array for each input, by name, as the file takes it. Sizes that the file leaves free become
            those of the example, but for the batch.
        changing: inputs that must not decide which way the model takes.

    Raises:
        InvalidInput: an operator or an option of it has no counterpart (named, with its node), or the file is hostile.
    """
    model = parsed(content, file)
    _check_example(model, file, example)
    batch = _batch_dimensions(model)
    if batch:
        try:
            return _imported(model, file, [_repeated(example, batch, count) for count in _TRIALS], changing)
        except InvalidInput:
            pass  # where it needs the batch's size, it gets the example's
    return _imported(model, file, [example], changing)


def _imported(model: onnx.ModelProto, file: str, runs: Sequence[Mapping[str, Array]], changing: Collection[str]) -> Imported:
    builder = Builder(len(runs))
    worker = _Importer(builder, opset(model), file, changing)
    known: dict[str, Value] = worker.constants(model.graph)
    for one in _inputs(model):
        known[one.name] = builder.input(one.name, tuple(_tensor(run[one.name]) for run in runs))
    with torch.no_grad():
        found = worker.run(model.graph, known)
        return Imported(builder.finished(found), len(runs) > 1, builder.fixed)


class _Importer:
    """Goes through graphs, the outer one and those inside it."""

    def __init__(self, builder: Builder, version: int, file: str, changing: Collection[str]) -> None:
        self._builder, self._opset, self._file, self._changing = builder, version, file, changing

    def constants(self, graph: onnx.GraphProto) -> dict[str, Value]:
        """The graph's initializers."""
        try:
            return {one.name: Const(tensor(one), one.name) for one in graph.initializer}
        except Unsupported as error:
            raise InvalidInput(f"{self._file} does not convert: a weight {error}") from error

    def run(self, graph: onnx.GraphProto, known: MutableMapping[str, Value]) -> list[Value]:
        """The graph's outputs."""
        for node in graph.node:
            for name, value in zip(node.output, self._node(node, known), strict=False):
                if name:
                    known[name] = value
        return [known[one.name] for one in graph.output]

    def _node(self, node: onnx.NodeProto, known: MutableMapping[str, Value]) -> tuple[Value, ...]:
        try:
            return self._applied(node, known)
        except Unsupported as error:
            raise InvalidInput(f"{self._file} does not convert: {told(node)} {error}") from error
        except ArgosyError:
            raise
        except Exception as error:  # torch raises what it likes
            raise InvalidInput(f"{self._file} does not convert: {told(node)} does not run on the example: {first_line(error)}") from error

    def _applied(self, node: onnx.NodeProto, known: MutableMapping[str, Value]) -> tuple[Value, ...]:
        if node.op_type == "If" and is_default(node):
            return self._branch(node, known)
        function = OPERATORS.get(node.op_type) if is_default(node) else None
        if function is None:
            raise Unsupported(_refusal(node))
        given = [known[name] if name else None for name in node.input]
        while given and given[-1] is None:
            given.pop()
        result = function(At(self._builder, self._opset, attributes(node), len(node.output)), *given)
        found = result if isinstance(result, tuple) else (result,)
        return self._named(node, found)

    def _named(self, node: onnx.NodeProto, found: tuple[Value, ...]) -> tuple[Value, ...]:
        """Constants of the file get its names for them."""
        if node.op_type in ("Constant", "Identity") and isinstance(found[0], Const) and not found[0].name:
            return (Const(found[0].tensor, node.output[0]),)
        return found

    def _branch(self, node: onnx.NodeProto, known: MutableMapping[str, Value]) -> tuple[Value, ...]:
        """If: the graph that is taken, in place of the choice."""
        graphs = {one.name: one.g for one in node.attribute}
        taken = graphs["then_branch" if self._decided(known[node.input[0]]) else "else_branch"]
        inner: ChainMap[str, Value] = ChainMap({}, self.constants(taken), known)
        return tuple(self.run(taken, inner))

    def _decided(self, condition: Value) -> bool:
        if isinstance(condition, Const):
            return bool(condition.tensor)
        if not isinstance(condition, Live) or not condition.of:
            raise Undecided("decides by the size of the batch")
        for name in sorted(condition.of):
            value = self._builder.inputs[name].tensor
            if value.numel() != 1 or value.is_floating_point() or name in self._changing:
                raise Unsupported(f"decides by the values of input {name!r:.80}, which only a run can know: take ONNX variants")
            self._builder.fixed[name] = value.item()
        return bool(condition.tensor)


def _refusal(node: onnx.NodeProto) -> str:
    if node.op_type in _QUANTISED or node.op_type == "MatMulNBits":
        return "is of a quantised file: convert the file that it was made of"
    if node.op_type in ("Loop", "Scan"):
        return "repeats as often as the model's inputs say, which TFLite and Core ML files cannot hold here: take ONNX variants"
    return "has no counterpart here: take ONNX variants, or export the model without it"


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    stored = {one.name for one in model.graph.initializer}
    return [one for one in model.graph.input if one.name not in stored]


def _check_example(model: onnx.ModelProto, file: str, example: Mapping[str, Array]) -> None:
    names: dict[str, str] = {}
    for one in (*_inputs(model), *model.graph.output):
        plain = re.sub(r"\W", "_", one.name)
        if names.setdefault(plain, one.name) != one.name:
            raise InvalidInput(
                f"{file} has {names[plain]!r:.80} and {one.name!r:.80}, which would both become {plain!r:.80}: rename one of them"
            )
    missing = [one.name for one in _inputs(model) if one.name not in example]
    if missing:
        raise InvalidInput(f"{file} takes {missing[0]!r:.80}, for which there is no example")


def _batch_dimensions(model: onnx.ModelProto) -> dict[str, int]:
    """By input, the dimension that is the batch: the first where it is free, and others that the file calls the same.

    Empty where there is none, or where a free size without a name could be the batch as well as something else.
    """
    shapes = {one.name: list(one.type.tensor_type.shape.dim) for one in _inputs(model)}
    if any(not one.dim_value and not one.dim_param for dims in shapes.values() for one in dims[1:]):
        return {}
    called = {dims[0].dim_param for dims in shapes.values() if dims and not dims[0].dim_value}
    places = {name: [i for i, one in enumerate(dims) if not one.dim_value and one.dim_param in called] for name, dims in shapes.items()}
    return {name: found[0] for name, found in places.items() if found}


def _repeated(example: Mapping[str, Array], batch: Mapping[str, int], count: int) -> dict[str, Array]:
    """The example as a batch of so many."""
    return {
        name: np.repeat(array.take([0], batch[name]), count, batch[name]) if name in batch else array for name, array in example.items()
    }


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.array(array, order="C"))
