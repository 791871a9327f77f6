"""Where a TFLite file's batch is, told from two conversions of one model with batches of two sizes; pure.

litert-torch writes every size down as a number. Two files that differ in nothing but the batch must have the same operators, joined
in the same way. Where a number differs, it is the batch's (or a multiple: heads, trees), and the format has a way to leave it open:

 - a tensor's shape: -1 in its `shape_signature`,
 - the shape that RESHAPE makes: one -1,
 - where STRIDED_SLICE ends: a bit in `end_mask`, at the end,
 - how much SLICE takes from the start on: it becomes a STRIDED_SLICE (XNNPACK refuses a SLICE of "all there is"),
 - a constant that holds the same for every example: one row, which arithmetic repeats.

Anything else that differs counts examples in a way that the format cannot leave open.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from argosy_controller.pipeline.task import Array

#: The batches of the two conversions: larger than 1, for which converters leave dimensions out.
SIZES = (2, 3)
_INT32 = 2
_FREE = -1
#: One tensor in, the same in other numbers out.
_CONVERTING = ("QUANTIZE", "DEQUANTIZE")
_ADDED = b"sizes"


class Bound(Exception):
    """The batch cannot be left open; the text says why, to stand behind "takes one example at a time: "."""


@dataclass(frozen=True)
class _Use:
    """An operator that takes a constant: how it is called, the operator, and as which of its inputs."""

    name: str
    operator: Any
    place: int


def freed(two: Any, three: Any) -> Any:
    """The model with its batch left open: as it is written for one example, every dimension that has the batch -1 in its signature.

    Args:
        two, three: flatbuffer_utils' objects of the model, converted with batches of `SIZES`; neither is changed.

    Raises:
        Bound: they differ in something that cannot be left open.
    """
    _check_alike(two, three)
    model = deepcopy(two)
    graph, other = model.subgraphs[0], three.subgraphs[0]
    for operator, theirs in zip(graph.operators, other.operators, strict=True):
        _open_options(_name(model, operator), operator, theirs)
    uses = _uses(model, graph)
    for number, (tensor, theirs) in enumerate(list(zip(graph.tensors, other.tensors, strict=True))):  # slices add some
        mine, its = _content(model, tensor), _content(three, theirs)
        if mine is None and its is None:
            _open_shape(tensor, theirs.shape)
        elif mine is None or its is None or mine != its:
            _open_constant(model, tensor, mine or b"", its or b"", theirs.shape, uses.get(number, []))
    return model


def is_free(model: Any) -> bool:
    """Whether an input has a dimension that is left open."""
    graph = model.subgraphs[0]
    return any(_FREE in _listed(graph.tensors[i].shapeSignature) for i in graph.inputs)


def spread(model: Any) -> None:
    """Leaves open what a quantizer's own tensors do not say: they are as free as what they are made of, or make."""
    graph = model.subgraphs[0]
    converts = [one for one in graph.operators if _name(model, one) in _CONVERTING]
    pairs = [(graph.tensors[one.inputs[0]], graph.tensors[one.outputs[0]]) for one in converts]
    for given, made in [*pairs, *((made, given) for given, made in reversed(pairs))]:
        if _FREE in _listed(given.shapeSignature) and not _listed(made.shapeSignature):
            made.shapeSignature = given.shapeSignature


def fixed(model: Any) -> Any:
    """The model as it is written, for one example at a time."""
    model = deepcopy(model)
    for tensor in model.subgraphs[0].tensors:
        tensor.shapeSignature = None
    return model


def _check_alike(two: Any, three: Any) -> None:
    if len(two.subgraphs) != 1 or len(three.subgraphs) != 1:
        raise Bound("it has graphs in its graph")
    one, other = two.subgraphs[0], three.subgraphs[0]
    names = [[_name(model, operator) for operator in model.subgraphs[0].operators] for model in (two, three)]
    wired = [[(_listed(operator.inputs), _listed(operator.outputs)) for operator in graph.operators] for graph in (one, other)]
    ends = [(_listed(graph.inputs), _listed(graph.outputs)) for graph in (one, other)]
    kinds = [[(tensor.type, len(_listed(tensor.shape))) for tensor in graph.tensors] for graph in (one, other)]
    if names[0] != names[1] or wired[0] != wired[1] or ends[0] != ends[1] or kinds[0] != kinds[1]:
        raise Bound(f"litert-torch converts it to other operators for other batches ({len(names[0])} and {len(names[1])})")


def _open_options(name: str, mine: Any, theirs: Any) -> None:
    """Leaves the sizes open that a RESHAPE has beside its input."""
    options, others = mine.builtinOptions, theirs.builtinOptions
    one, other = ({key: _listed(value) for key, value in vars(given).items()} if given else {} for given in (options, others))
    for key in one.keys() | other.keys():
        if one.get(key) == other.get(key):
            continue
        if name != "RESHAPE" or key != "newShape":
            raise Bound(f"{name} has the number of examples in its options")
        options.newShape = _opened(name, one[key], other[key])


def _opened(name: str, mine: Sequence[int], theirs: Sequence[int]) -> list[int]:
    places = _places(name, mine, theirs)
    if len(places) != 1 or _FREE in (*mine, *theirs):
        raise Bound(f"{name} has the number of examples in more than one size")
    return [_FREE if i in places else one for i, one in enumerate(mine)]


def _places(name: str, mine: Sequence[int], theirs: Sequence[int]) -> list[int]:
    """Where sizes have the batch as a factor."""
    if len(mine) != len(theirs):
        raise Bound(f"{name} has other dimensions for other batches")
    places = [i for i, (one, other) in enumerate(zip(mine, theirs, strict=True)) if one != other]
    if any(mine[i] * SIZES[1] != theirs[i] * SIZES[0] for i in places):
        raise Bound(f"a size of {name} grows otherwise than the batch")
    return places


def _open_shape(tensor: Any, theirs: Any) -> None:
    shape = _listed(tensor.shape)
    places = _places("a tensor", shape, _listed(theirs))
    if places:
        tensor.shape = [one // SIZES[0] if i in places else one for i, one in enumerate(shape)]
        tensor.shapeSignature = [_FREE if i in places else one for i, one in enumerate(shape)]


def _open_constant(model: Any, tensor: Any, mine: bytes, theirs: bytes, shape: Any, uses: list[_Use]) -> None:
    if uses and all((one.name, one.place) in _SIZES_OF for one in uses) and tensor.type == _INT32:
        sizes = [np.frombuffer(one, "<i4").tolist() for one in (mine, theirs)]
        for one in uses:
            _SIZES_OF[one.name, one.place](model, one, sizes[0], sizes[1])
        opened = [_FREE if one != other else one for one, other in zip(*sizes, strict=True)]
        _give(model, tensor, np.array(opened, "<i4").tobytes())
        return
    _give(model, tensor, _one_row(tensor, mine, theirs, _listed(shape), uses[0].name if uses else "an output"))


def _of_reshape(model: Any, use: _Use, mine: list[int], theirs: list[int]) -> None:
    _opened(use.name, mine, theirs)


def _of_slice(model: Any, use: _Use, mine: list[int], theirs: list[int]) -> None:
    """Becomes a STRIDED_SLICE, in steps of 1."""
    from ai_edge_litert import schema_py_generated as schema

    starts = _numbers(model, use.operator.inputs[1])
    places = _places(use.name, mine, theirs)
    if starts is None or any(starts[place] != 0 for place in places):
        raise Bound("SLICE takes some of the examples")
    options = schema.StridedSliceOptionsT()
    options.endMask = sum(1 << place for place in places)
    ends = [0 if i in places else starts[i] + size for i, size in enumerate(mine)]
    operator = use.operator
    operator.inputs = [*_listed(operator.inputs)[:2], _constant(model, ends), _constant(model, [1] * len(mine))]
    operator.opcodeIndex = _code(model, schema.BuiltinOperator.STRIDED_SLICE)
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.StridedSliceOptions, options


def _code(model: Any, number: int) -> int:
    """Where an operator stands in the model's list, which it joins."""
    for place, one in enumerate(model.operatorCodes):
        if (one.builtinCode, one.version) == (number, 1):
            return place
    code = type(model.operatorCodes[0])()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _constant(model: Any, numbers: list[int]) -> int:
    """A tensor of these integers; the one that there is, where there is one."""
    tensors, content = model.subgraphs[0].tensors, np.array(numbers, "<i4").tobytes()
    for place in range(len(tensors) - 1, -1, -1):
        if tensors[place].name == _ADDED and _content(model, tensors[place]) == content:
            return place
    tensor = type(tensors[0])()
    tensor.name, tensor.type, tensor.shape = _ADDED, _INT32, [len(numbers)]
    _give(model, tensor, content)
    tensors.append(tensor)
    return len(tensors) - 1


def _of_strided_slice(model: Any, use: _Use, mine: list[int], theirs: list[int]) -> None:
    """An end that the mask names is not looked at."""
    starts, steps = (_numbers(model, use.operator.inputs[i]) for i in (1, 3))
    for place in _places(use.name, mine, theirs):
        if starts is None or steps is None or starts[place] != 0 or steps[place] != 1:
            raise Bound("STRIDED_SLICE takes some of the examples")
        use.operator.builtinOptions.endMask |= 1 << place


#: Which input of which operator is a list of sizes that may be left open, and what must hold for it.
_SIZES_OF = {("RESHAPE", 1): _of_reshape, ("SLICE", 2): _of_slice, ("STRIDED_SLICE", 2): _of_strided_slice}


def _one_row(tensor: Any, mine: bytes, theirs: bytes, shape: list[int], name: str) -> bytes:
    """The content for one example, where every example has the same; the tensor gets its shape."""
    own = _listed(tensor.shape)
    places = [i for i, (one, other) in enumerate(zip(own, shape, strict=True)) if one != other]
    width = len(mine) // max(int(np.prod(own)), 1)
    if len(places) != 1 or (own[places[0]], shape[places[0]]) != SIZES or width not in (1, 2, 4, 8):
        raise Bound(f"{name} takes numbers that depend on how many examples there are")
    axis = places[0]
    whole: list[Array] = [np.frombuffer(one, f"V{width}").reshape(size) for one, size in ((mine, own), (theirs, shape))]
    row = whole[0].take([0], axis)
    if any(one.tobytes() != np.repeat(row, one.shape[axis], axis).tobytes() for one in whole):
        raise Bound(f"{name} takes numbers of its own for each example's place in the batch")
    tensor.shape = [1 if i == axis else one for i, one in enumerate(own)]
    return row.tobytes()


def _give(model: Any, tensor: Any, content: bytes) -> None:
    """Other tensors may share the buffer that it had."""
    buffer = type(model.buffers[0])()
    buffer.data = np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1


def _uses(model: Any, graph: Any) -> dict[int, list[_Use]]:
    found: dict[int, list[_Use]] = {}
    for operator in graph.operators:
        for place, number in enumerate(_listed(operator.inputs)):
            found.setdefault(number, []).append(_Use(_name(model, operator), operator, place))
    return found


def _name(model: Any, operator: Any) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return _called().get(number, f"operator {number}") if not code.customCode else bytes(code.customCode).decode("utf-8", "replace")


@cache
def _called() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


def _content(model: Any, tensor: Any) -> bytes | None:
    data = model.buffers[tensor.buffer].data
    return None if data is None else bytes(data)


def _numbers(model: Any, number: int) -> list[int] | None:
    """The integers of a constant."""
    content = _content(model, model.subgraphs[0].tensors[number])
    return None if content is None else np.frombuffer(content, "<i4").tolist()


def _listed(value: Any) -> Any:
    """Numbers of the schema, which are numpy arrays or lists or nothing, so that they can be compared."""
    if value is None:
        return []
    return [int(one) for one in value] if isinstance(value, list | np.ndarray) else value
