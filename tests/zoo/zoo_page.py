"""Draws docs/zoo.md from the cells: one table a format, a row a model; no dates, so that the same cells give the same page."""

from __future__ import annotations

from collections.abc import Sequence

from zoo_cells import NEWER, OLDER, Cell
from zoo_members import COLUMNS

HEAD = """# The zoo and its matrix

Written by `make zoo` from `build/bench/zoo.json`; do not edit. `controller zoo` lists the models, and `controller build zoo:NAME`
trains one and makes these files of it.

How to read a cell:

- **Single precision (fp32, packed), fp16 and weights of 8 bits:** the largest difference of any number in any output from the
  model's own answers, on {examples} held-out inputs, and the share that gets the model's own class where that is not all of them.
  In fp32 at most 1e-4 is allowed, and of classical models 99.9 % of the classes.
- **int8, int8-dynamic, int16x8:** the share of those inputs that get the model's own class (of a sequence: in every place), then how
  much worse the file is than the model on all held-out data, in points, with the 95 % interval (negative: better).
- **bytes** of the model file.
- **Letters** say which runtimes ran it and gave the answers that were compared, the worse counts:
  `O` onnxruntime, `L` ai-edge-litert, `T` tflite-runtime 2.14.0 (in an environment of its own), `i` Argosy's own interpreter of
  Core ML programs, for Core ML itself runs on macOS only; `–` means *converted, not verified here*.
- **packed** loses nothing: such a file is smaller only where a pass has made weights share their values.
- A number in brackets leads to the reason below the tables.

## What a batch may be
ONNX files take batches of any size: the first dimension of every input and output is free. So are TFLite and Core ML files, where the
file itself proves it: a batch of a size that it was not converted for must be answered as the model answers each example alone (TFLite:
1, 3 and 5 examples, with XNNPACK and without it; Core ML: 3 examples, and 1,024 at most). Where a file does not, it takes one example at
a time, and a number in its cell leads to the reason. tflite-runtime 2.14.0 gets linear layers in 16 bits right for one example alone: so
such a file takes one at a time too, rather than being kept from that runtime.
"""
TITLES = {"onnx": "ONNX", "tflite": "TensorFlow Lite", "coreml": "Core ML"}
_LETTERS = {"onnxruntime": "O", NEWER: "L", OLDER: "T"}
_COARSE = ("int8", "int8-dynamic", "int16x8", "int4")


def page(cells: Sequence[Cell], summaries: dict[str, str], missing: Sequence[str] = ()) -> str:
    """The whole page.

    Args:
        summaries: what each model is, by name, in the order of the rows.
        missing: models that were not built yet.
    """
    notes: list[str] = []
    tables = [_table(kind, cells, list(summaries), notes) for kind in TITLES]
    examples = {one.examples for one in cells if one.examples}
    told = f"{min(examples)}" if len(examples) == 1 else f"{min(examples)} to {max(examples)}" if examples else "200"
    models = ["## Models", "", *(f"- **{name}**: {text}" for name, text in summaries.items()), ""]
    if missing:
        models += [f"Not built yet: {', '.join(missing)}. `make zoo` goes on there.", ""]
    reasons = ["## Reasons", "", *(f"{number}. {text}" for number, text in enumerate(notes, start=1)), ""] if notes else []
    return "\n".join([HEAD.format(examples=told), *models, *tables, *reasons])


def _table(kind: str, cells: Sequence[Cell], models: Sequence[str], notes: list[str]) -> str:
    here = {(one.model, one.variant): one for one in cells if one.format == kind}
    asked = [one for one in COLUMNS if one.startswith(f"{kind}-")]
    columns = [*asked, *sorted({variant for _, variant in here} - set(asked))]
    rows = [[model, *(_drawn(here.get((model, column)), notes) for column in columns)] for model in models]
    head = ["model", *(one.removeprefix(f"{kind}-") for one in columns)]
    lines = ["| " + " | ".join(one) + " |" for one in (head, ["---"] * len(head), *rows)]
    return "\n".join([f"## {TITLES[kind]}", "", *lines, ""])


def _drawn(one: Cell | None, notes: list[str]) -> str:
    if one is None:
        return ""
    note = f" [{_number(one.reason, notes)}]" if one.reason else ""
    if one.bytes is None:
        return f"no file{note}"
    return f"{_figure(one)}{one.bytes:,} B<br>{_verified(one)}{note}"


def _figure(one: Cell) -> str:
    agreed = "" if one.agreement is None else f"{one.agreement:.1%} alike<br>"
    if one.precision in _COARSE:
        return agreed + _drop(one)
    off = "" if one.max_abs_diff is None else f"{one.max_abs_diff:.1e}<br>"
    return off if one.agreement == 1 else off + agreed


def _drop(one: Cell) -> str:
    if (drop := one.accuracy_drop) is None:
        return ""
    if drop.metric in ("rmse", "mae"):
        return f"{drop.value:+.3g} ({drop.low:+.3g} to {drop.high:+.3g}) {drop.metric}<br>"
    return f"{100 * drop.value:+.2f} ({100 * drop.low:+.2f} to {100 * drop.high:+.2f})<br>"


def _verified(one: Cell) -> str:
    return " ".join(_LETTERS.get(by, "i") for by in one.verified_by) or "–"


def _number(reason: str, notes: list[str]) -> int:
    """Where a reason stands in the list, which it joins when it is new."""
    text = reason.rstrip(".") + "."
    if text not in notes:
        notes.append(text)
    return notes.index(text) + 1
