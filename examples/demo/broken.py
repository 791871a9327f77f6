"""Makes version 4: version 2 with its weights turned round after the golden probes were recorded. It loads, and answers wrongly."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np


def broken_copy(bundle: Path, out: Path) -> Path:
    """A bundle whose every runnable model gives other answers than its probes say.

    Digests and sizes in the cards are right: nothing is wrong but the numbers, so only a device's probe can find out.
    """
    shutil.copytree(bundle, out)
    for folder in sorted((out / "variants").iterdir()):
        breaker = _BREAKERS.get(json.loads((folder / "card.json").read_text())["format"])
        if breaker is None:
            shutil.rmtree(folder)
        else:
            _break(folder, breaker)
    _tell_report(out)
    return out


def _break(folder: Path, breaker: Callable[[Path], None]) -> None:
    card = json.loads((folder / "card.json").read_text())
    model = folder / card["model_file"]["name"]
    breaker(model)
    content = model.read_bytes()
    card["model_file"].update(sha256=hashlib.sha256(content).hexdigest(), length=len(content))
    (folder / "card.json").write_text(json.dumps(card))


def _tell_report(out: Path) -> None:
    """The report lists the variants with their digests; it follows the cards."""
    report = json.loads((out / "report.json").read_text())
    cards = {folder.name: json.loads((folder / "card.json").read_text()) for folder in (out / "variants").iterdir()}
    report["summary"] = "weights turned round after the probes were recorded: for the demo"
    report["variants"] = [
        {**one, "sha256": cards[one["name"]]["model_file"]["sha256"], "bytes": cards[one["name"]]["model_file"]["length"]}
        for one in report["variants"]
        if one["name"] in cards
    ]
    (out / "report.json").write_text(json.dumps(report))


def _break_onnx(path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    turned = np.ascontiguousarray(numpy_helper.to_array(largest).ravel()[::-1]).reshape(tuple(largest.dims))
    largest.CopyFrom(numpy_helper.from_array(turned, largest.name))
    onnx.save(model, path)


def _break_tflite(path: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    content = bytearray(path.read_bytes())
    model = schema.Model.GetRootAsModel(content, 0)
    buffers = [model.Buffers(number).DataAsNumpy() for number in range(model.BuffersLength())]
    largest = max((array for array in buffers if isinstance(array, np.ndarray)), key=len)
    # A view into `content`: whole float32 or int8 elements change places, so the numbers stay finite.
    step = 4 if len(largest) % 4 == 0 else 1
    largest[:] = largest.reshape(-1, step)[::-1].copy().ravel()
    path.write_bytes(content)


_BREAKERS: dict[str, Callable[[Path], None]] = {"onnx": _break_onnx, "tflite": _break_tflite}
