"""Bundles come from outside: every name, size and digest is checked, and one clear sentence says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from argosy.errors import InvalidInput
from argosy_controller.registry.bundle import read_bundle

MakeBundle = Callable[..., Path]
VARIANT = Path("variants/onnx-fp32")


def edit_card(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = bundle / VARIANT / "card.json"
    card = json.loads(path.read_bytes())
    change(card)
    path.write_text(json.dumps(card))


def test_reads_what_a_build_wrote(make_bundle: MakeBundle) -> None:
    bundle = read_bundle(make_bundle(variants=("onnx-fp32", "tflite-int8"), companions={"labels.txt": b"a\nb"}))
    assert (bundle.model, bundle.summary, bundle.report["variants"]) == ("digits", "as built", 2)
    assert [(card.variant, folder.name) for card, folder in bundle.variants] == [("onnx-fp32",) * 2, ("tflite-int8",) * 2]


@pytest.mark.parametrize(
    "name", ["../escape", "/etc/passwd", "a/b", "..", ".hidden", "", "card.json", "model.onnx", "MODEL.ONNX", "a\x00b"]
)
def test_refuses_path_tricks_in_companion_names(make_bundle: MakeBundle, name: str) -> None:
    bundle = make_bundle()
    edit_card(bundle, lambda card: card["companions"].append({"name": name, "sha256": "0" * 64, "length": 1}))
    with pytest.raises(InvalidInput):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("model", "../up", "model name"),
        ("model", "UPPER", "model name"),
        ("variant", "onnx-int8", "must name its folder"),
        ("version", 7, "version 0"),
        ("format", "pickle", "format"),
        ("precision", "fp8", "precision"),
        ("model_file", {"name": "weights.bin", "sha256": "0" * 64, "length": 1}, "calls its model file"),
        ("model_file", {"name": "model.onnx", "sha256": "0" * 64, "length": 0}, "empty model"),
        ("model_file", {"name": "model.onnx", "sha256": "xyz", "length": 1}, "impossible"),
        ("probes", {"count": 1, "atol": 0.0, "rtol": 0.0}, "probes"),
        ("schema", 99, "schema"),
        ("inputs", "none", "does not decode"),
    ],
)
def test_refuses_a_card_that_says_what_cannot_be(make_bundle: MakeBundle, field: str, value: object, told: str) -> None:
    bundle = make_bundle()
    edit_card(bundle, lambda card: card.update({field: value}))
    with pytest.raises(InvalidInput, match=told):
        read_bundle(bundle)


@pytest.mark.parametrize("content", [b"onnx-fp32Weights", b"short", b""])
def test_refuses_a_file_that_is_not_the_one_described(make_bundle: MakeBundle, content: bytes) -> None:
    bundle = make_bundle()
    (bundle / VARIANT / "model.onnx").write_bytes(content)
    with pytest.raises(InvalidInput, match="not the file that its card describes"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "link", ["variants/onnx-fp32/model.onnx", "variants/onnx-fp32/card.json", "variants/onnx-fp32", "variants", "report.json"]
)
def test_refuses_symbolic_links_wherever_they_are(make_bundle: MakeBundle, tmp_path: Path, link: str) -> None:
    bundle = make_bundle()
    (bundle / link).rename(tmp_path / "elsewhere")
    (bundle / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="no plain"):
        read_bundle(bundle)


@pytest.mark.parametrize("missing", ["variants/onnx-fp32/model.onnx", "variants/onnx-fp32/card.json", "report.json"])
def test_refuses_a_bundle_with_a_file_missing(make_bundle: MakeBundle, missing: str) -> None:
    bundle = make_bundle()
    (bundle / missing).unlink()
    with pytest.raises(InvalidInput, match="missing"):
        read_bundle(bundle)


def test_refuses_files_that_no_card_names(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    (bundle / VARIANT / "notes.txt").write_text("?")
    with pytest.raises(InvalidInput, match=r"notes\.txt.*does not name"):
        read_bundle(bundle)


def test_refuses_a_card_without_end(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    (bundle / VARIANT / "card.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(InvalidInput, match="at most"):
        read_bundle(bundle)


@pytest.mark.parametrize("report", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_refuses_a_report_that_is_no_json_object(make_bundle: MakeBundle, report: bytes) -> None:
    bundle = make_bundle()
    (bundle / "report.json").write_bytes(report)
    with pytest.raises(InvalidInput, match="no JSON object"):
        read_bundle(bundle)


def test_refuses_variants_of_two_models(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(variants=("onnx-fp32", "onnx-int8"))
    edit_card(bundle, lambda card: card.update(model="letters"))
    with pytest.raises(InvalidInput, match="several models"):
        read_bundle(bundle)


def test_refuses_a_bundle_without_variants(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(variants=())
    (bundle / "variants").mkdir()
    with pytest.raises(InvalidInput, match="holds 0 variants"):
        read_bundle(bundle)
    with pytest.raises(InvalidInput):
        read_bundle(bundle / "nowhere")
