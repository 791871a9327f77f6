"""Static quantisation of an ONNX file in QDQ form, and mixed precision over it; the same for 8- and 16-bit activations."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from argosy.errors import InvalidInput
from argosy_controller.pipeline.exporters.calibration import Range, observed_ranges
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.exporters.mixed import kept_float
from argosy_controller.pipeline.exporters.onnx_graph import OnnxFolded, layers, observing, quiet, save, without
from argosy_controller.pipeline.exporters.options import MixedConfig, StaticConfig

#: What an estimator's network has in few bits.
PRODUCTS = ("MatMul", "Gemm")
#: Writes the quantised form of a file, but for the nodes named, to a path.
Quantise = Callable[[Path, list[str], Path], None]


def export_mixed(source: Source, path: Path, config: MixedConfig, quantise: Quantise) -> None:
    """Quantises the folded file; which layers stay float is found first, where the options ask for it.

    Raises:
        InvalidInput: it is of an estimator that has no weights to quantise, so that the file would be one of single precision.
    """
    import onnx

    given, source = source, source.quantisable
    folded = source.file(OnnxFolded())
    model = onnx.load(folded)
    _check_weights(given, model)
    found = layers(model)
    with tempfile.TemporaryDirectory(dir=source.folder) as scratch:
        trial = Path(scratch) / "trial.onnx"

        def make(floats: frozenset[str]) -> Path:
            quantise(folded, without(found, floats), trial)
            return trial

        floats = kept_float(source, path, config, [one.name for one in found], make, folded, "onnx")
    quantise(folded, without(found, floats), path)


def only_products(source: Source) -> dict[str, Any]:
    """Options of onnxruntime's static quantiser: of an estimator only products with weights, and their results stay float."""
    if not source.quantisable.lowered:
        return {"op_types_to_quantize": None, "extra_options": {}}
    return {"op_types_to_quantize": list(PRODUCTS), "extra_options": {"OpTypesToExcludeOutputQuantization": list(PRODUCTS)}}


def _check_weights(source: Source, model: Any) -> None:
    """onnxruntime quantises matrix products; trees and Gaussian naive Bayes have none."""
    from argosy_controller.pipeline.sources.graphs import kind_of

    weights = {one.name for one in model.graph.initializer if len(one.dims) > 1 and one.data_type == 1}
    products = any(node.op_type in PRODUCTS and weights & set(node.input) for node in model.graph.node)
    if kind_of(source.model) == "estimator" and not products:
        raise InvalidInput(
            f"an estimator ({source.model.extra_repr().partition(',')[0]}) that is no matrix product in an ONNX file has nothing there to "
            "quantise: use onnx-fp32, or tflite-int8"
        )


def calibrated(source: Source, config: StaticConfig, symmetric: bool) -> dict[str, Range]:
    """Ranges of every float tensor of the folded file."""
    source = source.quantisable
    examples = source.calibration.take(slice(0, config.examples or None))
    return observed_ranges(observing(source.file(OnnxFolded()), examples), config.calibration, config.percentile, symmetric)


def quantise_static(file: Path, to: Path, ranges: Mapping[str, Range], floats: list[str], **options: Any) -> None:
    """By onnxruntime's own quantiser, with ranges of ours in place of its calibration.

    Args:
        floats: nodes that stay float.
        options: of `onnxruntime.quantization.quantize_static`.
    """
    import onnx
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory() as scratch, quiet():
        known = Path(scratch) / "ranges.json"
        _write_ranges(known, ranges)
        quantization.quantize_static(
            file, to, None, quant_format=quantization.QuantFormat.QDQ, nodes_to_exclude=floats, calibration_cache_path=known, **options
        )
    model = onnx.load(to)
    save(model, to)


def _write_ranges(path: Path, ranges: Mapping[str, Range]) -> None:
    import numpy as np
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData, save_tensors_data

    data = {name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in ranges.items()}
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, data), path)
