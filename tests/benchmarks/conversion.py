"""Time and peak memory of each conversion: zoo models, networks untrained, to each format in single precision and in 8 bits.

Each is a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from record import Figure, leave, write

MODELS = ("mlp", "lenet-5", "mobilenet", "transformer", "svm", "random-forest")
EXPORTERS = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8", "coreml-fp32", "coreml-int8-weights")
#: Refused: an ONNX file of trees has no matrix product.
NO_FILE = {("random-forest", "onnx-int8")}
#: Smallest of the others, and what an export of one is compared with.
BASELINE = "onnx-fp32"
_TIMEOUT_S = 600
_MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class Cost:
    """What one conversion took.

    Attributes:
        seconds: of the export with the files that it builds on; libraries were imported for a smaller one before.
        peak: resident bytes of the whole process at most, libraries included.
        error: why there is no file, in a sentence.
    """

    seconds: float = 0.0
    peak: int = 0
    error: str = ""


def measure(model: str, exporter: str) -> Cost:
    """Converts in a fresh process."""
    try:
        command = [sys.executable, __file__, "--one", model, exporter]
        done = subprocess.run(command, timeout=_TIMEOUT_S, capture_output=True, check=False, text=True)
    except subprocess.TimeoutExpired:
        return Cost(error=f"took more than {_TIMEOUT_S} s")
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return Cost(error=(done.stderr.strip().splitlines() or ["ended without a word"])[-1][:200])
    return Cost(**json.loads(lines[-1]))


def convert(model: str, exporter: str) -> Cost:
    """In this process: builds the model, then exports it."""
    import numpy as np
    import torch

    from argosy_controller import zoo
    from argosy_controller.pipeline.classical.fitted import Fitted
    from argosy_controller.pipeline.exporters import EXPORTERS as ALL
    from argosy_controller.pipeline.exporters.interface import Source
    from argosy_controller.pipeline.task import Split, load_task, task_model

    torch.set_num_threads(1)
    task = load_task(zoo.FOLDER / model, {})
    data = task.data(0)
    with tempfile.TemporaryDirectory() as scratch:
        small = Split({"x": np.ones((8, 4), np.float32)}, np.zeros(8))
        Source(torch.nn.Linear(4, 4).eval(), ("y",), small, small, task, Path(scratch)).file(ALL[exporter])  # imports what it needs
        (folder := Path(scratch) / "timed").mkdir()
        made = task_model(task, 0).eval()
        made = made.fitted_on(data.train, 0) if isinstance(made, Fitted) else made
        source = Source(made, task.outputs, data.calibrating, data.judging, task, folder)
        began = time.monotonic()
        source.file(ALL[exporter])
        seconds = time.monotonic() - began
    return Cost(seconds=round(seconds, 2), peak=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def figures(model: str, costs: dict[str, Cost]) -> list[Figure]:
    """Two for each exporter; a conversion that failed, or that takes more memory than small builders have, is a `must` that was missed."""
    found = []
    base = costs[BASELINE]
    for name, one in costs.items():
        if one.error:
            found.append(Figure(f"{model} to {name}: {one.error}", 0.0, "s", kind="must", aim="converts", met=False))
            continue
        against = BASELINE if name != BASELINE and base.seconds else ""
        ratio = one.seconds / base.seconds if against else None
        found.append(Figure(f"{model} to {name}, time", one.seconds, "s", against, ratio))
        met = one.peak <= _MOST_BYTES
        found.append(Figure(f"{model} to {name}, peak memory", one.peak / 2**20, "MiB", kind="must", aim="at most 4 GiB", met=met))
    return found


def main(models: tuple[str, ...] = MODELS) -> bool:
    """Measures and writes; whether all converted."""
    wanted = {model: [name for name in EXPORTERS if (model, name) not in NO_FILE] for model in models}
    return write("conversion", [one for model in models for one in figures(model, {name: measure(model, name) for name in wanted[model]})])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        cost = convert(sys.argv[2], sys.argv[3])
        print(json.dumps({"seconds": cost.seconds, "peak": cost.peak}))
    else:
        leave(main(tuple(sys.argv[1:]) or MODELS))
