"""Both HTTP applications over real parts; only the broker, the link to it and the reconciler are stand-ins."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from argosy_controller.accounts.credentials import issue
from argosy_controller.accounts.passwords import ensure_admin
from argosy_controller.api.app import operators_app
from argosy_controller.broker import RunningBroker
from argosy_controller.dashboard.sessions import COOKIE
from argosy_controller.db.engine import open_database
from argosy_controller.devices_api.app import devices_app
from argosy_controller.enrolment.authority import DeviceAuthority
from argosy_controller.fleet.desired import DesiredWriter
from argosy_controller.folder import Endpoints, Folder, prepare
from argosy_controller.jobs.places import Places
from argosy_controller.jobs.runner import BuildRules, BuildRunner
from argosy_controller.parts import Parts
from argosy_controller.registry.store import ArtifactStore
from argosy_controller.settings import Settings
from argosy_controller.signing.repository import TufRepository
from argosy_controller.staging import Staging


class SilentBroker(RunningBroker):
    """Remembers who was revoked."""

    kind = "silent"
    address = ("127.0.0.1", 8883)

    def __init__(self) -> None:
        self.revoked: list[str] = []

    def alive(self) -> bool:
        return True

    def ensure(self) -> bool:
        return False

    def revoke(self, names: Collection[str]) -> str | None:
        self.revoked += names
        return None

    def stop(self) -> None:
        pass


@dataclass
class Waker:
    """Stands in for the link and the reconciler."""

    woken: int = 0
    listening_since: float | None = 1.0
    calls: list[str] = field(default_factory=list)

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture(scope="session")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder after its first start, made once and copied for each test."""
    folder = prepare(tmp_path_factory.mktemp("first") / "fleet")
    folder.uploads.mkdir()
    database = open_database(folder.database)
    with database.write() as session:
        ensure_admin(session, folder, time.time())
    database.close()
    TufRepository.create(folder.tuf, folder.keys, folder.offline_keys, time.time())
    DeviceAuthority.create(folder.ca, ["127.0.0.1"], time.time)
    return folder.root


@pytest.fixture
def parts(first_start: Path, tmp_path: Path) -> Iterator[Parts]:
    folder = Folder(shutil.copytree(first_start, tmp_path / "fleet"))
    database = open_database(folder.database)
    repository = TufRepository.open(folder.tuf, folder.keys)
    link: Any = Waker()
    reconciler: Any = Waker()
    urls = {name: f"https://127.0.0.1:1/{name}" for name in ("dashboard", "mqtt", "tuf_metadata", "tuf_targets")}
    store = ArtifactStore(folder.artifacts)
    yield Parts(
        folder=folder,
        endpoints=Endpoints(pid=1, api="http://testserver/api/v1", device_api="https://127.0.0.1:8443", **urls),
        database=database,
        store=store,
        authority=DeviceAuthority.open(folder.ca, ["127.0.0.1"], time.time),
        repository=repository,
        staging=Staging(folder.uploads),
        broker=SilentBroker(),
        link=link,
        reconciler=reconciler,
        writer=DesiredWriter(repository.repository_id, repository.director_signer, lambda: repository.timestamp_version),
        builds=BuildRunner(database, store, repository, Places(folder.builds), BuildRules(at_once=0), time.time, time.monotonic),
        broker_address=("127.0.0.1", 8883),
        clock=time.time,
        monotonic=time.monotonic,
    )
    database.close()


@pytest.fixture
def operators(parts: Parts) -> Iterator[TestClient]:
    app = operators_app(parts, Settings(data=parts.folder.root))
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def api(operators: TestClient, parts: Parts) -> TestClient:
    """With the local operator's token."""
    operators.headers["Authorization"] = f"Bearer {parts.folder.admin_token.read_text().strip()}"
    return operators


@pytest.fixture
def devices(parts: Parts) -> Iterator[TestClient]:
    with TestClient(devices_app(parts), base_url="https://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def browser(operators: TestClient, parts: Parts) -> TestClient:
    """Signed in; how that is done has tests of its own, and a password's hash costs a tenth of a second."""
    with parts.database.write() as session:
        secret = issue(session, "admin", "session", parts.clock(), lifetime_s=600.0)
    operators.headers["Origin"] = "http://127.0.0.1"
    operators.cookies.set(COOKIE, secret)
    return operators
