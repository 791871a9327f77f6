"""Weights as fewer bytes, and the ONNX operators that rebuild them exactly when a runtime loads the file.

A runtime folds operators on constants once, when it opens the file; after that the weights are there in single precision, and
inference is as fast as with the plain file. Forms, of which the smallest is taken tensor by tensor (Han et al. 2016,
arXiv:1510.00149, has the first and the last; Rastegari et al. 2016, arXiv:1603.05279, the scales):

- codebook: at most 256 distinct values, and 1 to 8 bits an index;
- scaled: another tensor times one factor for each output channel: signs times scales, or weights that a batch norm was folded
  into;
- bitmap: one bit says where a weight is not 0, and those weights in a vector of their own;
- relative: the vector, and the distance from each to the next in 2 to 8 bits; a longer distance takes zeros in between.

-0.0 becomes 0.0; every other bit of every weight is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from argosy_controller.pipeline.files.formats import UNPACKED
from argosy_controller.pipeline.task import Array

if TYPE_CHECKING:
    import onnx

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]
_WIDTHS = (8, 4, 2, 1)
_MOST_DISTINCT = 256


@dataclass
class Unpacking:
    """Operators and constants that give one tensor.

    Attributes:
        prefix: of inner names, which are otherwise free.
        shared: constants that all tensors of a file have in common, by name.
    """

    prefix: str
    shared: dict[str, Array]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    _count: int = 0

    @property
    def length(self) -> int:
        """Bytes in the file, without what is shared."""
        return int(sum(one.ByteSize() for one in self.nodes)) + int(sum(one.ByteSize() for one in self.constants))

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds an operator; returns its output's name."""
        import onnx

        name = self._name()
        self.nodes.append(onnx.helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, array: Array) -> str:
        """Adds a constant; returns its name."""
        import onnx

        name = self._name()
        self.constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def common(self, name: str, array: Array) -> str:
        """A constant that the file has once."""
        self.shared[UNPACKED + name] = array
        return UNPACKED + name

    def shape(self, *sizes: int) -> str:
        """A shape, for Reshape."""
        return self.constant(np.array(sizes, np.int64))

    def called(self, name: str) -> Unpacking:
        """Names the last operator's output."""
        self.nodes[-1].output[0] = name
        return self

    def _name(self) -> str:
        self._count += 1
        return f"{self.prefix}{self._count}"


def codes(to: Unpacking, values: Codes, bits: int) -> str:
    """Numbers of `bits` bits (1 to 8), flat, as uint8. 5 bits are kept as 4 and 1, so that no number crosses a byte."""
    whole, low = "", 0
    for width in reversed([one for one in _WIDTHS if bits & one]):
        part = _codes_of(to, (values >> low) & (2**width - 1), width)
        if low:
            part = to.node("BitShift", part, to.common(f"left{low}", np.array(low, np.uint8)), direction="LEFT")
        whole = to.node("BitwiseOr", whole, part) if whole else part
        low += width
    return whole


def _codes_of(to: Unpacking, values: Codes, width: int) -> str:
    if width == 8:
        return to.constant(values.astype(np.uint8))
    shifts = to.common(f"right{width}", np.arange(0, 8, width, dtype=np.uint8))
    mask = to.common(f"mask{width}", np.array(2**width - 1, np.uint8))
    shifted = to.node("BitShift", to.constant(_bytes(values, width)[:, None]), shifts, direction="RIGHT")
    return _cut(to, to.node("BitwiseAnd", shifted, mask), len(values), width)


def _bytes(values: Codes, width: int) -> Codes:
    """Several numbers in a byte, the first in its lowest bits."""
    each = 8 // width
    padded = np.append(values, np.zeros(-len(values) % each, np.uint8)).reshape(-1, each).astype(np.uint8)
    packed: Codes = np.bitwise_or.reduce(padded << (np.arange(each, dtype=np.uint8) * width), axis=1, dtype=np.uint8)
    return packed


def _cut(to: Unpacking, name: str, count: int, width: int) -> str:
    """Flat, and without what fills the last byte."""
    flat = to.node("Reshape", name, to.common("flat", np.array([-1], np.int64)))
    if count * width % 8 == 0:
        return flat
    return to.node("Slice", flat, to.common("start", np.array([0], np.int64)), to.shape(count))


def _distinct(values: Floats) -> tuple[Floats, Codes] | None:
    """The values in ascending order and which of them each is; None for more than 256."""
    if len(np.unique(values[: 4 * _MOST_DISTINCT])) > _MOST_DISTINCT:
        return None
    found = np.unique(values)
    return (found, np.searchsorted(found, values).astype(np.uint8)) if len(found) <= _MOST_DISTINCT else None


def _vector(to: Unpacking, values: Floats) -> str:
    """A flat vector, by codebook where that is smaller."""
    book = _distinct(values)
    if book is None or 4 * len(book[0]) + len(values) * _bits(book[0]) / 8 >= 4 * len(values):
        return to.constant(values)
    return _by_codebook(to, *book)


def _bits(values: Floats) -> int:
    return max(1, int(len(values) - 1).bit_length())


def _by_codebook(to: Unpacking, values: Floats, index: Codes) -> str:
    bits = _bits(values)
    if bits in (1, 2, 4):
        return _by_table(to, values, index, bits)
    return to.node("Gather", to.constant(values), _int32(to, codes(to, index, bits)))


def _by_table(to: Unpacking, values: Floats, index: Codes, bits: int) -> str:
    """Looks up all numbers of a byte at once: less to be done, and kept in memory, while a file is loaded."""
    each = np.arange(256, dtype=np.uint8)[:, None] >> np.arange(0, 8, bits, dtype=np.uint8) & np.uint8(2**bits - 1)
    book = to.constant(np.pad(values, (0, 2**bits - len(values))))
    table = to.node("Gather", book, _int32(to, to.common(f"table{bits}", each)))
    looked_up = to.node("Gather", table, _int32(to, to.constant(_bytes(index, bits))))
    return _cut(to, looked_up, len(index), bits)


def _int32(to: Unpacking, name: str) -> str:
    return to.node("Cast", name, to=6)


def _by_bitmap(to: Unpacking, flat: Floats) -> str:
    """Where the mask has a 1, the count of ones so far numbers the value; elsewhere value 0, which is 0."""
    some = flat != 0
    mask = _int32(to, codes(to, some.astype(np.uint8), 1))
    number = to.node("Mul", to.node("CumSum", mask, to.common("axis", np.array(0, np.int32))), mask)
    return to.node("Gather", _vector(to, np.append(np.float32(0), flat[some])), number)


def _by_distance(to: Unpacking, flat: Floats) -> str:
    places = np.flatnonzero(flat)
    steps = np.diff(places, prepend=0)
    bits = min(range(2, 9), key=lambda one: (len(steps) + int(_fillers(steps, one).sum())) * (one + 8))
    step, fillers = 2**bits - 1, _fillers(steps, bits)
    ends = np.cumsum(fillers + 1) - 1
    distances = np.full(int(ends[-1]) + 1, step, np.uint8)
    distances[ends] = steps - fillers * step
    values = np.zeros(len(distances), np.float32)
    values[ends] = flat[places]
    where = to.node("CumSum", _int32(to, codes(to, distances, bits)), to.common("axis", np.array(0, np.int32)))
    return to.node("ScatterElements", to.node("ConstantOfShape", to.shape(len(flat))), where, _vector(to, values))


def _fillers(steps: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Zeros that stand between, so that no distance is longer than its bits hold."""
    fillers: NDArray[np.int64] = np.maximum(0, -(-steps // (2**bits - 1)) - 1)
    return fillers


def _dense(to: Unpacking, flat: Floats, form: str) -> str:
    if form == "bitmap":
        return _by_bitmap(to, flat)
    if form == "relative":
        return _by_distance(to, flat)
    book = _distinct(flat)
    assert book is not None
    return _by_codebook(to, *book)


def _forms(flat: Floats) -> list[str]:
    some = int(np.count_nonzero(flat))
    forms = ["codebook"] if _distinct(flat) is not None else []
    return forms + (["bitmap", "relative"] if 0 < some < 0.9 * len(flat) else [])


@dataclass(frozen=True)
class Factors:
    """A tensor as another times one factor for each index of `axis`: `base * factors == tensor`, bit for bit."""

    base: Floats
    factors: Floats
    axis: int


def smallest(name: str, tensor: Floats, bases: list[Floats], prefix: str, shared: dict[str, Array]) -> tuple[str, Unpacking] | None:
    """The smallest form of a tensor and what rebuilds it under `name`; None where none is smaller than the tensor itself.

    Args:
        bases: tensors of which it may be a multiple, channel by channel (weights before a batch norm was folded into them).
    """
    tensor = np.where(tensor == 0, np.float32(0), tensor)
    ways = [Factors(tensor, np.ones(0, np.float32), 0), *signs(tensor), *(one for base in bases for one in multiples(tensor, base))]
    found: list[tuple[str, Unpacking, dict[str, Array]]] = []
    for way in ways:
        for form in _forms(way.base.ravel()):
            common: dict[str, Array] = {}
            to = Unpacking(prefix, common)
            found.append((_title(form, way), _built(to, name, tensor.shape, way, form), common))
    if not found:
        return None
    title, best, common = min(found, key=lambda one: one[1].length)
    if best.length >= 4 * tensor.size:
        return None
    shared.update(common)
    return title, best


def _title(form: str, way: Factors) -> str:
    return f"scaled {form}" if way.factors.size else form


def _built(to: Unpacking, name: str, shape: tuple[int, ...], way: Factors, form: str) -> Unpacking:
    last = to.node("Reshape", _dense(to, way.base.ravel(), form), to.shape(*shape))
    if way.factors.size:
        sizes = [1] * len(shape)
        sizes[way.axis] = len(way.factors)
        to.node("Mul", last, to.constant(way.factors.reshape(sizes)))
    return to.called(name)


def signs(tensor: Floats) -> list[Factors]:
    """Signs (and zeros) times one size for each channel, first or last axis; none where sizes differ inside a channel."""
    found = []
    for axis in sorted({0, tensor.ndim - 1}) if tensor.ndim > 1 else ():
        others = tuple(one for one in range(tensor.ndim) if one != axis)
        sizes = np.abs(tensor).max(axis=others, keepdims=True)
        if bool(((tensor == 0) | (np.abs(tensor) == sizes)).all()):
            found.append(Factors(np.sign(tensor), sizes.ravel(), axis))
    return found


def multiples(tensor: Floats, base: Floats) -> list[Factors]:
    """The factors along the first axis by which `base` becomes `tensor` to the bit; none where there are not any."""
    if tensor.shape != base.shape or tensor.ndim < 2:
        return []
    rows, wanted = base.reshape(len(base), -1), tensor.reshape(len(base), -1)
    at = np.abs(rows).argmax(axis=1)[:, None]
    largest = np.take_along_axis(rows, at, 1)
    with np.errstate(all="ignore"):
        guess = np.where(largest == 0, np.float32(0), np.take_along_axis(wanted, at, 1) / largest).astype(np.float32)
    factors = np.zeros_like(guess)
    right = np.zeros(len(base), bool)
    for candidate in _neighbours(guess):
        fits = (rows * candidate == wanted).all(axis=1) & ~right
        factors[fits], right = candidate[fits], right | fits
    return [Factors(np.where(base == 0, np.float32(0), base), factors.ravel(), 0)] if bool(right.all()) else []


def _neighbours(values: Floats) -> list[Floats]:
    """The values and the floats next to them: dividing two rounded numbers may miss a factor by that much."""
    found = [values]
    for direction in (np.float32(-np.inf), np.float32(np.inf)):
        one = values
        for _ in range(3):
            one = np.nextafter(one, direction)
            found.append(one)
    return found
