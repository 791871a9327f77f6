"""A table of two columns whose first decides, and what a pass is given beside a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from argosy_controller.pipeline.classical.families import usual_outputs
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Data, Split, Task


class Halves(Task):
    """Class 1 where the first column is above 0, one answer in ten wrong; or a value that follows it."""

    name = "halves"
    outputs = ("probabilities", "label")
    values = False

    def data(self, seed: int) -> Data:
        random = np.random.default_rng(seed)
        columns = random.normal(0, 1, (300, 2)).astype(np.float32)
        targets = ((columns[:, 0] > 0) != (random.random(300) < 0.1)).astype(np.int64)
        if self.values:
            targets = np.sin(columns[:, 0]) + random.normal(0, 0.1, 300)
        rows = Split({"features": columns}, targets)
        return Data(train=rows.take(slice(0, 150)), validation=rows.take(slice(150, 220)), test=rows.take(slice(220, None)))


Given = Callable[[Any], tuple[Fitted, Context, list[str]]]


@pytest.fixture
def given() -> Given:
    """From an estimator to the fitted model, a context, and the list that takes what passes note."""

    def make(estimator: Any) -> tuple[Fitted, Context, list[str]]:
        task = Halves({})
        outputs = usual_outputs(estimator)
        task.outputs = outputs  # type: ignore[misc]
        if outputs == ("value",):
            task.values = True
            task.metric = "rmse"  # type: ignore[misc]
        data, notes = task.data(0), []  # type: ignore[var-annotated]
        model = Fitted(estimator, "features", outputs).fitted_on(data.train, 0)
        return model, Context(task, data, 3, lambda done, total: None, note=notes.append), notes

    return make


@pytest.fixture
def without_validation() -> Callable[[Context], Context]:
    """The same context, of a task that holds nothing back."""
    return lambda context: replace(context, data=replace(context.data, validation=None))


@pytest.fixture
def applied() -> Callable[..., Fitted]:
    """Applies a pass by name with options."""

    def apply(use: str, model: Fitted, context: Context, **options: Any) -> Fitted:
        result = PASSES[use].apply(model, msgspec.convert(options, PASSES[use].config), context)
        assert isinstance(result, Fitted)
        return result

    return apply
