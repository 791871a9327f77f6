"""What is known of each variant's parity and needs, and which devices of the fleet can run it, reaches API and dashboard."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from starlette.testclient import TestClient

from argosy.protocol.card import Card, FileRef, Needs, Parity
from argosy.protocol.codec import to_json
from argosy.protocol.reported import Capabilities, Reported, Runtime
from argosy_controller.db.tables import DeviceRow, ModelRow, VariantRow, VersionRow
from argosy_controller.parts import Parts

OPERATORS = ["Conv", "ai.onnx.ml:Scaler", "<b>"]
CARDS = {
    "onnx-fp32": (
        Parity(source="torch", verified_by=["onnxruntime"], examples=1000, max_abs_diff=1.5e-6, agreement=0.9996, reason="<i>few</i>"),
        Needs(opset=22, ml_opset=3, operators=OPERATORS, memory_bytes=20_000_000),
    ),
    "coreml-fp32": (Parity(source="torch", reason="not verified here: no interpreter"), Needs()),
    "tflite-fp32": (None, Needs(runtimes=["ai-edge-litert"], operators=["CONV_2D"])),
}
ORT_OLD, ORT = (Runtime(name="onnxruntime", version=version, formats=["onnx"]) for version in ("1.20.1", "1.32.0"))
DEVICES: dict[str, Capabilities] = {
    **{f"pi-{number}": Capabilities(runtimes=[ORT_OLD]) for number in range(6)},
    "gateway": Capabilities(runtimes=[ORT, Runtime(name="ai-edge-litert", version="2.3.0", formats=["tflite"])]),
    "gone": Capabilities(runtimes=[ORT]),
}


def _card(variant: str) -> Card:
    form, _, precision = variant.partition("-")
    parity, needs = CARDS[variant]
    file = FileRef(name={"coreml": "model.mlpackage.zip"}.get(form, f"model.{form}"), sha256="ab" * 32, length=5)
    return Card(
        model="digits",
        version=1,
        variant=variant,
        format=form,
        precision=precision,
        inputs=[],
        outputs=[],
        model_file=file,
        parity=parity,
        needs=needs,
    )


def _fill(parts: Parts, devices: Mapping[str, Capabilities]) -> None:
    now = parts.clock()
    with parts.database.write() as session:
        session.add(ModelRow(name="digits", created=now))
        session.add(VersionRow(model="digits", number=1, created=now))
        for card in map(_card, CARDS):
            names = {"model": "digits", "version": 1, "name": card.variant, "format": card.format, "precision": card.precision}
            session.add(VariantRow(**names, sha256="ab" * 32, length=5, card=to_json(card)))
        for name, has in devices.items():
            raw = to_json(Reported(device=name, boot="b", generation=1, at=now, capabilities=has, slots={}))
            row = DeviceRow(name=name, key_pem="", serial="", not_after=now + 9, enrolled=now, revoked=name == "gone", reported=raw)
            session.add(row)
        session.add(DeviceRow(name="never-heard", key_pem="", serial="", not_after=now + 9, enrolled=now))


def _text(page: str) -> str:
    """What stands on a page, without tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_api_says_parity_and_needs(api: TestClient, parts: Parts) -> None:
    _fill(parts, {})
    (version,) = api.get("/api/v1/models/digits").json()["versions"]
    found = {one["name"]: one for one in version["variants"]}
    assert found["onnx-fp32"]["parity"]["max_abs_diff"] == 1.5e-6
    assert found["onnx-fp32"]["needs"] == {"runtimes": [], "opset": 22, "ml_opset": 3, "operators": OPERATORS, "memory_bytes": 20_000_000}
    assert found["coreml-fp32"]["parity"]["verified_by"] == []
    assert found["tflite-fp32"]["parity"] is None


@pytest.mark.parametrize(
    "says",
    [
        "1.5e-06 99.9 % with torch on 1,000 inputs, run by onnxruntime",
        "not verified here: no interpreter any runtime for coreml",
        "the file came ready: there is nothing to compare it with ai-edge-litert alone 1 operator CONV_2D",
        "any runtime for onnx, ONNX opset 22, ONNX-ML opset 3, 20.0 MB of memory 3 operators",
        "1 of 7 devices uses ONNX opset 22, onnxruntime 1.20.1 takes 21 at most pi-0, pi-1, pi-2, pi-3 and 2 more",
        "none of 7 devices no runtime for coreml on the device gateway, pi-0, pi-1, pi-2 and 3 more",
    ],
)
def test_page_of_a_model_says_parity_needs_and_devices(says: str, browser: TestClient, parts: Parts) -> None:
    _fill(parts, DEVICES)
    assert says in _text(browser.get("/models/digits").text)


def test_what_a_card_says_stays_text(browser: TestClient, parts: Parts) -> None:
    _fill(parts, DEVICES)
    page = browser.get("/models/digits").text
    assert "&lt;b&gt;" in page and "&lt;i&gt;few&lt;/i&gt;" in page
    assert "<b>" not in page and "<i>" not in page


def test_fleet_that_never_reported_is_no_reason_against_a_variant(browser: TestClient, parts: Parts) -> None:
    _fill(parts, {})
    assert _text(browser.get("/models/digits").text).count("no device has reported yet") == len(CARDS)
