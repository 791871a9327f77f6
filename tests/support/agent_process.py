"""An agent as a real process, in the device's interpreter where there is one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from fleet_double import FleetDouble, wait_for

_DEVICE = Path(__file__).parents[2] / ".venv-device" / "bin" / "python"
PYTHON = str(_DEVICE) if _DEVICE.exists() else sys.executable


def agent_command(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run([PYTHON, "-m", "argosy_agent.cli", *args], capture_output=True, text=True, timeout=60, input=stdin, check=False)


class AgentProcess:
    """`agent run`, and what a user sees of it."""

    def __init__(self, fleet: FleetDouble, state: Path, name: str, options: tuple[str, ...] = ()) -> None:
        self.fleet, self.state, self.name, self.options = fleet, state, name, options
        if not (state / "identity.json").exists():
            done = agent_command("enrol", fleet.line(), "--state", str(state), "--name", name)
            assert done.returncode == 0, done.stderr
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it (again)."""
        with (self.state / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [PYTHON, "-m", "argosy_agent.cli", "run", "--state", str(self.state), "--spread", "0s", *self.options],
                stdout=log, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(6)

    def log(self) -> str:
        return (self.state / "log").read_text()

    def record(self, slot: str) -> dict[str, Any]:
        """The updater's record of a slot, {} while there is none."""
        try:
            return json.loads((self.state / "slots" / f"{slot}.json").read_bytes())  # type: ignore[no-any-return]
        except (OSError, ValueError):
            return {}

    def status(self) -> dict[str, Any]:
        """What the agent last wrote of itself."""
        try:
            return json.loads((self.state / "status.json").read_bytes())  # type: ignore[no-any-return]
        except (OSError, ValueError):
            return {}

    def serves(self, slot: str, version: int, *, confirmed: bool = True) -> bool:
        """Whether status and endpoint agree that a version serves."""
        status = self.status()
        one = status.get("slots", {}).get(slot, {})
        good = one.get("version") == version and one.get("state") == "serving" and one.get("confirmed", False) >= confirmed
        return bool(good and status.get("running") and self.ready(slot))

    def ready(self, slot: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.status()['endpoint']}/v2/models/{slot}/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, KeyError, ValueError):
            return False

    def wait_serving(self, slot: str, version: int, deadline_s: float = 30.0, *, confirmed: bool = True) -> None:
        """Waits until a version serves."""
        try:
            wait_for(lambda: self.serves(slot, version, confirmed=confirmed), deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{self.name} does not serve version {version}:\n{self.status()}\n{self.log()[-4000:]}") from error
