"""`make zoo`: its quick part in every test run, all of it nightly; whatever a file of the matrix is not, the program names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def _run(*arguments: str, timeout: float) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "zoo", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    name = "zoo-quick.json" if "--quick" in arguments else "zoo.json"
    cells: list[dict[str, Any]] = json.loads((ROOT / "build" / "bench" / name).read_text())["cells"]
    return cells


def _check(cells: list[dict[str, Any]]) -> None:
    assert {one["format"] for one in cells} == {"onnx", "tflite", "coreml"}
    for one in cells:
        assert one["reason"] or (one["bytes"] and one["verified_by"] and one["max_abs_diff"] is not None), one
        if one["precision"] == "fp32" and one["source"] == "torch" and one["bytes"]:
            assert one["max_abs_diff"] <= 1e-4 and one["examples"] >= 200, one


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_quick_part_of_the_matrix_has_no_empty_cell() -> None:
    _check(_run("--quick", timeout=880))


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_whole_matrix_has_no_empty_cell() -> None:
    _check(_run(timeout=7100))
