"""Every operator that converts, by its name in the default domain."""

from __future__ import annotations

from typing import Any

from argosy_controller.pipeline.sources.onnx_to_torch import activations, arithmetic, layers, recurrent, reducing, selecting, shapes

#: From an operator's place and its inputs (None where one is left out) to its output, or to a tuple of them.
OPERATORS: dict[str, Any] = {
    **arithmetic.OPERATORS,
    **activations.OPERATORS,
    **layers.OPERATORS,
    **shapes.OPERATORS,
    **selecting.OPERATORS,
    **reducing.OPERATORS,
    **recurrent.OPERATORS,
}
