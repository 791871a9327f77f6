"""TFLite in single precision, by litert-torch: no TensorFlow. Batches of any size, where the file proves that it answers them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.options import Config


class TFLiteFp32(Exporter[Config]):
    """The file's signature `serving_default` carries the public names, so it explains itself outside Argosy too."""

    format = "tflite"
    precision = "fp32"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Converts; a note says where it takes one example at a time."""
        from argosy_controller.pipeline.exporters.tflite_convert import convert

        convert(source, path)
        _rename(path, [name for name, _ in source.network.named_modules() if name])


def _rename(path: Path, modules: Collection[str]) -> None:
    """Calls tensors after torch's modules, where the converter joins the Python names of all classes above them.

    Those take a tenth of a small file, tell of the builder's code, and a task's own module has another name elsewhere.
    """
    from ai_edge_litert.tools import flatbuffer_utils as flatbuffers

    model = flatbuffers.read_model(str(path))
    for graph in model.subgraphs:
        for number, tensor in enumerate(graph.tensors):
            name = tensor.name.decode()
            if not name.startswith("serving_default"):
                tensor.name = f"{module_named(name, modules)}:{number}".encode()
    flatbuffers.write_model(model, str(path))


def module_named(name: str, modules: Collection[str]) -> str:
    """torch's name of the module that a converter's name is of, as far as it can be told.

    `...Named/net.ResNet_model/torch.nn.modules.container.Sequential_layer1/net.Block_0/torch.nn.modules.conv.Conv2d_conv1;` is
    `layer1.0.conv1`: each part is a class and, behind a `_`, what its parent calls it. Of a batch norm and the convolution
    that it was folded into, the convolution stands last.
    """
    path = ""
    for part in name.rpartition("Named/")[2].partition(";")[0].split("/")[1:]:
        below = path + "." if path else ""
        children = [one.removeprefix(below) for one in modules if one.startswith(below)]
        fitting = [one for one in children if part.endswith(f"_{one}")]
        if not fitting:
            break
        path = below + max(fitting, key=len)
    return path
