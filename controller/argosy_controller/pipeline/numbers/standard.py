"""By what a build's variants are judged: the task's metric, and the trained model before any pass."""

from __future__ import annotations

from dataclasses import dataclass

from argosy.protocol.card import Accuracy
from argosy_controller.pipeline.numbers.comparison import method
from argosy_controller.pipeline.numbers.figures import Figures
from argosy_controller.pipeline.numbers.metrics import Metric
from argosy_controller.pipeline.report import Baseline, Step
from argosy_controller.pipeline.variants import Measured

_BYTES_OF_A_WEIGHT = 4


@dataclass(frozen=True)
class Standard:
    """The metric, and what the model before any pass reached on the test data."""

    metric: Metric
    before: Accuracy

    @property
    def interval(self) -> str:
        """How the accuracies' intervals are made, in words."""
        return method(self.metric)

    def baseline(self, first: Step) -> Baseline:
        """The model before any pass, as reports show it; `first` is what the first training left."""
        return Baseline(accuracy=self.before, parameters=first.parameters, bytes=_BYTES_OF_A_WEIGHT * first.parameters, macs=first.macs)

    def figures(self, variant: Measured, last: Step) -> Figures:
        """What goals are judged by; sizes of the model are those after the last pass."""
        return Figures(
            bytes=variant.length,
            accuracy=variant.accuracy,
            drop=variant.drop,
            timing=variant.timings[0] if variant.timings else None,
            macs=last.macs,
            parameters=last.parameters,
            not_zero=last.not_zero,
            best=self.metric.high,
            counted=self.metric.per_example,
        )
