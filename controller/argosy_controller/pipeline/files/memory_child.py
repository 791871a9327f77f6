"""The child of `memory`: python -m argosy_controller.pipeline.files.memory_child, what to measure on standard input as JSON.

Imports nothing of ours: everything that is here before a file is loaded would be counted by nobody, and cost time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Prints a line a file: bytes, or 0."""
    given = json.loads(sys.stdin.read())
    formats = {one["format"] for one in given["files"]}
    if "onnx" in formats:
        import onnxruntime  # noqa: F401
    if "tflite" in formats:
        import ai_edge_litert.interpreter  # noqa: F401
    for one in given["files"]:
        print(_apart(one, given["seconds"]), flush=True)


def _apart(one: dict[str, str], seconds: int) -> int:
    """The measurement in a fork of its own, which the alarm ends when it takes too long."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        signal.alarm(seconds)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            os.write(writer, str(_measured(one)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    os.waitpid(process, 0)
    return int(said) if said.isdigit() else 0


def _measured(one: dict[str, str]) -> int:
    import numpy as np

    with np.load(one["request"], allow_pickle=False) as file:
        arrays = [file[str(i)] for i in range(len(file.files))]
    before = _kilobytes("VmRSS")
    kept = _onnx(one, arrays) if one["format"] == "onnx" else _tflite(one, arrays)
    most = _kilobytes("VmHWM")  # of this fork alone: loading may take more for a moment than the loaded model keeps
    del kept
    return 1024 * max(most - before, 0)


def _onnx(one: dict[str, str], arrays: list[Any]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(one["file"], options, providers=["CPUExecutionProvider"])
    return session, session.run(None, dict(zip(json.loads(one["names"]), arrays, strict=True)))


def _tflite(one: dict[str, str], arrays: list[Any]) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=one["file"], num_threads=1)
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        if tuple(detail["shape"]) != array.shape:
            interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return interpreter


def _kilobytes(field: str) -> int:
    """Of this process: what is resident (VmRSS), or the most that ever was (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main()
