"""Estimators keep their answers in 8 bits by default, on real tables as they are measured and behind a scaler.

The bound is on rows that no one learnt from or calibrated with: accuracy falls by less than 2 points or, on fewer than 100 rows
or beside a model that is itself near chance, by what two rows are; a regressor's error (rmse) grows by less than 3 % of the
target's standard deviation. A file that would not keep it has layers in float.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.files.needs_tflite import used, why_newer_only
from argosy_controller.pipeline.numbers.evaluation import predict
from argosy_controller.pipeline.task import Array, Split

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

import older_tflite
from classical_cases import CLASSIFIERS, REGRESSORS, fitted

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore:lbfgs failed"),
    pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning"),
]

POINTS, OF_DEVIATION = 2.0, 0.03
FORMS = ("tflite-int8", "tflite-int16x8", "tflite-int8-dynamic", "onnx-int8", "onnx-int8-dynamic")
#: In tests for every change; the slow product has all families.
QUICK = [
    ("logistic", "breast_cancer", "none"),
    ("svc-poly", "breast_cancer", "standard"),
    ("forest", "breast_cancer", "none"),
    ("perceptron", "wine", "none"),
    ("ridge", "diabetes", "none"),
    ("svr-rbf", "diabetes", "standard"),
]
TABLES = {"breast_cancer": CLASSIFIERS, "wine": CLASSIFIERS, "diabetes": REGRESSORS}


def _case(family: str, data: str, scaler: str, folder: Path) -> tuple[Fitted, Source, Split]:
    model, whole = fitted(family, data, scaler)
    train, test = (whole.take(slice(start, None, 2)) for start in (0, 1))
    return model, Source(model, model.outputs, train, train, None, folder), test  # type: ignore[arg-type]  # judged without labels


def _answers(source: Source, form: str, rows: Split) -> list[Array]:
    engine = open_model(form.partition("-")[0], source.file(EXPORTERS[form]))
    assert engine is not None and [one.name for one in engine.outputs] == list(source.outputs)
    return list(predict(engine, rows).values())


def _check(family: str, data: str, scaler: str, form: str, source: Source, test: Split) -> None:
    model: Any = source.model
    wanted = [one.numpy() for one in model(torch.from_numpy(test.inputs["features"]))]
    got = _answers(source, form, test)
    if data == "diabetes":
        worse = _rmse(got[0], test) - _rmse(wanted[0], test)
        assert worse < OF_DEVIATION * test.targets.std(), (family, data, scaler, form, worse)
        return
    lost = 100 * (np.mean(wanted[1] == test.targets) - np.mean(got[1] == test.targets))
    assert lost < max(POINTS, 200.1 / len(test)), (family, data, scaler, form, lost)


def _rmse(values: Array, test: Split) -> float:
    return float(np.sqrt(np.mean((values[:, 0].astype(np.float64) - test.targets) ** 2)))


def _not_there(family: str, form: str) -> bool:
    return form.startswith("onnx") and family.partition("-")[0] in ("tree", "forest", "extra", "gaussian")


@pytest.mark.parametrize(("family", "data", "scaler"), QUICK)
def test_answers_in_few_bits_are_as_good_as_in_float(family: str, data: str, scaler: str, tmp_path: Path) -> None:
    _, source, test = _case(family, data, scaler, tmp_path)
    for form in FORMS:
        if not _not_there(family, form):
            _check(family, data, scaler, form, source, test)


@pytest.mark.slow
@pytest.mark.parametrize("scaler", ["none", "standard", "min-max"])
@pytest.mark.parametrize("data", sorted(TABLES))
def test_every_family_in_few_bits_is_as_good_as_in_float(data: str, scaler: str, tmp_path: Path) -> None:
    for family in TABLES[data]:
        if family == "perceptron-poisson" or (family == "multinomial" and scaler == "standard"):
            continue  # barely trained, its exponential explodes on raw columns; counts are never below 0
        folder = tmp_path / family
        folder.mkdir()
        _, source, test = _case(family, data, scaler, folder)
        for form in FORMS:
            if not _not_there(family, form):
                _check(family, data, scaler, form, source, test)


@pytest.mark.skipif(not older_tflite.available(), reason="the device's interpreter with tflite-runtime is not here")
@pytest.mark.parametrize("family", ["svc-rbf", "forest", "perceptron"])
def test_what_the_older_runtime_may_get_it_answers_alike(family: str, tmp_path: Path) -> None:
    _, source, test = _case(family, "breast_cancer", "standard", tmp_path)
    rows = test.take(slice(0, 40))
    for form in ("tflite-int8", "tflite-int16x8", "tflite-int8-dynamic"):
        file = source.file(EXPORTERS[form])
        assert why_newer_only(used(file)) == "", form
        answers = older_tflite.answers(file, [{"features": one[None]} for one in rows.inputs["features"]])
        engine = open_model("tflite", file)
        assert engine is not None
        wanted = predict(engine, rows)
        first = np.concatenate([one[[spec.name for spec in engine.outputs].index(source.outputs[0])] for one in answers])
        scale = max(1.0, float(np.abs(wanted[source.outputs[0]]).max()))
        assert np.abs(first - wanted[source.outputs[0]]).max() < 0.05 * scale, form


def test_report_says_what_stays_in_float_and_where_few_bits_win_nothing(tmp_path: Path) -> None:
    _, source, _ = _case("logistic", "breast_cancer", "standard", tmp_path)
    path = source.file(EXPORTERS["tflite-int8"])
    assert source.notes[path][0].startswith("the scaler, the comparisons and the last steps stay in float")
    assert any("few bits make this one no smaller" in one and one.endswith("take tflite-fp32") for one in source.notes[path])


def test_layers_that_change_the_answers_stay_in_float_and_the_recipe_may_say_otherwise(tmp_path: Path) -> None:
    _, source, _ = _case("svc-poly", "breast_cancer", "standard", tmp_path)
    exporter: Any = EXPORTERS["tflite-int8"]
    chosen = source.file(exporter)
    assert any(one.startswith("stay float because in few bits the answers would be others: ") for one in source.notes[chosen])
    forced = source.file(exporter, exporter.config(keep_float_at_most=0))
    assert not any("stay float because in few bits" in one for one in source.notes.get(forced, []))
    named = source.file(exporter, exporter.config(keep_float=("*",)))
    assert forced.read_bytes() != chosen.read_bytes()
    assert chosen.stat().st_size < named.stat().st_size
    whole = source.file(exporter, exporter.config(whole_estimator=True))
    assert {one.input(0).kind for one in used(whole) if one.name == "MUL"} == {9}  # type: ignore[union-attr]  # int8
    assert {one.input(0).kind for one in used(chosen) if one.name == "MUL"} == {0}  # type: ignore[union-attr]  # float


def test_named_layers_stay_in_float_in_a_file_that_quantises_as_it_runs(tmp_path: Path) -> None:
    """A Gemm is rewritten under another name first; all layers float is the float file."""
    model, source, test = _case("perceptron", "breast_cancer", "standard", tmp_path)
    exporter: Any = EXPORTERS["onnx-int8-dynamic"]
    wanted = model(torch.from_numpy(test.inputs["features"]))[0].numpy()
    engine = open_model("onnx", source.file(exporter, exporter.config(keep_float=("*",))))
    assert engine is not None
    np.testing.assert_allclose(predict(engine, test)["probabilities"], wanted, atol=1e-4)
    assert next(iter(predict(engine, test.take(slice(0, 7))).values())).shape == (7, 2)
