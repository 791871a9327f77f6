"""`make zoo`: builds every model of the zoo in every form, checks each file against the model, and draws the matrix.

Writes build/bench/zoo.json and docs/zoo.md. A model whose cells were made from the same sources is not built again. Ends with 1 and
names the cell when a file is not what it must be.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
import time
from functools import partial
from pathlib import Path

import msgspec
from zoo_builder import Builder
from zoo_cells import Cell, problems
from zoo_members import ROOT, Member, members
from zoo_page import page

from argosy_controller.pipeline.caching.remembering import own_sources
from argosy_controller.pipeline.recipes.recipe import parse_recipe

OUT, PAGE, WORK = ROOT / "build" / "bench" / "zoo.json", ROOT / "docs" / "zoo.md", ROOT / "build" / "zoo"
_VERSIONS = ("torch", "onnxruntime", "ai-edge-litert", "litert-torch", "coremltools", "scikit-learn", "skl2onnx")


class Kept(msgspec.Struct, frozen=True):
    """The cells of one model, and of what they were made."""

    key: str
    cells: list[Cell]


def main(argv: list[str]) -> int:
    """Runs what was asked for; returns the exit code."""
    asked = _arguments(argv)
    listed = members(asked.quick)
    unknown = set(asked.model) - {one.name for one in listed}
    if unknown:
        print(f"the zoo has no model {min(unknown)!r}: choose from {', '.join(one.name for one in listed)}", file=sys.stderr)
        return 2
    work = WORK / ("quick" if asked.quick else "full")
    for number, one in enumerate(listed, start=1):
        if not asked.model or one.name in asked.model:
            _made(one, work, f"[{number}/{len(listed)}] {one.name}", asked)
    return _finish(listed, work, asked.quick)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make zoo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few models with short trainings, in two minutes")
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="only this one; the others keep their cells")
    parser.add_argument("--kept", action="store_true", help="take cells that are kept, whatever sources they were made from")
    parser.add_argument("--again", action="append", default=[], metavar="NAME", help="build this one even if its cells are kept")
    return parser.parse_args(argv)


def _made(member: Member, work: Path, title: str, asked: argparse.Namespace) -> None:
    """Builds a member and keeps its cells, or says that they are kept."""
    path, key = work / f"{member.name}.json", f"{own_sources()} {sorted(member.settings)} {member.recipe}"
    if member.name not in asked.again and (kept := _kept(path)) is not None and (asked.kept or kept.key == key):
        return print(f"{title}: kept", flush=True)
    began = time.monotonic()
    folder = work / member.name
    folder.mkdir(parents=True, exist_ok=True)
    cells = Builder(member, folder, work / "cache", partial(_tell, title, began), asked.quick).cells()
    path.with_suffix(".new").write_bytes(msgspec.json.format(msgspec.json.encode(Kept(key, cells)), indent=1))
    path.with_suffix(".new").replace(path)
    _tell(title, began, f"{len(cells)} cells")


def _tell(title: str, began: float, text: str) -> None:
    print(f"{title} {time.monotonic() - began:4.0f} s  {text}", flush=True)


def _kept(path: Path) -> Kept | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return None


def _finish(listed: list[Member], work: Path, quick: bool) -> int:
    """Writes what there is, and of a full run the page."""
    kept = {one.name: found for one in listed if (found := _kept(work / f"{one.name}.json")) is not None}
    cells = [one for found in kept.values() for one in found.cells]
    _write(cells, quick)
    print(f"{len(cells)} cells of {len(kept)} models")
    missing = [one.name for one in listed if one.name not in kept]
    if missing:
        print(f"not built yet: {', '.join(missing)}", file=sys.stderr)
    if not quick:
        PAGE.write_text(page(cells, {one.name: parse_recipe(one.recipe).summary for one in listed if one.name in kept}, missing))
        print(f"drawn in {PAGE.relative_to(ROOT)}")
    found = problems(cells)
    for one in found:
        print(one, file=sys.stderr)
    return 1 if found else 0


def _write(cells: list[Cell], quick: bool) -> None:
    """Into zoo.json; of a quick run into zoo-quick.json, and into zoo.json where no full run has left one."""
    versions = {name: importlib.metadata.version(name) for name in _VERSIONS}
    document = {"cells": cells, "versions": versions, "command": "make zoo QUICK=1" if quick else "make zoo"}
    text = msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
    OUT.parent.mkdir(parents=True, exist_ok=True)
    if quick:
        OUT.with_name("zoo-quick.json").write_bytes(text)
    if not quick or not OUT.exists() or b'"make zoo QUICK=1"' in OUT.read_bytes():
        OUT.write_bytes(text)


if __name__ == "__main__":
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.exit(main(sys.argv[1:]))
