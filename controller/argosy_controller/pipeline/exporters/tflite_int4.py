"""TFLite with 4-bit weights, per channel; activations are quantised to 8 bits while the model runs, or stay float."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.options import MixedConfig
from argosy_controller.pipeline.exporters.tflite_quantise import Scales, algorithm, export_mixed, granularity

NEWER = "for ai-edge-litert alone: tflite-runtime 2.14, the last there is, answers wrongly with 4-bit weights, or not at all"


class TFLiteInt4Config(MixedConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        activations: `dynamic` computes in integers; `float` makes the weights float again in every request, which took 35
            times as long as fp32 for ResNet-20.
        scales: as in tflite-int8; `mse` cost ResNet-20 nine points more.
    """

    activations: Annotated[Literal["dynamic", "float"], Meta(description="in what the file computes")] = "dynamic"
    scales: Annotated[Scales, Meta(description="how scales of weights are chosen")] = "minmax"


class TFLiteInt4(Exporter[TFLiteInt4Config]):
    """Weights of convolutions, linear layers and embeddings; biases stay as they are."""

    format = "tflite"
    precision = "int4"
    paper = "Dettmers and Zettlemoyer 2023, The case for 4-bit precision, arXiv:2212.09720"
    config = TFLiteInt4Config

    def export(self, source: Source, path: Path, config: TFLiteInt4Config) -> None:
        """Quantises the weights of what `TFLiteFp32` wrote."""

        def plan(worker: Any) -> None:
            options = {"granularity": granularity(True), "algorithm_key": algorithm(config.scales)}
            add = worker.add_dynamic_config if config.activations == "dynamic" else worker.add_weight_only_config
            add(regex=".*", operation_name="*", num_bits=4, **options)

        export_mixed(source, path, config, plan)
        source.note(path, NEWER)
