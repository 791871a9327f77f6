"""Starts and ends the demo's own processes, and nobody else's: each is known by its process id and the moment it started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Stuck(Exception):
    """Something that should have happened did not, in time. The message says what, and which log to read."""


class Processes:
    """The processes of one demo, by name. They outlive this program only when it leaves them running on purpose."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, name: str) -> Path:
        """Where a process writes what it says."""
        return self._logs / f"{name}.log"

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """Starts a process in a session of its own, so that Ctrl-C reaches this program first."""
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self._remember()

    def alive(self, name: str) -> bool:
        """Whether it still runs."""
        return name in self._running and self._running[name].poll() is None

    def code(self, name: str) -> int | None:
        """Its exit code, None while it runs."""
        return self._running[name].poll()

    def kill(self, name: str) -> None:
        """SIGKILL, as a power cut or the kernel's memory killer would."""
        self._running[name].kill()
        self._running.pop(name).wait(10)

    def end(self, name: str, patience_s: float = 12.0) -> None:
        """SIGTERM, then SIGKILL to what is left of its session."""
        process = self._running.pop(name)
        _end(process.pid, lambda: process.poll() is not None, patience_s)
        process.wait(10)

    def end_all(self) -> None:
        """Ends everything: load first, the controller last, so that each says its goodbyes to something."""
        order = sorted(self._running, key=lambda name: (name == "controller", not name.startswith("load")))
        for name in order:
            if self._running[name].poll() is None and name != "controller":
                self._running[name].send_signal(signal.SIGTERM)
        for name in order:
            self.end(name)
        (self._folder / "processes.json").unlink(missing_ok=True)

    def _remember(self) -> None:
        known = {name: {"pid": p.pid, "started": started(p.pid)} for name, p in self._running.items()}
        (self._folder / "processes.json").write_text(json.dumps(known))


def end_kept(folder: Path) -> int:
    """Ends what an earlier demo left running; a process id that was given to another program since is left alone."""
    file = folder / "processes.json"
    if not file.exists():
        return 0
    known = json.loads(file.read_text())
    ours = [one["pid"] for one in known.values() if one["started"] and started(one["pid"]) == one["started"]]
    for pid in ours:
        _end(pid, lambda pid=pid: started(pid) is None, 12.0)  # type: ignore[misc]
    file.unlink()
    return len(ours)


def started(pid: int) -> str | None:
    """When a process began, in clock ticks since boot; None where it is gone (or dead and not yet collected)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def wait_for(what: str, ask: Callable[[], T | None], timeout_s: float, pause_s: float = 0.2) -> T:
    """Asks until the answer is something (not None, not False).

    Raises:
        Stuck: it was nothing for `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = ask()
        if answer is not None and answer is not False:
            return answer
        time.sleep(pause_s)
    raise Stuck(f"{what}: not within {timeout_s:.0f} s")


def _end(pid: int, gone: Callable[[], bool], patience_s: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while not gone() and time.monotonic() < deadline:
        time.sleep(0.05)
    # What it left behind in its own session (a worker, a broker) goes too.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
