"""Two real devices of a real controller, and what a rollout of one variant comes to on each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller_process import ControllerProcess
from real_device import RealDevice, wait_until

from argosy_controller.cli.client import find_controller
from argosy_controller.cli.publish import publish

SLOT = "zoo"
_END_S = 60.0


@dataclass(frozen=True)
class FleetOfTwo:
    """`newer` runs TFLite files in ai-edge-litert, `older` in tflite-runtime 2.14."""

    controller: ControllerProcess
    newer: RealDevice
    older: RealDevice

    @property
    def devices(self) -> tuple[RealDevice, RealDevice]:
        """Both."""
        return self.newer, self.older

    def roll_out(self, bundle: Path) -> dict[str, Any]:
        """Registers a bundle and rolls it out to both; returns the rollout as it ended, or paused."""
        with find_controller(self.controller.data, os.environ) as client:
            version = publish(client, bundle, None)
            wish = {"model": version["model"], "version": version["version"], "selector": "*", "slot": SLOT, "health_window_s": 0.1}
            number = client.post("/rollouts", wish)["rollout"]
            wait_until(lambda: client.get(f"/rollouts/{number}")["state"] != "running", _END_S, lambda: self._stuck(client, number))
            found: dict[str, Any] = client.get(f"/rollouts/{number}")
        return found

    def abort(self, number: int) -> None:
        """Ends a rollout that cannot go on, so that the slot is free for the next."""
        with find_controller(self.controller.data, os.environ) as client:
            client.post(f"/rollouts/{number}/abort")

    def _stuck(self, client: Any, number: int) -> str:
        return f"{client.get(f'/rollouts/{number}')}\n{self.newer.log()}\n{self.older.log()}"
