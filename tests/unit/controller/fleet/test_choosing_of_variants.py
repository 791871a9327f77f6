"""Which variant a device gets, and why."""

from __future__ import annotations

import pytest
from small_fleet import COREML, ONNX, TFLITE, card, content

from argosy.protocol.reported import Capabilities, Runtime
from argosy_controller.fleet.choosing import choose_variant, content_of

ALL = [card(1, variant) for variant in ("onnx-int8", "onnx-fp32", "tflite-fp32", "tflite-int8", "coreml-fp16")]
INT8_ONLY = Capabilities(runtimes=ONNX.runtimes, precisions=["int8"])


@pytest.mark.parametrize(
    ("capabilities", "expected"), [(ONNX, "onnx-fp32"), (TFLITE, "tflite-fp32"), (INT8_ONLY, "onnx-int8"), (COREML, None)]
)
def test_a_device_gets_a_variant_that_it_can_run(capabilities: Capabilities, expected: str | None) -> None:
    chosen, reason = choose_variant(ALL, capabilities)
    assert (chosen.variant if chosen else None) == expected
    assert reason


def test_the_fastest_wins_when_every_runnable_variant_was_timed_on_the_very_runtime() -> None:
    cards = [card(1, "onnx-fp32", p50_us={"onnxruntime": 90}), card(1, "onnx-int8", p50_us={"onnxruntime": 40})]
    chosen, reason = choose_variant(cards, ONNX)
    assert chosen is cards[1]
    assert reason == "onnx-int8 is the fastest on onnxruntime: 40 us at p50"


def test_nothing_claims_that_int8_is_faster_unmeasured() -> None:
    other = {"ai-edge-litert": 5.0}  # the successor's timings say nothing about tflite-runtime
    cards = [card(1, "tflite-fp32", p50_us={"tflite-runtime": 90}), card(1, "tflite-int8", p50_us=other)]
    chosen, reason = choose_variant(cards, TFLITE)
    assert chosen is cards[0]
    assert "not every variant was timed there" in reason


def test_precision_comes_before_size_and_size_before_name() -> None:
    cards = [card(1, "onnx-fp16", length=1), card(1, "onnx-fp32", length=9), card(1, "onnx-int8", length=1)]
    assert choose_variant(cards, ONNX)[0] is cards[1]
    twins = [card(1, "onnx-fp32-b", length=9), card(1, "onnx-fp32-a", length=9), card(1, "onnx-fp32-c", length=8)]
    assert all(choose_variant(list(order), ONNX)[0].variant == "onnx-fp32-c" for order in (twins, twins[::-1]))  # type: ignore[union-attr]
    assert choose_variant(twins[:2], ONNX)[0] is twins[1]


def test_the_first_preferred_runtime_of_a_format_is_the_one_that_is_timed() -> None:
    both = Capabilities(
        runtimes=[
            Runtime(name="ai-edge-litert", version="2", formats=["tflite"]),
            Runtime(name="tflite-runtime", version="2", formats=["tflite"]),
        ]
    )
    cards = [
        card(1, "tflite-fp32", p50_us={"ai-edge-litert": 9, "tflite-runtime": 1}),
        card(1, "tflite-int8", p50_us={"ai-edge-litert": 5, "tflite-runtime": 8}),
    ]
    assert choose_variant(cards, both)[0] is cards[1]


def test_the_refusal_names_what_the_device_runs_and_what_there_is() -> None:
    assert choose_variant([card(1, "onnx-fp32")], INT8_ONLY) == (
        None,
        "no runnable variant: the device runs onnx in int8; there is onnx-fp32",
    )


def test_a_slot_is_told_the_digest_of_the_model_file() -> None:
    assert content_of(card(3, "onnx-int8")) == content(3, "onnx-int8")
