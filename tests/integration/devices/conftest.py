"""A real controller with two real devices, started once: one with ai-edge-litert, one with tflite-runtime 2.14; both have onnxruntime."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from controller_process import ControllerProcess
from fleet_of_two import FleetOfTwo
from real_device import NEWER, OLDER, RealDevice


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetOfTwo]:
    if not OLDER.exists():
        pytest.skip(f"there is no {OLDER.parents[1].name}: 'make setup' makes it")
    folder = tmp_path_factory.mktemp("site")
    controller = ControllerProcess(folder / "fleet", ("--http", "127.0.0.1:0", "--broker", "auto"))
    devices = [RealDevice(name, python, folder / name, controller) for name, python in (("newer", NEWER), ("older", OLDER))]
    try:
        controller.start()
        for one in devices:
            one.start()
        yield FleetOfTwo(controller, *devices)
    finally:
        for one in devices:
            one.end()
        controller.end()
