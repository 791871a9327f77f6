"""Brokers of every kind: `site` is shared by all tests of a kind, `own_site` is the test's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from broker_site import Authority, Site, started

from argosy_controller.broker.mosquitto import find_mosquitto


def skip_where_missing(kind: str) -> None:
    if kind in ("mosquitto", "mqtts") and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")


@pytest.fixture(scope="session", params=["mosquitto", "amqtt", "mqtts"])
def shared_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One broker of each kind for many tests."""
    skip_where_missing(request.param)
    with started(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """A broker that tests of all three kinds share: tests use device names of their own and stop nothing."""
    yield shared_site
    shared_site.close_wires()


@pytest.fixture(params=["mosquitto", "amqtt"])
def own_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A managed broker that the test may harm."""
    skip_where_missing(request.param)
    with started(request.param, tmp_path) as running:
        yield running


@pytest.fixture
def mosquitto_site(tmp_path: Path) -> Iterator[Site]:
    """A mosquitto that the test may harm."""
    skip_where_missing("mosquitto")
    with started("mosquitto", tmp_path) as running:
        yield running


@pytest.fixture
def amqtt_site(tmp_path: Path) -> Iterator[Site]:
    """An amqtt broker that the test may harm."""
    with started("amqtt", tmp_path) as running:
        yield running


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")
