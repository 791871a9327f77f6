"""Classical models by the path that networks take: built to three formats, and alike scikit-learn in the real runtimes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import skops.io
import torch

from argosy_controller.pipeline.build import run_build
from argosy_controller.pipeline.exporters.tflite_fp32 import TFLiteFp32
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.numbers.evaluation import predict
from argosy_controller.pipeline.report import Report, read_report
from argosy_controller.pipeline.task import Split

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from classical_cases import NUMBERS, fitted, product

from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.exporters.interface import Source

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),  # a build takes 15 s of one core, and must not fail where others use it too
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore:lbfgs failed"),
]

TASK = """import numpy as np
from sklearn.datasets import load_{data}
{imports}
from argosy_controller.pipeline.task import Data, Split, Task

class Mine(Task):
    name = "mine"
    outputs = {outputs}
    metric = "{metric}"
    def data(self, seed):
        x, y = load_{data}(return_X_y=True)
        split = Split({{"features": x.astype(np.float32)}}, y)
        return Data(train=split.take(slice(0, None, 2)), test=split.take(slice(1, None, 2)))
"""
MODEL = "    def model(self, seed):\n        return make_pipeline(StandardScaler(), {})\n"
IMPORTS = """from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR"""
FORMATS = "".join(f'[[variants]]\nuse = "{one}"\n' for one in ("onnx-fp32", "tflite-fp32", "coreml-fp32"))
#: In tests for every change: one of each family on both kinds of classes; the slow product has them all.
QUICK = [
    ("logistic", "digits", "standard"),
    ("svc-rbf", "digits", "standard"),
    ("svc-rbf", "breast_cancer", "standard"),
    ("tree", "breast_cancer", "standard"),
    ("forest", "digits", "standard"),
    ("gaussian", "digits", "none"),
    ("perceptron", "breast_cancer", "standard"),
    ("svr-rbf", "diabetes", "standard"),
    ("forest", "diabetes", "none"),
]


def _build(folder: Path, text: str, trained: Path | None = None, stages: list[str] | None = None) -> Report:
    folder.mkdir()
    (folder / "task.py").write_text(text)
    (folder / "recipe.toml").write_text(FORMATS)
    out = run_build(
        *(folder, folder / "recipe.toml", folder / "out", None, {}, 0, lambda one: None if stages is None else stages.append(one.stage)),
        trained=trained,
    )
    return read_report((out / "report.json").read_bytes())


def _check(report: Report, source: str = "scikit-learn") -> None:
    assert [one.name for one in report.variants] == ["onnx-fp32", "tflite-fp32", "coreml-fp32"]
    assert report.steps[0].parameters > 0
    for one in report.variants[:2]:
        assert one.accuracy and one.timings and one.probes
        assert one.drop is not None and abs(one.drop.value) < 1e-3
        assert one.parity is not None and one.parity.source == source
        assert one.parity.agreement is None or one.parity.agreement >= 0.999
        assert one.parity.examples >= 200


def test_forest_behind_a_scaler_is_built_to_three_formats(tmp_path: Path) -> None:
    head = TASK.format(data="digits", imports=IMPORTS, outputs=("probabilities", "label"), metric="accuracy")
    stages: list[str] = []
    report = _build(tmp_path / "task", head + MODEL.format("RandomForestClassifier(20)"), stages=stages)
    _check(report)
    assert all(one.confusion for one in report.variants[:2])
    assert report.steps[0].step == "fit"
    assert "fit" in stages and "train" not in stages


def test_regressor_is_built_to_three_formats(tmp_path: Path) -> None:
    head = TASK.format(data="diabetes", imports=IMPORTS, outputs=("value",), metric="rmse")
    _check(_build(tmp_path / "task", head + MODEL.format("SVR(C=30.0)")))


def test_skops_file_is_built_as_the_model_of_its_task(tmp_path: Path) -> None:
    model, _ = fitted("svc-rbf", "breast_cancer", "standard")
    skops.io.dump(model.estimator, tmp_path / "m.skops")
    text = TASK.format(data="breast_cancer", imports="", outputs=("scores", "label"), metric="accuracy")
    report = _build(tmp_path / "task", text, trained=tmp_path / "m.skops")
    _check(report)
    assert report.steps[0].step == "given"
    assert report.lineage["trained"].startswith("m.skops ")


def _source(model: Fitted, split: Split, folder: Path) -> Source:
    folder.mkdir()
    return Source(model, model.outputs, split, split, None, folder)  # type: ignore[arg-type]  # no choice is made here


def _check_alike(family: str, data: str, scaler: str, folder: Path) -> None:
    """Both runtimes on up to 400 rows: the same labels, the first output within 1e-4 of its size."""
    model, split = fitted(family, data, scaler)
    split = split.take(slice(0, 400))
    wanted = [one.numpy() for one in model(torch.from_numpy(split.inputs["features"]))]
    source = _source(model, split, folder)
    (folder / "model.onnx").write_bytes(model.onnx())
    TFLiteFp32().export(source, folder / "model.tflite", TFLiteFp32.config())
    for kind in ("onnx", "tflite"):
        engine = open_model(kind, folder / f"model.{kind}")
        assert engine is not None and [one.name for one in engine.outputs] == list(model.outputs)
        found = list(predict(engine, split).values())
        assert found[0].shape == wanted[0].shape
        assert np.abs(found[0] - wanted[0]).max() <= 1e-4 * max(1.0, np.abs(wanted[0]).max()), (kind, family, data, scaler)
        assert data in NUMBERS or np.mean(found[1] == wanted[1]) >= 0.999, (kind, family, data, scaler)


@pytest.mark.parametrize(("family", "data", "scaler"), QUICK)
def test_runtimes_answer_as_scikit_learn(family: str, data: str, scaler: str, tmp_path: Path) -> None:
    _check_alike(family, data, scaler, tmp_path / "files")


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted({one[:2] for one in product()}))
def test_every_family_on_every_table_behind_every_scaler_answers_as_scikit_learn(family: tuple[str, str], tmp_path: Path) -> None:
    for number, (name, data, scaler) in enumerate(product()):
        if (name, data) == family:
            _check_alike(name, data, scaler, tmp_path / str(number))
