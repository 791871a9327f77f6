"""ONNX in single precision, by torch's own exporter. The batch dimension stays free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.options import Config

if TYPE_CHECKING:
    import onnx
    import torch
    from torch import nn

#: Opset 20 runs on every onnxruntime since 1.17.
OPSET = 20


class OnnxFp32(Exporter[Config]):
    """`torch.onnx.export` (dynamo), stripped of everything that tells of the machine that made it."""

    format = "onnx"
    precision = "fp32"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Writes the model with the data's input names and the task's output names; what came as ONNX stays as it came."""
        import onnx

        from argosy_controller.pipeline.sources.graphs import Foreign

        if isinstance(source.model, Foreign):
            path.write_bytes(source.model.onnx())
            return
        onnx.save(by_torch(source.model, source.example(2), source.outputs), path)


def by_torch(network: nn.Module, example: Mapping[str, torch.Tensor], outputs: Sequence[str]) -> onnx.ModelProto:
    """The network by torch's exporter, the batch free.

    Args:
        example: of two rows or more, by public name.
    """
    import torch

    program = torch.onnx.export(
        network,
        tuple(example.values()),
        dynamo=True,
        opset_version=OPSET,
        input_names=list(example),
        output_names=list(outputs),
        dynamic_shapes=tuple({0: torch.export.Dim("batch", min=1, max=65536)} for _ in example),
        verbose=False,
    )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    _strip(model)
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Removes source paths, stack traces and descriptions: they reveal the builder's disk and say nothing to a device."""
    model.doc_string = ""
    del model.metadata_props[:]
    graph: Any = model.graph
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info, *model.functions):
        part.doc_string = ""
        del part.metadata_props[:]
