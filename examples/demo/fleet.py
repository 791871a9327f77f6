"""The parts of the demo as a user would start them: `controller up`, `agent enrol`, `agent run`, and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import Processes, Stuck, wait_for

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
DEVICE_BIN = ROOT / ".venv-device" / "bin"
LABEL = "site=demo"


@dataclass(frozen=True)
class Plan:
    """A device of the demo: its name, what it is, and its settings (agent.toml)."""

    name: str
    what: str
    settings: str


FLEET = (
    Plan("camera-1", "onnxruntime", 'runtimes = ["onnxruntime"]'),
    Plan("camera-2", "onnxruntime", 'runtimes = ["onnxruntime"]'),
    Plan("gateway", "tflite-runtime", 'runtimes = ["tflite-runtime"]'),
    Plan("sensor", "takes only int8", 'precisions = ["int8"]'),
)


class Failed(Exception):
    """A command ended with a code that was not expected; the message is what it said."""


@dataclass
class Controller:
    """The controller of the demo and its command line."""

    processes: Processes
    data: Path
    broker: str
    #: Set once it answers: the content of endpoints.json.
    endpoints: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """`controller up`, until endpoints.json says that everything answers.

        After a SIGKILL the old endpoints.json is still there, so its process id must be that of the new one.
        """
        old = self.endpoints.get("pid")
        self.processes.start("controller", [BIN / "controller", "up", "--data", self.data, "--http", self._http(), "--broker", self.broker])
        self.endpoints = wait_for(f"the controller starts (see {self.processes.log('controller')})", lambda: self._announced(old), 60.0)

    def _http(self) -> str:
        # The same address after a restart, so that an open dashboard goes on.
        return str(self.endpoints["dashboard"]).split("//")[-1].strip("/") if self.endpoints else "127.0.0.1:0"

    def _announced(self, old: int | None) -> dict[str, Any] | None:
        if not self.processes.alive("controller"):
            raise Stuck(f"the controller ended at its start: see {self.processes.log('controller')}")
        try:
            found: dict[str, Any] = json.loads((self.data / "endpoints.json").read_text())
        except (OSError, ValueError):
            return None
        return found if found["pid"] != old and self._answers(found) else None

    def _answers(self, endpoints: dict[str, Any]) -> bool:
        try:
            return bool(self._get(endpoints["api"], "/status"))
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL: no goodbye, no clean-up."""
        self.processes.kill("controller")

    def command(self, *arguments: str | Path, codes: tuple[int, ...] = (0,), timeout_s: float = 300.0, nice: int = 0) -> Any:
        """Runs a `controller` command with --json and returns its document; `nice` as for nice(1).

        Raises:
            Failed: another exit code than expected.
        """
        polite = ["nice", "-n", str(nice)] if nice else []
        line = [*polite, str(BIN / "controller"), *map(str, arguments), "--data", str(self.data), "--json"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT)
        if done.returncode not in codes:
            raise Failed(
                f"'controller {' '.join(map(str, arguments))}' ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return json.loads(done.stdout) if done.stdout.strip() else None

    def get(self, path: str) -> Any:
        """GET from the operators' API."""
        return self._get(self.endpoints["api"], path)

    def _get(self, api: str, path: str) -> Any:
        token = (self.data / "admin-token").read_text().strip()
        request = urllib.request.Request(api + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)


@dataclass
class Device:
    """One agent of the demo: a process of its own, from the environment that holds nothing but the agent."""

    processes: Processes
    plan: Plan
    state: Path

    @property
    def name(self) -> str:
        """Its name in the fleet."""
        return self.plan.name

    def enrol(self, line: str) -> None:
        """Makes the key here and has it certified. The line goes over standard input: it is a secret."""
        command = [str(DEVICE_BIN / "agent"), "enrol", "-", "--state", str(self.state), "--name", self.name]
        done = subprocess.run(command, input=line, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise Failed(f"{self.name} could not enrol: {done.stderr.strip()}")
        (self.state / "agent.toml").write_text(f"{self.plan.settings}\ntelemetry_interval_s = 5.0\n")

    def start(self) -> None:
        """`agent run`."""
        self.processes.start(self.name, [DEVICE_BIN / "agent", "run", "--state", self.state])

    def status(self) -> dict[str, Any] | None:
        """`agent status --json`, None while there is nothing to say."""
        command = [str(DEVICE_BIN / "agent"), "status", "--state", str(self.state), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            return None
        return answer

    def endpoint(self) -> str:
        """HOST:PORT where it serves."""
        status = wait_for(f"{self.name} has an endpoint", lambda: (found := self.status()) and found.get("endpoint") and found, 30.0)
        return str(status["endpoint"]).split("//")[-1].strip("/")


def unreachable(error: BaseException) -> bool:
    """Whether an error only says that the controller is down at the moment."""
    return isinstance(error, urllib.error.URLError | ConnectionError | TimeoutError)


def python() -> str:
    """The interpreter of the controller's environment."""
    return sys.executable
