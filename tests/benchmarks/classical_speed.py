"""A random forest and an SVM as ONNX and as TFLite against scikit-learn's own predict: one row, and 1,000 rows; one thread.

All answer turn about in one run, so the ratios hold. Both files take 1,000 rows at once; one whose batch is not free is asked 1,000
times, and the figure says so.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from record import Figure, leave, write
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from argosy_controller.pipeline.classical.families import usual_outputs
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.files.engines import Engine, open_model
from argosy_controller.pipeline.task import Data, Split, Task

ROWS = 1000
AIM = "faster than scikit-learn"
ESTIMATORS: dict[str, Callable[[], Any]] = {
    "random forest of 100 trees": lambda: RandomForestClassifier(100, n_jobs=1),
    "SVM (RBF)": lambda: SVC(gamma=0.001),
}
#: Answers rows, and what is to be said of how.
Way = tuple[Callable[[], Any], str]


class Digits(Task):
    """scikit-learn's digits, 64 columns, 10 classes."""

    name = "digits"

    def data(self, seed: int) -> Data:
        columns, targets = load_digits(return_X_y=True)
        rows = Split({"features": columns.astype(np.float32)}, targets)
        return Data(train=rows.take(slice(0, None, 2)), test=rows.take(slice(1, None, 2)))


def exported(estimator: Any, folder: Path) -> tuple[Fitted, dict[str, Engine]]:
    """The fitted estimator, and its files opened in their runtimes."""
    task = Digits({})
    task.outputs = usual_outputs(estimator)  # type: ignore[misc]
    data = task.data(0)
    model = Fitted(estimator, "features", task.outputs).fitted_on(data.train, 0)
    source = Source(model, model.outputs, data.calibrating, data.judging, task, folder)
    engines = {}
    for name in ("onnx-fp32", "tflite-fp32"):
        engine = open_model(EXPORTERS[name].format, source.file(EXPORTERS[name]))
        assert engine is not None
        engines[f"{name.split('-')[0]} on {engine.runtime}"] = engine
    return model, engines


def ways(engine: Engine, rows: np.ndarray[Any, Any]) -> Way:
    """How a file answers so many rows: at once where it can."""
    if len(rows) == 1:
        return lambda: engine.run({"features": rows}), ""
    if engine.inputs[0].shape[0] is None:
        return lambda: engine.run({"features": rows}), ""
    return lambda: [engine.run({"features": rows[i : i + 1]}) for i in range(len(rows))], ", one by one: its batch is fixed"


def medians_us(calls: Mapping[str, Callable[[], Any]], rounds: int, seconds: float) -> dict[str, float]:
    """Median time of one call of each, in microseconds; in every round each has its turn."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            here, end = [], time.perf_counter() + seconds
            while not here or (time.perf_counter() < end and len(here) < 1000):
                begin = time.perf_counter_ns()
                call()
                here.append((time.perf_counter_ns() - begin) / 1000)
            taken[name] += here if number else []  # the first round warms
    return {name: statistics.median(found) for name, found in taken.items()}


def figures(label: str, model: Fitted, engines: Mapping[str, Engine], rounds: int, seconds: float) -> list[Figure]:
    """One estimator, one row and many."""
    columns = load_digits().data.astype(np.float32)
    found = []
    for count in (1, ROWS):
        rows = np.ascontiguousarray(np.resize(columns, (count, columns.shape[1])))
        told: dict[str, Way] = {name: ways(engine, rows) for name, engine in engines.items()}
        # bound now: a lambda in a loop would see the last rows
        own = {"scikit-learn": lambda rows=rows: model.estimator.predict(rows)}
        times = medians_us(own | {name: call for name, (call, _) in told.items()}, rounds, seconds)
        base = times.pop("scikit-learn")
        for name, value in times.items():
            figure = f"{label}, {count:,} {'row' if count == 1 else 'rows'}, {name}{told[name][1]}"
            against = f"scikit-learn's predict ({base:,.1f} µs)"
            found.append(Figure(figure, value, "µs", against, value / base, "aim", AIM, value < base))
    return found


def main() -> None:
    """Measures both estimators."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each turn")
    arguments = parser.parse_args()
    found = []
    for label, make in ESTIMATORS.items():
        with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
            model, engines = exported(make(), Path(folder))
            found += figures(label, model, engines, arguments.rounds, arguments.seconds)
    leave(write("classical-speed", found))


if __name__ == "__main__":
    main()
