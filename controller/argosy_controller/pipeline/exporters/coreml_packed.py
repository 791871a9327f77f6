"""Core ML with weights as indices into a table, which is unpacked when the model is loaded: an ML program for iOS 16 and later."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.options import Config
from argosy_controller.pipeline.task import Array

#: Weights of fewer numbers stay as they are: their table would take what the indices save.
_LEAST_VALUES = 512


class CoreMLPackedConfig(Config, frozen=True, kw_only=True):
    """How tables come about.

    Attributes:
        method: `unique` keeps every weight to the bit, so it packs those with at most 256 different values (shared, binary);
            `kmeans` packs all by the nearest of 2^bits values.
    """

    method: Annotated[Literal["unique", "kmeans"], Meta(description="unique: no weight changes; kmeans: the nearest of 2^bits values")] = (
        "unique"
    )
    bits: Annotated[Literal[1, 2, 4, 6, 8], Meta(description="of kmeans: bits of an index")] = 6


class CoreMLPacked(Exporter[CoreMLPackedConfig]):
    """Palettised, as coremltools calls it. Activations and arithmetic are in single precision."""

    format = "coreml"
    precision = "packed"
    paper = "Han et al. 2016, Deep compression, arXiv:1510.00149, section 3"
    config = CoreMLPackedConfig

    def exact(self, config: CoreMLPackedConfig) -> bool:
        """Only `unique` changes no weight."""
        return config.method == "unique"

    def export(self, source: Source, path: Path, config: CoreMLPackedConfig) -> None:
        """Converts, and packs each weight tensor of 512 numbers or more."""
        from coremltools.optimize import coreml

        from argosy_controller.pipeline.exporters.coreml_convert import for_packing
        from argosy_controller.pipeline.exporters.coreml_files import write_package

        with for_packing(source, path) as model, warnings.catch_warnings():
            # k-means says so where weights have fewer different values than the table has places: nothing is lost then.
            warnings.filterwarnings("ignore", message="Number of distinct clusters")
            packed = coreml.palettize_weights(model, _how(model, config))
            write_package(packed, path, source.folder)
        count = sum(one.type == "constexpr_lut_to_dense" for one in _operations(packed))
        source.note(path, f"weights kept as codebook ({count} tensors)" if count else _NOTHING)


#: Numbers that a table may have.
_TABLES = (2, 4, 16, 64, 256)
_NOTHING = "no tensor has few enough different values: share weights or binarise before, or take method = 'kmeans'"


def _how(model: Any, config: CoreMLPackedConfig) -> Any:
    from coremltools.optimize import coreml

    if config.method == "kmeans":
        how = coreml.OpPalettizerConfig(mode="kmeans", nbits=config.bits, weight_threshold=_LEAST_VALUES)
        return coreml.OptimizationConfig(global_config=how)
    exact = coreml.OpPalettizerConfig(mode="custom", lut_function=table, weight_threshold=_LEAST_VALUES)
    weights = coreml.get_weights_metadata(model, weight_threshold=_LEAST_VALUES)
    few = [name for name, one in weights.items() if len(np.unique(one.val)) <= _TABLES[-1]]
    return coreml.OptimizationConfig(op_name_configs=dict.fromkeys(few, exact))


def table(weight: Array) -> tuple[Array, Array]:
    """The different values of a tensor, up to a length that tables may have, and which of them each number is.

    coremltools' own mode `unique` asks for tables of 8 numbers, which it then refuses.
    """
    values, index = np.unique(weight, return_inverse=True)
    length = next(one for one in _TABLES if one >= len(values))
    return np.pad(values, (0, length - len(values))), index.reshape(-1).astype(np.uint8)


def _operations(model: Any) -> list[Any]:
    function = model.get_spec().mlProgram.functions["main"]
    return list(function.block_specializations[function.opset].operations)
