"""What tflite-runtime 2.14 answers: a small child in the device's interpreter, because that runtime needs numpy below 2.

`answers` starts it; `main` is the child: MODEL REQUESTS.npz ANSWERS.npz. Both npz hold arrays `0`, `1`, ... in the order of
the file's own inputs and outputs, each of shape (requests, *tensor). `known` has it load many files: MODELS.npz.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PYTHON = Path(__file__).parents[2] / ".venv-device" / "bin" / "python"
_TIMEOUT_S = 120.0


class OlderRuntimeRefused(Exception):
    """tflite-runtime did not load or run the file; the message is its own."""


def available() -> bool:
    """Whether the device's interpreter is here, with tflite-runtime in it."""
    return any(PYTHON.parents[1].glob("lib/python3*/site-packages/tflite_runtime"))


def answers(model: Path, requests: Sequence[Mapping[str, Any] | Sequence[Any]]) -> list[list[Any]]:
    """The outputs to each request, in the file's own order.

    Args:
        model: a TFLite file.
        requests: each the inputs in the file's own order (a mapping: its values), with the file's dtypes, all alike in shape.

    Raises:
        OlderRuntimeRefused: it does not load or run the file, or the child died.
    """
    rows = [list(one.values()) if isinstance(one, Mapping) else list(one) for one in requests]
    with tempfile.TemporaryDirectory() as scratch:
        asked, got = Path(scratch) / "requests.npz", Path(scratch) / "answers.npz"
        np.savez(asked, **{str(i): np.stack(column) for i, column in enumerate(zip(*rows, strict=True))})
        done = subprocess.run(
            [str(PYTHON), __file__, str(model), str(asked), str(got)], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            raise OlderRuntimeRefused(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}")
        with np.load(got, allow_pickle=False) as file:
            columns = [file[str(i)] for i in range(len(file.files))]
    return [[column[i] for column in columns] for i in range(len(rows))]


def known(models: Mapping[str, bytes]) -> set[str]:
    """The names of those models whose operators it all has."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "models.npz"
        np.savez(path, **{name: np.frombuffer(raw, np.uint8) for name, raw in models.items()})
        command = [str(PYTHON), __file__, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    return set(done.stdout.split())


def tell_known(models: str) -> None:
    """The child: prints the names of models that it can load."""
    from tflite_runtime.interpreter import Interpreter

    with np.load(models, allow_pickle=False) as file:
        for name in file.files:
            try:
                Interpreter(model_content=file[name].tobytes())
            except (ValueError, RuntimeError):
                continue
            print(name)


def main(model: str, asked: str, got: str) -> None:
    """The child: loads, asks one request after the other, writes the answers."""
    from tflite_runtime.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=1)
    with np.load(asked, allow_pickle=False) as file:
        columns = [file[str(i)] for i in range(len(file.files))]
    results = [_run(interpreter, [column[i] for column in columns]) for i in range(len(columns[0]))]
    np.savez(got, **{str(i): np.stack(column) for i, column in enumerate(zip(*results))})  # noqa: B905 -- equal by construction


def _run(interpreter: Any, inputs: Sequence[Any]) -> list[Any]:
    for detail, array in zip(interpreter.get_input_details(), inputs):  # noqa: B905 -- too few are told by the runtime
        if tuple(detail["shape"]) != array.shape:
            interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs):  # noqa: B905 -- as above
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]


if __name__ == "__main__":
    try:
        (main if len(sys.argv) > 2 else tell_known)(*sys.argv[1:4])
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
