"""`controller models show` says parity and needs of each variant."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from argosy_controller.cli.models import _draw_versions

NEEDS = {"runtimes": [], "opset": 20, "ml_opset": 3, "operators": ["Div", "Gemm"], "memory_bytes": 18_000_000}
PARITY = {
    "source": "scikit-learn",
    "verified_by": ["onnxruntime", "the file's own graph"],
    "examples": 1200,
    "max_abs_diff": 6e-8,
    "agreement": 1.0,
    "reason": "",
}


def _shown(parity: dict[str, Any] | None, needs: dict[str, Any]) -> str:
    variant = {"name": "onnx-fp32", "format": "onnx", "accuracy": None, "bytes": 5, "timings": [], "sha256": "ab" * 32}
    console = Console(width=240)
    with console.capture() as said:
        _draw_versions(
            console, {"model": "wine", "versions": [{"version": 1, "variants": [{**variant, "parity": parity, "needs": needs}]}]}
        )
    return said.get()


@pytest.mark.parametrize(
    ("parity", "says"),
    [
        (PARITY, "6.0e-08       100 %  with scikit-learn on 1,200 inputs, run by onnxruntime and the file's own graph"),
        ({**PARITY, "max_abs_diff": 0.0, "agreement": 0.9999}, "0      99.9 %  with scikit-learn"),
        ({**PARITY, "verified_by": [], "max_abs_diff": None, "agreement": None, "reason": "[red]none"}, "not verified here: [red]none"),
        (None, "the file came ready: there is nothing to compare it with"),
    ],
)
def test_parity_is_told_with_what_it_rests_on(parity: dict[str, Any] | None, says: str) -> None:
    assert says in _shown(parity, NEEDS)


def test_needs_are_told_in_words() -> None:
    assert "any runtime for onnx, ONNX opset 20, ONNX-ML opset 3, 18.0 MB of memory, 2 operators" in _shown(PARITY, NEEDS)
    only = {"runtimes": ["ai-edge-litert"], "opset": 0, "ml_opset": 0, "operators": [], "memory_bytes": 0}
    assert _shown(PARITY, only).rstrip().endswith("  ai-edge-litert alone")
