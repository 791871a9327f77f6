"""The published compressions, shortened: every one of them builds, and gives figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("ARGOSY_SHARED_DATA") or ROOT.parent / "shared" / "data")


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not beside the checkout")
def test_published_compressions_build_and_give_figures() -> None:
    subprocess.run([sys.executable, ROOT / "tests" / "benchmarks" / "compression_quick.py"], check=True, timeout=1500)
    figures = json.loads((ROOT / "build" / "bench" / "compression-quick.json").read_text())["figures"]
    errors = [one["value"] for one in figures if "error" in one["figure"]]
    assert len(errors) >= 5
    assert all(value < 10 for value in errors)
