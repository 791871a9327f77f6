"""The matrix: what a cell says, when it is a problem, and how the page shows it. No build is needed for that."""

from __future__ import annotations

from typing import Any

import pytest
import tomllib
from zoo_builder import blamed, shortened
from zoo_cells import Cell, Older, cell, problem, refused
from zoo_page import page

from argosy.protocol.card import Needs, Parity
from argosy_controller.pipeline.report import Drop, VariantReport

DROP = Drop(metric="accuracy", value=0.002, low=-0.001, high=0.005, examples=5000, method="")


def row(name: str = "tflite-int8", off: float = 0.2, agreement: float = 0.99, **more: Any) -> VariantReport:
    kind, _, precision = name.partition("-")
    ran = {"onnx": "onnxruntime", "tflite": "ai-edge-litert"}[kind]
    parity = Parity(source="torch", verified_by=[ran], examples=256, max_abs_diff=off, agreement=agreement)
    return VariantReport(name=name, format=kind, precision=precision, sha256="", bytes=1000, parity=parity, drop=DROP, **more)


def older(off: float = 0.3, agreement: float = 0.98) -> Older:
    found = Parity(source="torch", verified_by=["tflite-runtime"], examples=200, max_abs_diff=off, agreement=agreement)
    return Older(parity=found)


def test_cell_tells_the_worse_of_both_runtimes() -> None:
    one = cell("mlp", row(), older(), True)
    assert (one.max_abs_diff, one.agreement, one.examples) == (0.3, 0.98, 200)
    assert one.runtimes == one.verified_by == ["ai-edge-litert", "tflite-runtime"]
    assert one.accuracy_drop is not None and one.accuracy_drop.high == 0.005
    assert problem(one) == ""


def test_file_that_the_older_runtime_refuses_must_say_so_in_its_card() -> None:
    says = cell("mlp", row(needs=Needs(runtimes=["ai-edge-litert"])), Older(refused="no RSQRT"), True)
    assert says.runtimes == ["ai-edge-litert"] and "ai-edge-litert alone" in says.reason and problem(says) == ""
    silent = cell("mlp", row(), Older(refused="no RSQRT"), True)
    assert "mlp, tflite-int8" in problem(silent) and "no RSQRT" in problem(silent)


def test_file_that_the_older_runtime_answers_otherwise_must_say_so_in_its_card() -> None:
    assert "its card does not say so" in problem(cell("mlp", row(), older(agreement=0.3), True))
    barred = cell("mlp", row(needs=Needs(runtimes=["ai-edge-litert"])), older(agreement=0.3), True)
    assert barred.agreement == 0.99 and problem(barred) == ""


@pytest.mark.parametrize(("off", "fine"), [(1e-4, True), (1.1e-4, False)])
def test_network_in_single_precision_must_be_within_a_ten_thousandth(off: float, fine: bool) -> None:
    found = problem(cell("mlp", row("onnx-fp32", off), None, True))
    assert found == "" if fine else "mlp, onnx-fp32" in found


def test_classical_model_must_keep_its_labels_and_may_explain_its_numbers() -> None:
    base: dict[str, Any] = {
        "model": "svm",
        "variant": "onnx-fp32",
        "format": "onnx",
        "precision": "fp32",
        "bytes": 1,
        "source": "scikit-learn",
    }
    assert "labels" in problem(Cell(**base, max_abs_diff=0.0, agreement=0.99))
    assert "off by" in problem(Cell(**base, max_abs_diff=0.1, agreement=1.0))
    assert problem(Cell(**base, max_abs_diff=0.1, agreement=1.0, reason="thresholds between single precision's numbers")) == ""


def test_no_cell_is_empty_without_a_reason() -> None:
    assert "no reason is given" in problem(refused("mlp", "coreml-packed", "", False))
    assert problem(refused("mlp", "coreml-packed", "operator 'x' cannot be put into a Core ML file", False)) == ""
    unverified = Cell(model="mlp", variant="coreml-fp16", format="coreml", precision="fp16", bytes=10)
    assert "not verified" in problem(unverified)


def test_variant_of_the_recipe_that_does_not_build_is_a_problem() -> None:
    assert "its recipe names this variant" in problem(refused("mlp", "onnx-int8", "operator 'x' cannot be converted", True))


def test_refused_variant_is_of_its_format_and_precision() -> None:
    one = refused("mlp", "tflite-int8-dynamic", "because", False)
    assert (one.format, one.precision) == ("tflite", "int8-dynamic")


def test_shortened_recipe_keeps_what_stands_above_and_the_options_of_what_is_kept() -> None:
    recipe = 'summary = "x"\n\n[[passes]]\nuse = "fold-batch-norm"\n\n[[variants]]\nuse = "onnx-int8"\nexamples = 7\n\n[[variants]]\nuse = "onnx-fp32"\n'
    document = tomllib.loads(shortened(recipe, ["tflite-int8", "onnx-int8"], {"epochs": 1}))
    assert document == {
        "summary": "x",
        "passes": [{"use": "fold-batch-norm"}],
        "task": {"epochs": 1},
        "variants": [{"use": "tflite-int8"}, {"use": "onnx-int8", "examples": 7}],
    }


@pytest.mark.parametrize(
    ("stage", "guilty"),
    [("export tflite-int8", "tflite-int8"), ("measure onnx-fp32", "onnx-fp32"), ("train", ""), ("export coreml-fp16", "")],
)
def test_the_variant_at_which_a_build_ended_is_found(stage: str, guilty: str) -> None:
    assert blamed(stage, ["tflite-int8", "tflite-int8-dynamic", "onnx-fp32"]) == guilty
    assert blamed("train", ["onnx-fp32"]) == "onnx-fp32"


def test_page_says_what_it_does_not_hold() -> None:
    assert "Not built yet: svm." in page([], {"mlp": "a perceptron"}, ["svm"])
    assert "Not built yet" not in page([], {"mlp": "a perceptron"})


def test_page_shows_figures_runtimes_and_numbered_reasons() -> None:
    why = "operator 'x' cannot be put into a Core ML file"
    cells = [
        cell("mlp", row("onnx-fp32", 3e-7, 1.0), None, True),
        cell("mlp", row(), older(), True),
        refused("mlp", "coreml-fp32", why, False),
        refused("mlp", "coreml-fp16", why, False),
    ]
    drawn = page(cells, {"mlp": "a perceptron"})
    assert "3.0e-07<br>1,000 B<br>O" in drawn
    assert "98.0% alike<br>+0.20 (-0.10 to +0.50)<br>1,000 B<br>L T" in drawn
    assert drawn.count("no file [1]") == 2 and "1. operator 'x' cannot be put into a Core ML file." in drawn
