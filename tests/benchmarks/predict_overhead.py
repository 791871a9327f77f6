"""What Slot.predict costs on top of the bare onnxruntime session: alternating blocks of calls in one process, one thread."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import msgspec
import numpy as np
import onnxruntime
import small_models
from alternating import interval_text, median_ratio
from record import Figure, leave, write

from argosy_agent import Slot
from argosy_agent.runtimes.onnxruntime_session import _options
from argosy_agent.serving.slot import Current

AIM = "at most 1.02x or 5 µs"


def block_us(call: Callable[[Any], Any], inputs: dict[str, Any], calls: int) -> float:
    """Median time of one call, in microseconds."""
    durations = []
    for _ in range(calls):
        begin = time.perf_counter_ns()
        call(inputs)
        durations.append(time.perf_counter_ns() - begin)
    return statistics.median(durations) / 1000


def measure(label: str, model: bytes, inputs: dict[str, Any], pairs: int, calls: int) -> Figure:
    """The overhead on one model."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        content = small_models.write_onnx_variant(state / "variant", model)
        (state / "slots").mkdir()
        (state / "slots" / "bench.current.json").write_bytes(msgspec.json.encode(Current(folder="variant", content=content)))
        bare = onnxruntime.InferenceSession(str(state / "variant" / "model.onnx"), _options(1), providers=["CPUExecutionProvider"])
        names = [node.name for node in bare.get_outputs()]
        with Slot("bench", state=state) as slot:
            measured = []
            for number in range(-2, pairs):
                pair = (block_us(slot.predict, inputs, calls), block_us(lambda x: bare.run(names, x), inputs, calls))
                measured += [pair] if number >= 0 else []
    ratio = median_ratio(measured)
    overhead = statistics.median(one - other for one, other in measured)
    base = statistics.median(other for _, other in measured)
    met = ratio <= 1.02 or overhead <= 5
    against = f"bare onnxruntime session ({base:.1f} µs)"
    return Figure(f"overhead of Slot.predict, {label} ({interval_text(measured)})", overhead, "µs", against, ratio, "aim", AIM, met)


def main() -> None:
    """Measures a model that does nothing and a small CNN."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--calls", type=int, default=3000, help="calls in a block")
    arguments = parser.parse_args()
    models = [
        ("constant model", small_models.constant_bytes(1), {"x": np.zeros((1, 4), np.float32)}),
        ("CNN on 28 x 28", small_models.cnn_bytes(), {"x": np.zeros((1, 1, 28, 28), np.float32)}),
        ("CNN on 96 x 96", small_models.cnn_bytes(side=96, channels=16), {"x": np.zeros((1, 1, 96, 96), np.float32)}),
    ]
    figures = []
    for label, model, inputs in models:
        calls = arguments.calls if "96" not in label else arguments.calls // 10
        figures.append(measure(label, model, inputs, arguments.pairs, calls))
    leave(write("predict-overhead", figures))


if __name__ == "__main__":
    main()
