"""agent.service says MemoryDenyWriteExecute=yes: both runtimes must run a model in a process where code cannot be made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DEVICE_PYTHON = ROOT / ".venv-device" / "bin" / "python"
# prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), Linux 6.3: what the unit's filter forbids, without systemd.
RUN = """
import ctypes, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(77)
import numpy, onnxruntime, tflite_runtime.interpreter
session = onnxruntime.InferenceSession(sys.argv[1])
print(session.run(None, {"x": numpy.ones((1, 4), numpy.float32)})[0].sum())
"""


@pytest.mark.integration
@pytest.mark.skipif(not DEVICE_PYTHON.exists(), reason=".venv-device is not made")
def test_runtimes_run_where_no_memory_is_writable_and_executable(tmp_path: Path) -> None:
    answer = subprocess.run([DEVICE_PYTHON, "-c", RUN, _doubling_model(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    if answer.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert (answer.returncode, answer.stdout.strip()) == (0, "8.0"), answer.stderr


def _doubling_model(folder: Path) -> Path:
    from onnx import TensorProto, helper, save

    tensor = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", tensor[:1], tensor[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path := folder / "model.onnx")
    return path
