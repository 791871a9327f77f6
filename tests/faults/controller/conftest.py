"""Real controllers that are killed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from controller_fixtures import controller
from controller_process import ControllerProcess

__all__ = ["controller", "started"]


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
