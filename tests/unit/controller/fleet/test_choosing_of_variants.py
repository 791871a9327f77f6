"""Which variant a device gets, and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from small_fleet import COREML, ONNX, TFLITE, card, content

from argosy.matching import runtime_for
from argosy.protocol.card import Card, Needs
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


def test_the_refusal_names_each_variant_and_what_speaks_against_it() -> None:
    assert choose_variant([card(1, "onnx-fp32")], INT8_ONLY) == (
        None,
        "no runnable variant: onnx-fp32 (the device takes int8 alone)",
    )


def test_a_slot_is_told_the_digest_of_the_model_file() -> None:
    assert content_of(card(3, "onnx-int8")) == content(3, "onnx-int8")


def _asking(variant: str, **needs: Any) -> Card:
    return replace(card(1, variant), needs=Needs(**needs))


def test_what_the_device_cannot_run_is_left_out_and_said_beside_what_it_gets() -> None:
    chosen, reason = choose_variant(
        [_asking("tflite-int4", runtimes=["ai-edge-litert"]), card(1, "tflite-int8"), card(1, "onnx-fp32")], TFLITE
    )
    assert chosen is not None and chosen.variant == "tflite-int8"
    assert reason == (
        "tflite-int8 is the only variant that the device runs (tflite-runtime); "
        "not offered: tflite-int4 (runs in ai-edge-litert alone, the device has tflite-runtime 2.14)"
    )


def test_variants_with_the_same_against_them_are_named_together() -> None:
    cards = [
        _asking("onnx-int8", opset=99),
        _asking("onnx-fp32", opset=99),
        card(1, "tflite-fp32"),
        _asking("onnx-int4", operators=["acme:Fold"]),
    ]
    assert choose_variant(cards, ONNX) == (
        None,
        "no runnable variant: onnx-fp32 and onnx-int8 (uses ONNX opset 99, onnxruntime 1.19 takes 21 at most); "
        "onnx-int4 (uses acme:Fold, which onnxruntime 1.19 does not bring); tflite-fp32 (no runtime for tflite on the device)",
    )


def test_four_bit_weights_are_the_least_precise() -> None:
    cards = [card(1, "onnx-int4", length=1), replace(card(1, "onnx-dynamic", length=9), precision="int8-dynamic")]
    assert choose_variant(cards, ONNX)[0] is cards[1]


_CARDS = st.lists(
    st.builds(
        lambda variant, runtimes, opset, memory: _asking(variant, runtimes=runtimes, opset=opset, memory_bytes=memory),
        st.sampled_from(["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int4", "coreml-fp16"]),
        st.sampled_from([[], ["ai-edge-litert"], ["onnxruntime"]]),
        st.integers(0, 30),
        st.integers(0, 4 << 30),
    ),
    max_size=5,
    unique_by=lambda one: one.variant,
)
_DEVICES = st.builds(
    lambda base, memory, precisions: replace(base, memory_bytes=memory, precisions=precisions),
    st.sampled_from([ONNX, TFLITE, COREML, Capabilities(runtimes=[])]),
    st.integers(0, 4 << 30),
    st.sampled_from([[], ["int8"], ["fp32", "int4"]]),
)


@given(_CARDS, _DEVICES, st.randoms())
def test_only_what_runs_is_offered_and_everything_else_is_named(cards: list[Card], device: Capabilities, random: Any) -> None:
    chosen, reason = choose_variant(cards, device)
    runs = {one.variant for one in cards if runtime_for(one, device)[0]}
    assert (chosen.variant in runs) if chosen else not runs
    assert chosen is not None or all(one.variant in reason for one in cards)
    shuffled = random.sample(cards, len(cards))
    assert choose_variant(shuffled, device) == (chosen, reason)
