"""ONNX with 8-bit weights and activations: onnxruntime's static quantiser in QDQ form; inputs and outputs stay float."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.onnx_fp32 import OnnxFp32
from argosy_controller.pipeline.options import Config
from argosy_controller.pipeline.task import Array


class OnnxInt8(Exporter[Config]):
    """Min-max ranges from calibration data, weights per channel.

    Weights keep 7 of their 8 bits (`reduce_range`): processors without VNNI add pairs of 8-bit products in 16 bits, which
    overflows with full weights, so the same file would answer differently there, and fail its golden probes.
    """

    format = "onnx"
    precision = "int8"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Quantises what `OnnxFp32` wrote."""
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        with tempfile.TemporaryDirectory(dir=source.folder) as scratch:
            folded = Path(scratch) / "folded.onnx"
            quant_pre_process(source.file(OnnxFp32()), folded, skip_symbolic_shape=True)
            quantize_static(
                folded,
                path,
                _Reader(source),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )


class _Reader:
    """Calibration inputs in batches, as the quantiser wants them: `get_next` until None."""

    def __init__(self, source: Source, batch: int = 32) -> None:
        self._batches: Iterator[dict[str, Array]] = (
            source.arrays(slice(start, start + batch)) for start in range(0, len(source.calibration), batch)
        )

    def get_next(self) -> dict[str, Array] | None:
        return next(self._batches, None)

    def __len__(self) -> int:  # the quantiser asks; one pass over everything is what it means here
        return 0

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> dict[str, Array]:
        return next(self._batches)
