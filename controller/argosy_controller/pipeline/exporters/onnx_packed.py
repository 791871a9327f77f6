"""ONNX that computes exactly what the single-precision file does, with weights stored as indices, bits or distances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from argosy.errors import InvalidInput
from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.onnx_fp32 import OPSET, OnnxFp32
from argosy_controller.pipeline.exporters.onnx_graph import save
from argosy_controller.pipeline.exporters.unpacking import Unpacking, smallest
from argosy_controller.pipeline.options import Config
from argosy_controller.pipeline.task import Array

if TYPE_CHECKING:
    import onnx

SIZE_ONLY = "size only: no engine here runs bits faster; weights are unpacked when loaded"
#: Tensors with fewer values gain nothing.
_LEAST_VALUES = 32


class OnnxPacked(Exporter[Config]):
    """For shared, binary and pruned weights. What compresses no better that way stays as it is."""

    format = "onnx"
    precision = "packed"
    paper = "Han et al. 2016, Deep compression, arXiv:1510.00149, section 3 and figure 2; Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Packs what `OnnxFp32` wrote."""
        import onnx

        model = modern(onnx.load(source.file(OnnxFp32())))
        before = {name: one.detach().numpy() for name, one in source.model.state_dict().items() if str(one.dtype) == "torch.float32"}
        forms = pack(model, before)
        save(model, path)
        source.note(path, SIZE_ONLY)
        source.note(path, _told(forms))


def pack(model: onnx.ModelProto, before: dict[str, Array]) -> list[str]:
    """Packs every tensor that becomes smaller, in place; returns the form of each.

    Args:
        before: weights by name as they were before batch norms were folded into them, where known.
    """
    import onnx

    graph = model.graph
    shared: dict[str, Array] = {}
    packed: list[Unpacking] = []
    forms = []
    for tensor in [one for one in graph.initializer if one.data_type == 1 and np.prod(one.dims) >= _LEAST_VALUES]:
        base = [before[tensor.name]] if tensor.name in before else []
        found = smallest(tensor.name, onnx.numpy_helper.to_array(tensor), base, f"~{len(packed)}.", shared)
        if found is not None:
            graph.initializer.remove(tensor)
            forms.append(found[0])
            packed.append(found[1])
    put(graph, packed, shared)
    return forms


def put(graph: onnx.GraphProto, packed: Iterable[Unpacking], shared: dict[str, Array]) -> None:
    """Puts what rebuilds tensors before everything else in a graph."""
    import onnx

    rest = list(graph.node)
    del graph.node[:]
    for one in packed:
        graph.node.extend(one.nodes)
        graph.initializer.extend(one.constants)
    graph.node.extend(rest)
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in sorted(shared.items()))


def modern(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the operators that unpacking needs; files from elsewhere may be of an older operator set.

    Raises:
        InvalidInput: it cannot be lifted.
    """
    import onnx

    version = next((one.version for one in model.opset_import if one.domain == ""), 0)
    if version >= OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter raises what it likes
        raise InvalidInput(f"the file is of ONNX operator set {version}, and unpacking needs {OPSET}: export it again") from error


def _told(forms: list[str]) -> str:
    if not forms:
        return "no tensor became smaller: share weights, binarise or prune before"
    return "weights kept as " + ", ".join(f"{form} ({count} tensors)" for form, count in sorted(Counter(forms).items()))
