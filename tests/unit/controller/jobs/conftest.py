"""A runner over a real database, store and repository; what stands in for the child process is a function of the test."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from argosy.protocol.card import Accuracy, Card, FileRef, TensorSpec
from argosy.protocol.codec import to_json
from argosy_controller.db.engine import open_database
from argosy_controller.db.tables import BuildRow
from argosy_controller.folder import prepare
from argosy_controller.jobs import queue, runner
from argosy_controller.jobs.intake import BuildWish
from argosy_controller.jobs.places import Places
from argosy_controller.jobs.runner import BuildRules, BuildRunner
from argosy_controller.pipeline.lineage import sha256_file
from argosy_controller.pipeline.processes.messages import Progress
from argosy_controller.registry.store import ArtifactStore
from argosy_controller.signing.repository import TufRepository

DEADLINE_S = 20.0


def write_bundle(out: Path) -> Path:
    """A bundle with one variant whose model is a few bytes."""
    folder = out / "variants" / "onnx-fp32"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"model")
    ref = FileRef(name="model.onnx", sha256=sha256_file(folder / "model.onnx"), length=5)
    spec = TensorSpec(name="x", dtype="float32", shape=[None, 4])
    card = Card(
        model="tiny",
        version=0,
        variant="onnx-fp32",
        format="onnx",
        precision="fp32",
        inputs=[spec],
        outputs=[msgspec.structs.replace(spec, name="y")],
        model_file=ref,
        accuracy=Accuracy(metric="accuracy", value=0.9, low=0.8, high=0.95, examples=100),
    )
    (folder / "card.json").write_bytes(to_json(card))
    (out / "report.json").write_bytes(b'{"kind": "build", "model": "tiny", "summary": "s", "variants": []}')
    return out


@dataclass
class Child:
    """Stands in for `run_build`: what it does is set by the test; it remembers what it was asked."""

    does: Callable[[Path, Callable[[Progress], None], threading.Event], object] = field(default=lambda out, tell, stop: write_bundle(out))
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, task: Path, recipe: Path, out: Path, **asked: Any) -> Path:
        self.asked.append(asked)
        self.does(out, asked["on_progress"], asked["around"].stop)
        return out


@dataclass
class Site:
    """A runner and what it works on."""

    runner: BuildRunner
    child: Child

    def queue(self, **wish: Any) -> int:
        """Queues a build; returns its number."""
        with self.runner.database.write() as session:
            row = queue.add(session, BuildWish(task="tiny", recipe="task/recipe.toml", **wish), "ada", time.time())
        place = self.runner.places.of(row.id or 0)
        (place.inputs / "task" / "tiny").mkdir(parents=True)
        self.runner.wake()
        return row.id or 0

    def row(self, number: int) -> BuildRow:
        """A build now."""
        with self.runner.database.read() as session:
            return queue.get(session, number)

    def wait(self, number: int, *states: str) -> BuildRow:
        """Waits until a build is in one of the states, and its files were tidied up when it has ended."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            row = self.row(number)
            if row.state in states and (row.ended is None or number not in self.runner._stops):
                return row
            time.sleep(0.01)
        raise AssertionError(f"build {number} is {self.row(number).state}, not {states}: {self.row(number).reason}")


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys and first metadata, made once."""
    folder = prepare(tmp_path_factory.mktemp("signed") / "fleet")
    TufRepository.create(folder.tuf, folder.keys, folder.offline_keys, time.time())
    return folder.root


@pytest.fixture
def make_site(signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    """Makes runners over one data folder, as one controller after another would."""
    folder = prepare(Path(shutil.copytree(signed, tmp_path / "fleet")))
    child = Child()
    monkeypatch.setattr(runner, "run_build", child)
    database = open_database(folder.database)
    made: list[BuildRunner] = []

    def make(**rules: Any) -> Site:
        repository = TufRepository.open(folder.tuf, folder.keys)
        store, places = ArtifactStore(folder.artifacts), Places(folder.builds)
        made.append(BuildRunner(database, store, repository, places, BuildRules(**rules), time.time, time.monotonic))
        return Site(made[-1], child)

    yield make
    for one in made:
        one.stop()
    database.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A runner that works."""
    made = make_site()
    made.runner.start()
    return made
