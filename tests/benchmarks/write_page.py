"""Writes docs/benchmarks.md from build/bench/*.json; a benchmark that did not run here keeps the section that it had."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench` from `build/bench/*.json`; do not edit. Every ratio is between two things measured in the same run, so it
holds better than the absolute numbers beside it. A *must* that is missed fails the benchmark; an *aim* that is missed says so.
"""


def main() -> None:
    """Rewrites the page."""
    documents = map(_read, sorted(RESULTS.glob("*.json")))
    fresh = {one["name"]: section(one) for one in documents if "figures" in one}  # zoo.json holds cells: docs/zoo.md
    old = sections(PAGE.read_text()) if PAGE.exists() else {}
    together = {**old, **fresh}
    PAGE.write_text("\n".join([HEAD, *(together[name] for name in sorted(together))]))


def sections(page: str) -> dict[str, str]:
    """The sections of a page that was written before, by benchmark."""
    parts = re.split(r"^## (\S+)\n", page, flags=re.MULTILINE)
    return {name: f"## {name}\n{body.rstrip()}\n" for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def section(document: Mapping[str, Any]) -> str:
    """One benchmark."""
    rows = [_row(figure) for figure in document["figures"]]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    table = ["| figure | value | ratio | wanted | met |", "| --- | ---: | --- | --- | --- |", *rows]
    return f"## {document['name']}\n\n" + "\n".join(table) + f"\n\n`{document['command']}` · {versions}\n"


def _row(figure: Mapping[str, Any]) -> str:
    ratio = "" if figure.get("ratio") is None else f"{figure['ratio']:.3g} x {figure['against']}"
    wanted = f"{figure['kind']} {figure['aim']}" if figure.get("aim") else ""
    met = {True: "yes", False: "**no**", None: ""}[figure.get("met")]
    return f"| {figure['figure']} | {_number(figure['value'])} {figure['unit']} | {ratio} | {wanted} | {met} |"


def _number(value: Any) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


if __name__ == "__main__":
    main()
