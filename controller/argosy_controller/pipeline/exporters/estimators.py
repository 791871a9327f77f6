"""What files in few bits start from when the model is an estimator of scikit-learn: its network, columns made alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argosy_controller.pipeline.exporters.interface import Source


def quantisable(source: Source) -> Source:
    """The estimator's network where the estimator stood, under the same names; any other source is itself."""
    from argosy_controller.pipeline.classical.fitted import Fitted

    if not isinstance(source.model, Fitted):
        return source
    from argosy_controller.pipeline.classical.lowering.levels import levelled

    network = levelled(source.network, source.calibration.inputs[source.model.input_name])
    folder = source.folder / "estimator"
    folder.mkdir(exist_ok=True)
    return replace(source, model=network, folder=folder, lowered=True, _made={})
