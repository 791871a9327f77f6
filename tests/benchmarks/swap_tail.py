"""The tail of in-process requests while versions swap, against steady serving; and that no request fails.

One thread asks without pause; another loads the other version beside, at low priority, and swaps, as the worker and
argosy_agent.Slot do. Three things: p99 with a swap every second, p99 while loads run back to back (nothing but swaps: the
worst that can be), and a long run with a swap every second in which every answer is checked.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import numpy as np
import small_models
from alternating import interval_text, median_ratio, percentile
from record import Figure, leave, write

from argosy_agent.serving.handle import Handle
from argosy_agent.serving.loading import load_beside, load_model

AIM = "at most 1.1x"
X = {"x": np.zeros((1, 1, 28, 28), np.float32)}


class Swapper:
    """Swaps between two versions until left, `pause_s` apart."""

    def __init__(self, handle: Handle, variants: list[tuple[Path, Any]], pause_s: float) -> None:
        self._handle, self._variants, self._pause_s = handle, variants, pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.swaps = 0

    def _run(self) -> None:
        while not self._stop.is_set():
            folder, content = self._variants[self.swaps % 2]
            self._handle.swap(load_beside(folder, "onnxruntime", content))
            self.swaps += 1
            self._stop.wait(self._pause_s)
            self._handle.release()
            self._handle.fold()

    def __enter__(self) -> Swapper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def p99_us(handle: Handle, seconds: float) -> float:
    """The 99th percentile of requests without pause, in microseconds."""
    durations, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter_ns()
        handle.predict(X)
        durations.append(time.perf_counter_ns() - begin)
    return percentile(durations, 0.99) / 1000


def compared(handle: Handle, variants: list[tuple[Path, Any]], pause_s: float, pairs: int, block_s: float, label: str) -> Figure:
    """p99 while swapping against steady over alternating blocks."""
    measured = []
    for number in range(pairs):
        values = {}
        for swapping in (number % 2 == 0, number % 2 != 0):
            if swapping:
                with Swapper(handle, variants, pause_s):
                    values[swapping] = p99_us(handle, block_s)
            else:
                values[swapping] = p99_us(handle, block_s)
        measured.append((values[True], values[False]))
    ratio = median_ratio(measured)
    value = percentile([one for one, _ in measured], 0.5)
    return Figure(f"{label} ({interval_text(measured)})", value, "µs", "p99 steady, same run", ratio, "aim", AIM, ratio <= 1.1)


def long_run(handle: Handle, variants: list[tuple[Path, Any]], requests: int) -> list[Figure]:
    """Every request is answered by one version, whole, and is counted once."""
    handle.collect()
    answers = {small_answer(handle, folder, content) for folder, content in variants}
    failed, counted, begin = 0, 0, time.perf_counter()
    with Swapper(handle, variants, 1.0) as swapper:
        for number in range(requests):
            try:
                failed += handle.predict(X)["y"].tobytes() not in answers
            except Exception:
                failed += 1
            if number % 100_000 == 0:
                counted += sum(one.requests for one in handle.collect())
    counted += sum(one.requests for one in handle.collect())
    print(f"{requests} requests in {time.perf_counter() - begin:.0f} s, {swapper.swaps} swaps")
    return [
        Figure(
            f"failed of {requests} requests with a swap every second ({swapper.swaps} swaps)",
            failed,
            "requests",
            kind="must",
            aim="0",
            met=failed == 0,
        ),
        Figure(
            "requests counted",
            counted,
            "requests",
            "requests sent",
            counted / requests,
            "must",
            "every request exactly once",
            counted == requests,
        ),
    ]


def small_answer(handle: Handle, folder: Path, content: Any) -> bytes:
    """What a version answers to X."""
    return load_model(folder, "onnxruntime", content).session.run(X)["y"].tobytes()


def main() -> None:
    """Runs all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--block", type=float, default=3.0, metavar="SECONDS")
    parser.add_argument("--requests", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        variants = []
        for version in (1, 2):
            place = Path(folder) / str(version)
            variants.append((place, small_models.write_onnx_variant(place, small_models.cnn_bytes(version), version=version)))
        handle = Handle("bench")
        handle.swap(load_model(variants[0][0], "onnxruntime", variants[0][1]))
        p99_us(handle, 1.0)
        figures = [
            compared(handle, variants, 1.0, arguments.pairs, arguments.block, "p99 with a swap every second"),
            compared(handle, variants, 0.0, arguments.pairs, arguments.block / 3, "p99 while loads run back to back"),
            *long_run(handle, variants, arguments.requests),
        ]
    leave(write("swap-tail", figures))


if __name__ == "__main__":
    main()
