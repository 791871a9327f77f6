"""Real controllers that are killed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from controller_process import ControllerProcess


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerProcess]:
    """One that stays alive, for tests that leave no version behind."""
    process = ControllerProcess(tmp_path_factory.mktemp("controller") / "fleet")
    try:
        yield process.start()
    finally:
        process.end()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., ControllerProcess]]:
    """Starts a controller with further options; ends it afterwards."""
    made: list[ControllerProcess] = []

    def start(*options: str) -> ControllerProcess:
        made.append(ControllerProcess(tmp_path / "fleet", ("--http", "127.0.0.1:0", *options)))
        return made[-1].start()

    yield start
    for one in made:
        one.end()
