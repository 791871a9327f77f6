"""Everything the story acts on: processes, controller, devices, clients, builds under way, and what was found so far."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import observe
from fleet import FLEET, ROOT, Controller, Device, python, unreachable
from processes import Processes
from screen import Screen

RATE = 40.0
SLOT = "digits"


@dataclass
class Findings:
    """What was observed, for the summary."""

    #: One line per promise: (what was promised, whether it held, what was seen).
    promises: list[tuple[str, bool, str]] = field(default_factory=list)
    swaps_began: float = 0.0
    attempts: int = 0
    refused: int = 0
    slow: dict[str, Any] = field(default_factory=dict)
    broken: dict[str, Any] = field(default_factory=dict)
    killed: dict[str, Any] = field(default_factory=dict)
    telemetry: dict[str, Any] = field(default_factory=dict)
    devices: list[dict[str, Any]] = field(default_factory=list)


class Stage:
    """The stage of the demo, in one folder."""

    def __init__(self, folder: Path, screen: Screen, broker: str, mnist: Path | None) -> None:
        self.folder, self.screen, self.mnist = folder, screen, mnist
        self.processes = Processes(folder)
        self.controller = Controller(self.processes, folder / "fleet", broker)
        self.devices = [Device(self.processes, plan, folder / "devices" / plan.name) for plan in FLEET]
        self.findings = Findings()
        self._builds = ThreadPoolExecutor(max_workers=1, thread_name_prefix="build")
        self._commands = ThreadPoolExecutor(max_workers=2, thread_name_prefix="command")
        self._closing = threading.Event()
        self.built: dict[int, Future[Any]] = {}

    def bundle(self, version: int) -> Path:
        """Where the bundle of a version is kept."""
        return self.folder / "bundles" / str(version)

    def build(self, version: int, task: str, recipe: str, register: bool = True) -> None:
        """Queues a build; one runs at a time, and politely: it shares two cores with everything else.

        Without `register` it needs no controller, which may be dead when it ends; `story` uploads its bundle then.
        """
        (self.folder / "bundles").mkdir(exist_ok=True)
        line: list[str | Path] = ["build", ROOT / task, "--recipe", ROOT / recipe, "--model", SLOT]
        line += ["--keep" if register else "--out", self.bundle(version)]
        if self.mnist:
            line += ["--mnist", self.mnist]
        self.built[version] = self._builds.submit(self.controller.command, *line, nice=0 if version == 1 else 15)

    def command(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Future[Any]:
        """Runs a command beside the story."""
        return self._commands.submit(self.controller.command, *arguments, codes=codes)

    def start_load(self) -> None:
        """One client per device, for the rest of the demo."""
        samples = self.folder / "samples.json"
        observe.write_samples(self.bundle(1), samples)
        targets = [f"{device.name}={device.endpoint()}" for device in self.devices]
        line = [python(), ROOT / "examples/demo/load.py", "--out", self.load, "--samples", samples, "--rate", RATE, *targets]
        self.processes.start("load", [str(part) for part in line])

    @property
    def load(self) -> Path:
        """Where clients write down what they see."""
        return self.folder / "load"

    def requests(self, device: str) -> list[observe.Request]:
        """What the client of a device saw so far."""
        return observe.requests_of(self.load, device)

    def promise(self, what: str, held: bool, seen: str) -> bool:
        """Notes a promise and whether it held, and says so."""
        self.findings.promises.append((what, held, seen))
        (self.screen.held if held else self.screen.broke)(f"{what}: {seen}")
        return held

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """Events as the API lists them, oldest first."""
        found: list[dict[str, Any]] = self.controller.get(f"/events?limit=1000&after={after}")
        return found

    def start_telling_events(self) -> None:
        """Prints events as they arrive, until `close`; a controller that is down is waited for."""
        threading.Thread(target=self._tell_events, name="events", daemon=True).start()

    def _tell_events(self) -> None:
        after = 0
        while not self._closing.wait(0.4):
            try:
                fresh = self.events(after)
            except Exception as error:
                if not unreachable(error):
                    raise
                continue
            for one in fresh:
                after = max(after, one["id"])
                self.screen.event(one["device"], one["kind"], one["text"], bad=bool(one["code"]))

    def close(self) -> None:
        """Ends everything that was started here, and nothing else."""
        self._closing.set()
        self._builds.shutdown(wait=False, cancel_futures=True)
        self._commands.shutdown(wait=False, cancel_futures=True)
        self.processes.end_all()
