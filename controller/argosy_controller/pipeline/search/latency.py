"""How long a model file takes for one request, whoever runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from argosy.errors import InvalidInput
from argosy.protocol.card import Timing
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.numbers.evaluation import timing
from argosy_controller.pipeline.task import Array


class Latency(Protocol):
    """Measures files. Devices of the fleet can stand behind this as a local runtime does.

    `measure` answers with median and 99th percentile in microseconds, warm, of requests of one example in which it goes
    round. It raises InvalidInput for a format that it cannot run.
    """

    def measure(self, file: Path, model_format: str, requests: Sequence[Mapping[str, Array]]) -> Timing: ...


class LocalLatency:
    """In this process, in the format's own runtime, on one thread."""

    def measure(self, file: Path, model_format: str, requests: Sequence[Mapping[str, Array]]) -> Timing:
        """As `Latency` says."""
        engine = open_model(model_format, file)
        if engine is None:
            raise InvalidInput(f"no engine on this machine runs the format {model_format}, so its latency is not known here")
        return timing(engine, requests)
