from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DOCUMENT = {
    "name": "swap-tail",
    "figures": [
        {
            "figure": "p99",
            "value": 98.8,
            "unit": "µs",
            "against": "steady",
            "ratio": 1.03,
            "kind": "aim",
            "aim": "at most 1.1x",
            "met": True,
        },
        {"figure": "failed", "value": 1, "unit": "requests", "against": "", "ratio": None, "kind": "must", "aim": "0", "met": False},
    ],
    "command": "make bench NAME=swap-tail",
    "versions": {"python": "3.11.7"},
}


def test_a_section_says_what_was_wanted_and_whether_it_was_met() -> None:
    text = load("write_page").section(DOCUMENT)
    assert "| p99 | 98.8 µs | 1.03 x steady | aim at most 1.1x | yes |" in text
    assert "| failed | 1 requests |  | must 0 | **no** |" in text


def test_a_benchmark_that_did_not_run_keeps_its_section() -> None:
    module = load("write_page")
    page = "\n".join([module.HEAD, module.section(DOCUMENT), module.section({**DOCUMENT, "name": "other"})])
    assert module.sections(page)["swap-tail"] == module.section(DOCUMENT)
    assert set(module.sections(page)) == {"swap-tail", "other"}


def test_constraints_carry_no_address_no_path_and_no_local_build() -> None:
    for name in ("constraints.txt", "constraints-device.txt"):
        lines = (BENCHMARKS.parents[1] / name).read_text().splitlines()[1:]
        assert lines and all("==" in line and not set(line) & set("/@+ ") for line in lines)
