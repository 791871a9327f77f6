"""A device of a real controller: `agent run` as a process in an interpreter of its own, asked over its own endpoint."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from controller_process import ControllerProcess, end_process, plain_environment

#: Interpreters: onnxruntime with ai-edge-litert, and onnxruntime with tflite-runtime (numpy below 2).
NEWER = Path(sys.executable)
OLDER = Path(__file__).parents[2] / ".venv-device" / "bin" / "python"
_END_S = 10.0
_OIP = {"float32": "FP32", "float64": "FP64", "int32": "INT32", "int64": "INT64", "int8": "INT8", "uint8": "UINT8", "int16": "INT16"}


@dataclass
class RealDevice:
    """An enrolled device; `start` returns when its endpoint is known."""

    name: str
    python: Path
    state: Path
    controller: ControllerProcess
    settings: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> RealDevice:
        """Enrols it where that was not done, and runs the agent."""
        if not self.state.exists():
            line = self.controller.run("tokens", "create", "--label", "site=lab", "--json").document["line"]
            done = self._agent("enrol", line, "--state", str(self.state), "--name", self.name)
            assert done.returncode == 0, done.stderr
            (self.state / "agent.toml").write_text(self.settings)
        command = [str(self.python), "-m", "argosy_agent.cli", "run", "--state", str(self.state), "--spread", "0s"]
        with (self.state / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=_environment())
        wait_until(lambda: bool(self.status().get("endpoint")), 30.0, lambda: f"{self.name} did not start: {self.log()}")
        return self

    def status(self) -> dict[str, Any]:
        """What the agent last wrote of itself."""
        try:
            found: dict[str, Any] = json.loads((self.state / "status.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found

    def log(self) -> str:
        """The last that it printed."""
        return (self.state / "log").read_text()[-3000:]

    def about(self, slot: str) -> dict[str, Any]:
        """What the endpoint says of a slot: `platform` names the format and the runtime."""
        return self._get(f"/v2/models/{slot}")

    def infer(self, slot: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Answers of the endpoint, as arrays by name."""
        asked = [
            {"name": name, "datatype": _OIP[one.dtype.name], "shape": list(one.shape), "data": one.ravel().tolist()}
            for name, one in inputs.items()
        ]
        answer = self._get(f"/v2/models/{slot}/infer", {"inputs": asked})
        kinds = {text: name for name, text in _OIP.items()}
        return {
            one["name"]: np.array(one["data"], dtype=kinds.get(one["datatype"], "str")).reshape(one["shape"]) for one in answer["outputs"]
        }

    def end(self) -> None:
        """Ends it, also one that hangs."""
        if self.process is None:
            return
        end_process(self.process, _END_S)
        self.process = None

    def _get(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.status()["endpoint"] + path, data=data)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{self.name} answers {path} with {error.code}: {error.read()[:500]!r}") from error
        return found

    def _agent(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), "-m", "argosy_agent.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=_environment(), check=False)


def _environment() -> dict[str, str]:
    return {**plain_environment(), "PYTHONUNBUFFERED": "1"}


def wait_until(true: Any, within_s: float, otherwise: Any) -> None:
    """Waits for a condition; `otherwise` makes the message for when it does not come."""
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise())
        time.sleep(0.05)
