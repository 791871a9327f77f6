"""Core ML with weights of 8 bits, turned back into floats when the model is loaded: an ML program for iOS 16 and later."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.options import Config

_LEAST_VALUES = 512


class CoreMLInt8WeightsConfig(Config, frozen=True, kw_only=True):
    """How weights are rounded; each output channel has a scale of its own."""

    mode: Annotated[
        Literal["symmetric", "asymmetric"], Meta(description="symmetric: 0 stays 0; asymmetric: ranges need not include -x for x")
    ] = "symmetric"


class CoreMLInt8Weights(Exporter[CoreMLInt8WeightsConfig]):
    """Activations and arithmetic are in single precision: smaller, not faster."""

    format = "coreml"
    precision = "int8-weights"
    config = CoreMLInt8WeightsConfig

    def export(self, source: Source, path: Path, config: CoreMLInt8WeightsConfig) -> None:
        """Converts, and rounds each weight tensor of 512 numbers or more."""
        from coremltools.optimize import coreml

        from argosy_controller.pipeline.exporters.coreml_convert import for_packing
        from argosy_controller.pipeline.exporters.coreml_files import write_package

        mode = "linear_symmetric" if config.mode == "symmetric" else "linear"
        how = coreml.OpLinearQuantizerConfig(mode=mode, weight_threshold=_LEAST_VALUES)
        with for_packing(source, path) as model:
            write_package(coreml.linear_quantize_weights(model, coreml.OptimizationConfig(global_config=how)), path, source.folder)
