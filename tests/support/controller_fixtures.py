"""Fixture: a real controller that lives as long as a module's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from controller_process import ControllerProcess


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerProcess]:
    process = ControllerProcess(tmp_path_factory.mktemp("controller") / "fleet")
    try:
        yield process.start()
    finally:
        process.end()
