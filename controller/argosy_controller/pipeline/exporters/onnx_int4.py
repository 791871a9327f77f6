"""ONNX with 4-bit weights; they are unpacked when a runtime loads the file, and inference is in single precision."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.mixed import kept_float
from argosy_controller.pipeline.exporters.onnx_graph import OnnxFolded, layers, save
from argosy_controller.pipeline.exporters.onnx_packed import SIZE_ONLY, modern, put
from argosy_controller.pipeline.exporters.options import MixedConfig
from argosy_controller.pipeline.exporters.unpacking import Unpacking, codes
from argosy_controller.pipeline.task import Array

if TYPE_CHECKING:
    import onnx

Floats = NDArray[np.float32]
#: Which input is the weights, and along which axis its output channels lie.
_WEIGHTS = {"Conv": (1, 0), "ConvTranspose": (1, 1), "Gemm": (1, 0), "MatMul": (1, -1), "Gather": (0, 0)}
_SHRINKS = np.linspace(1.0, 0.5, 26)


class OnnxInt4Config(MixedConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        block: weights of one output channel that share a scale (16 bits each); 0: the whole channel.
        scales: `minmax` covers a block's largest weight; `mse` takes the scale with the smallest squared error, which
            cuts the largest: better for some models, worse for ResNet-20.
    """

    block: Annotated[int, Meta(ge=0, le=1024, description="weights that share a scale; 0: all of an output channel")] = 16
    scales: Annotated[Literal["minmax", "mse"], Meta(description="how a block's scale is chosen")] = "minmax"


class OnnxInt4(Exporter[OnnxInt4Config]):
    """Kernels of convolutions, matrices and embeddings in 4 bits, symmetric; biases and activations stay float.

    onnxruntime computes with DequantizeLinear of int4 in every request (2 times slower than fp32 for convolutions, 20 times
    for Gemm, measured); operators that it folds when it loads the file cost nothing then.
    """

    format = "onnx"
    precision = "int4"
    paper = "Dettmers and Zettlemoyer 2023, The case for 4-bit precision, arXiv:2212.09720 (blocks); scales as Sung et al. 2015, arXiv:1511.06488"
    config = OnnxInt4Config

    def export(self, source: Source, path: Path, config: OnnxInt4Config) -> None:
        """Quantises the weights of the folded file."""
        import onnx

        folded = source.file(OnnxFolded())
        found = layers(onnx.load(folded))
        with tempfile.TemporaryDirectory(dir=source.folder) as scratch:
            trial = Path(scratch) / "trial.onnx"

            def make(floats: frozenset[str]) -> Path:
                _quantised(folded, floats, config, trial)
                return trial

            floats = kept_float(source, path, config, [one.name for one in found if one.operator in _WEIGHTS], make, folded, "onnx")
        count = _quantised(folded, floats, config, path)
        source.note(path, SIZE_ONLY)
        source.note(path, f"4 bits: the weights of {count} of {len(found)} layers; biases and activations stay float")


def _quantised(file: Path, floats: frozenset[str], config: OnnxInt4Config, to: Path) -> int:
    """Writes the file with 4-bit weights but for the layers named; returns how many tensors it changed."""
    import onnx

    model = modern(onnx.load(file))
    names = {node for one in layers(model) if one.name in floats for node in one.nodes}
    tensors = {one.name: one for one in model.graph.initializer}
    shared: dict[str, Array] = {}
    packed: dict[str, Unpacking] = {}
    for node in model.graph.node:
        at, axis = _WEIGHTS.get(node.op_type, (None, 0))
        tensor = tensors.get(node.input[at]) if at is not None and node.name not in names else None
        if tensor is not None and tensor.data_type == 1 and len(tensor.dims) >= 2 and tensor.name not in packed:
            weights = onnx.numpy_helper.to_array(tensor)
            to_name = Unpacking(f"~{len(packed)}.", shared)
            packed[tensor.name] = _unpacked(to_name, weights, _channel_axis(node, axis, weights.ndim), config).called(tensor.name)
            model.graph.initializer.remove(tensor)
    put(model.graph, packed.values(), shared)
    save(model, to)
    return len(packed)


def _channel_axis(node: onnx.NodeProto, axis: int, dimensions: int) -> int:
    if node.op_type == "Gemm" and not any(one.name == "transB" and one.i for one in node.attribute):
        return 1
    return axis % dimensions


def _unpacked(to: Unpacking, weights: Floats, axis: int, config: OnnxInt4Config) -> Unpacking:
    """Codes, less 8, times scales, in the tensor's own shape."""
    turned = np.moveaxis(weights, axis, 0)
    rows = turned.reshape(len(turned), -1)
    block = min(config.block or rows.shape[1], rows.shape[1])
    blocks = np.pad(rows, ((0, 0), (0, -rows.shape[1] % block))).reshape(len(rows), -1, block)
    numbers, scales = quantised_blocks(blocks, config.scales == "mse")
    signed = to.node(
        "Sub", to.node("Cast", codes(to, (numbers + 8).astype(np.uint8).ravel(), 4), to=1), to.common("eight", np.array(8, np.float32))
    )
    wide = to.node("Cast", to.constant(scales), to=1)
    last = to.node("Mul", to.node("Reshape", signed, to.shape(*blocks.shape)), wide)
    if blocks[0].size > rows.shape[1]:
        last = to.node("Reshape", last, to.shape(len(rows), -1))
        last = to.node("Slice", last, to.common("start", np.array([0], np.int64)), to.shape(rows.shape[1]), to.shape(1))
    last = to.node("Reshape", last, to.shape(*turned.shape))
    if axis != 0:
        to.node("Transpose", last, perm=[int(one) for one in np.argsort([axis, *(i for i in range(weights.ndim) if i != axis)])])
    return to


def quantised_blocks(blocks: Floats, search: bool) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Numbers from -8 to 7 and half-precision scales (channels, blocks, 1) for weights (channels, blocks, weights).

    The largest weight of a block becomes -8, whatever its sign (a scale may be negative): all 16 numbers are in use.

    Args:
        search: tries smaller scales too, and keeps for each block the one with the smallest squared error.
    """
    at = np.abs(blocks).argmax(axis=2)[:, :, None]
    whole = np.take_along_axis(blocks, at, 2) / -8
    scales = _half(whole)
    least = _error(blocks, scales)
    for share in _SHRINKS[1:] if search else ():
        tried = _half(whole * share)
        error = _error(blocks, tried)
        scales, least = np.where(error < least, tried, scales), np.minimum(error, least)
    return _numbers(blocks, scales).astype(np.int8), scales.astype(np.float16)


def _half(scales: Array) -> Floats:
    """Rounded to what is stored; the smallest that is not 0 for blocks of zeros."""
    sizes = np.clip(np.abs(scales), 6e-8, 65504)
    rounded: Floats = np.copysign(sizes, scales).astype(np.float16).astype(np.float32)
    return rounded


def _numbers(blocks: Floats, scales: Floats) -> Floats:
    return np.clip(np.round(blocks / scales), -8, 7)


def _error(blocks: Floats, scales: Floats) -> Array:
    error: Array = ((_numbers(blocks, scales) * scales - blocks) ** 2).sum(axis=2, keepdims=True)
    return error
