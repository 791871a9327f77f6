"""What exporters that rewrite an ONNX file need: the file folded, its layers by name, and its tensors on calibration data."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.onnx_fp32 import OnnxFp32
from argosy_controller.pipeline.options import Config
from argosy_controller.pipeline.task import Array, Split

if TYPE_CHECKING:
    import onnx

#: Values of all tensors that one batch may hold: 256 MB.
_MOST_VALUES = 1 << 26
_LARGEST_BATCH = 32


class OnnxFolded(Exporter[Config]):
    """The single-precision file with constants and batch norms folded, every node named: what is quantised. Not a variant."""

    format = "onnx"
    precision = "folded"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Folds what `OnnxFp32` wrote."""
        import onnx
        from onnxruntime.quantization.shape_inference import quant_pre_process

        with quiet():
            quant_pre_process(source.file(OnnxFp32()), path, skip_symbolic_shape=True)
        model = onnx.load(path)
        name_nodes(model)
        save(model, path)


@dataclass(frozen=True)
class Layer:
    """A node with weights and the nodes without that follow it, up to the next with weights; together they are all nodes.

    Attributes:
        name: as torch calls the module with these weights, else the node's.
        nodes: names, the one with weights first, but for what stands before the first layer.
        operator: of the node with weights.
    """

    name: str
    nodes: tuple[str, ...]
    operator: str


def layers(model: onnx.ModelProto) -> list[Layer]:
    """The layers of a model with named nodes, in order."""
    weights = {one.name: len(one.dims) for one in model.graph.initializer if one.data_type == 1}
    groups: list[list[onnx.NodeProto]] = []
    for node in model.graph.node:
        heavy = any(weights.get(name, 0) >= 2 for name in node.input)
        starts = heavy and (not groups or any(_is_heavy(one, weights) for one in groups[-1]))
        if starts or not groups:
            groups.append([])
        groups[-1].append(node)
    return _distinct([_layer(group, weights) for group in groups])


def _is_heavy(node: onnx.NodeProto, weights: Mapping[str, int]) -> bool:
    return any(weights.get(name, 0) >= 2 for name in node.input)


def _layer(group: list[onnx.NodeProto], weights: Mapping[str, int]) -> Layer:
    known = [name for node in group for name in node.input if name in weights]
    modules = [name.rpartition(".")[0] for name in known if name.rpartition(".")[2] in ("weight", "bias", "weight_bias")]
    first = next((one for one in group if _is_heavy(one, weights)), group[0])
    return Layer(modules[0] if modules else first.name, tuple(one.name for one in group), first.op_type)


def _distinct(found: list[Layer]) -> list[Layer]:
    """Weights used twice give two layers of one name: the later ones are called by their node as well."""
    seen: set[str] = set()
    result = []
    for one in found:
        name = f"{one.name}@{one.nodes[0]}" if one.name in seen else one.name
        seen.add(name)
        result.append(Layer(name, one.nodes, one.operator))
    return result


def name_nodes(model: onnx.ModelProto) -> None:
    """Gives nodes without a name, or with another's, one of their own."""
    seen: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{number}"
        seen.add(node.name)


def observing(path: Path, examples: Split) -> Callable[[], Iterator[Mapping[str, Array]]]:
    """Goes through calibration examples: per batch, inputs and every float tensor that a node gives, by name."""
    import onnx

    model = onnx.load(path)
    kept = [one.name for one in model.graph.output]
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for node in model.graph.node for name in node.output if name and name not in kept
    )
    session = _session(model.SerializeToString())
    names = [one.name for one in session.get_outputs() if one.type == "tensor(float)"]
    floats = [one.name for one in session.get_inputs() if one.type == "tensor(float)"]
    fixed = any(not one.shape or isinstance(one.shape[0], int) for one in session.get_inputs())

    def run(start: int, size: int) -> dict[str, Array]:
        inputs = {name: np.asarray(array[start : start + size], order="C") for name, array in examples.inputs.items()}
        return {name: inputs[name] for name in floats} | dict(zip(names, session.run(names, inputs), strict=True))

    size = 1 if fixed else max(1, min(_LARGEST_BATCH, _MOST_VALUES // max(1, sum(one.size for one in run(0, 1).values()))))
    return lambda: (run(start, size) for start in range(0, len(examples), size))


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def without(found: Collection[Layer], floats: Collection[str]) -> list[str]:
    """The nodes of the layers that stay float."""
    return [node for one in found if one.name in floats for node in one.nodes]


def save(model: onnx.ModelProto, path: Path) -> None:
    """Writes a file that says nothing but what it computes: no empty operator sets, notes or shapes of inner tensors."""
    import onnx

    used = {one.domain for one in _nodes(model)} | {""}
    kept = sorted((one.domain, one.version) for one in model.opset_import if one.domain in used)
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in kept)
    del model.graph.value_info[:]
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "argosy", "", ""
    path.write_bytes(model.SerializeToString(deterministic=True))


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    from argosy_controller.pipeline.files.formats import all_nodes

    yield from all_nodes(model.graph)
    for function in model.functions:
        yield from function.node


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Libraries print and warn about what they do; a build tells people what they must know."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
