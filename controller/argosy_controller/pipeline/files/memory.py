"""How much memory model files take: resident, for loading and one answer, measured in a child that has nothing else in it.

One child measures all files of a build: it imports the runtimes once, and forks for each file, so a file costs little more than
its loading. What takes too long, or ends, counts as not measured: the figure is welcome, no build waits or fails for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from argosy_controller.pipeline.task import Array

_START_S, _EACH_S = 3, 1
#: Larger files are not loaded once more for a figure.
_MOST_BYTES = 1 << 29
#: onnxruntime reports its use to its maker unless it is told not to.
_QUIET = {"ORT_DISABLE_TELEMETRY": "1"}


@dataclass(frozen=True)
class Asked:
    """A file, of which format, and one request for it; without a request it is not measured."""

    format: str
    file: Path
    request: Mapping[str, Array]


def memory_of(files: Sequence[Asked]) -> list[int]:
    """Bytes for each file; 0: not measured."""
    small = [
        i for i, one in enumerate(files) if one.request and one.format in ("onnx", "tflite") and one.file.stat().st_size <= _MOST_BYTES
    ]
    found = [0] * len(files)
    if not small:
        return found
    with tempfile.TemporaryDirectory() as scratch:
        for i, one in enumerate(_answers([_written(files[i], Path(scratch) / f"{i}.npz") for i in small])):
            found[small[i]] = one
    return found


def _written(one: Asked, path: Path) -> dict[str, str]:
    np.savez(path, allow_pickle=False, **{str(i): array for i, array in enumerate(one.request.values())})
    return {"format": one.format, "file": str(one.file), "request": str(path), "names": json.dumps(list(one.request))}


def _answers(asked: list[dict[str, str]]) -> list[int]:
    """What the child printed, a line a file, as far as it came."""
    command = [sys.executable, "-P", "-m", "argosy_controller.pipeline.files.memory_child"]
    given = json.dumps({"files": asked, "seconds": _EACH_S})
    try:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            timeout=_START_S + _EACH_S * len(asked),
            env={**os.environ, **_QUIET},
            check=False,
        )
        lines = done.stdout
    except subprocess.TimeoutExpired as late:
        lines = (late.stdout or b"").decode("ascii", "ignore") if isinstance(late.stdout, bytes) else late.stdout or ""
    return [int(one) for one in lines.split("\n")[:-1] if one.isdecimal()]
