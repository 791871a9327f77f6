"""ONNX in single precision, by torch's own exporter. The batch dimension stays free."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.options import Config

if TYPE_CHECKING:
    import onnx

#: Opset 20 runs on every onnxruntime since 1.17.
OPSET = 20


class OnnxFp32(Exporter[Config]):
    """`torch.onnx.export` (dynamo), stripped of everything that tells of the machine that made it."""

    format = "onnx"
    precision = "fp32"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Writes the model with the data's input names and the task's output names; what came as ONNX stays as it came."""
        import onnx
        import torch

        from argosy_controller.pipeline.sources.graphs import Foreign

        if isinstance(source.model, Foreign):
            path.write_bytes(source.model.onnx())
            return
        example = source.example(2)
        program = torch.onnx.export(
            source.model,
            tuple(example.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(example),
            output_names=list(source.outputs),
            dynamic_shapes=tuple({0: torch.export.Dim("batch", min=1, max=65536)} for _ in example),
            verbose=False,
        )
        assert program is not None
        model = program.model_proto
        _strip(model)
        onnx.save(model, path)


def _strip(model: onnx.ModelProto) -> None:
    """Removes source paths, stack traces and descriptions: they reveal the builder's disk and say nothing to a device."""
    model.doc_string = ""
    del model.metadata_props[:]
    graph: Any = model.graph
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info, *model.functions):
        part.doc_string = ""
        del part.metadata_props[:]
