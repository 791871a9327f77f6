"""How a benchmark says what it measured: build/bench/NAME.json, one form for all.

A benchmark is a file tests/benchmarks/some_name.py that runs as a program and calls `write` once. Figures are ratios within one
run wherever that is possible: they hold from machine to machine, absolutes do not.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "bench"
_VERSIONS = ("argosy", "onnxruntime", "numpy", "paho-mqtt", "amqtt", "sqlalchemy", "msgspec", "tuf")


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        figure: what was measured.
        value: in `unit`.
        against: what it was compared with in the same run; empty for nothing.
        ratio: value by the value of `against`; None without one.
        kind: `must` or `aim`.
        aim: what is wanted, in words and numbers.
        met: whether it was reached; None where nothing was asked.
    """

    figure: str
    value: float
    unit: str
    against: str = ""
    ratio: float | None = None
    kind: str = "aim"
    aim: str = ""
    met: bool | None = None


def write(name: str, figures: Sequence[Figure]) -> bool:
    """Writes build/bench/NAME.json and prints the figures; returns whether every `must` was met."""
    OUT.mkdir(parents=True, exist_ok=True)
    document = {
        "name": name,
        "figures": [asdict(figure) for figure in figures],
        "command": f"make bench NAME={name}",
        "versions": {"python": platform.python_version(), "machine": platform.machine(), **_versions()},
    }
    (OUT / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    for figure in figures:
        print(_line(figure))
    return all(figure.met for figure in figures if figure.kind == "must" and figure.met is not None)


def _line(one: Figure) -> str:
    ratio = "" if one.ratio is None else f"  {one.ratio:.3g} x {one.against}"
    verdict = "" if one.met is None else f"  {one.kind} {one.aim}: {'met' if one.met else 'not met'}"
    return f"  {one.figure}: {one.value:,.4g} {one.unit}{ratio}{verdict}"


def _versions() -> dict[str, str]:
    found = {}
    for package in _VERSIONS:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def leave(good: bool) -> None:
    """Ends the program: 1 when a `must` was not met."""
    sys.exit(0 if good else 1)
