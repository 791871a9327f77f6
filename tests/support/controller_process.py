"""A real `controller up`, and its command line, as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

PROGRAM = Path(sys.executable).with_name("controller")
_START_S = 40.0
_END_S = 15.0


@dataclass(frozen=True)
class Ended:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The last line on stderr."""
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""


def plain_environment() -> dict[str, str]:
    """The environment without the variables that would lead a process to another controller or device."""
    return {key: value for key, value in os.environ.items() if not key.startswith("ARGOSY_")}


def end_process(process: subprocess.Popen[bytes], within_s: float, how: signal.Signals = signal.SIGTERM) -> None:
    """Ends a process, also one that hangs."""
    process.send_signal(how)
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run_controller(*arguments: str | Path, environment: dict[str, str] | None = None, folder: Path | None = None) -> Ended:
    """Runs one command to its end, without the variables that would lead it to another controller."""
    done = subprocess.run(
        [str(PROGRAM), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**plain_environment(), **(environment or {})},
        cwd=folder,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@dataclass
class ControllerProcess:
    """`controller up` on a folder; `start` returns when everything answers."""

    data: Path
    options: tuple[str, ...] = ("--http", "127.0.0.1:0")
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def endpoints(self) -> dict[str, Any]:
        """endpoints.json."""
        found: dict[str, Any] = json.loads((self.data / "endpoints.json").read_text())
        return found

    @property
    def log(self) -> str:
        """What it printed."""
        return self.data.with_suffix(".log").read_text()

    def start(self) -> ControllerProcess:
        """Starts it."""
        with self.data.with_suffix(".log").open("ab") as log:
            command = [str(PROGRAM), "up", "--data", str(self.data), *self.options]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the controller did not start: {self.log[-2000:]}")
            time.sleep(0.05)
        return self

    def run(self, *arguments: str | Path) -> Ended:
        """One command against it."""
        return run_controller(*arguments, "--data", self.data)

    def tree(self) -> list[psutil.Process]:
        """It and everything that it started."""
        assert self.process is not None
        mine = psutil.Process(self.process.pid)
        return [mine, *mine.children(recursive=True)]

    def end(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Ends it; returns how long that took, in seconds."""
        if self.process is None:
            return 0.0
        began = time.monotonic()
        end_process(self.process, _END_S, how)
        self.process = None
        return time.monotonic() - began

    def _answers(self) -> bool:
        assert self.process is not None
        try:
            return bool(self.endpoints["pid"] == self.process.pid)
        except (FileNotFoundError, json.JSONDecodeError):
            return False


def wait_for_end(processes: list[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Waits; returns those that are still there."""
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
