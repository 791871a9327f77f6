"""A worker as the supervisor would start it, in the device's interpreter where there is one, and folders to load."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
import small_models
from worker_process import DEVICE_PYTHON, WorkerProcess

from argosy.protocol.desired import SlotContent


@pytest.fixture(scope="session")
def device_python() -> Path:
    """The interpreter of the device environment, else the one that runs the tests."""
    return DEVICE_PYTHON


@pytest.fixture
def start_worker() -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers and ends them."""
    started: list[WorkerProcess] = []

    def start(*args: str, endpoint: str = "127.0.0.1:0") -> WorkerProcess:
        started.append(WorkerProcess(endpoint, args))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture(scope="session")
def constants(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, SlotContent]]:
    """Versions 1 and 2 of a model whose every output is its version number."""
    base = tmp_path_factory.mktemp("constants")
    return {
        version: (
            base / str(version),
            small_models.write_onnx_variant(base / str(version), small_models.constant_bytes(version), version=version),
        )
        for version in (1, 2)
    }


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
