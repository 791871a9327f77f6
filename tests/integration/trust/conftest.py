"""A TUF repository behind plain HTTP, as a stock client sees it, and a man in the middle who may answer what he likes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tuf.ngclient import Updater

from argosy.errors import NotFound
from argosy_controller.registry.download import find_download
from argosy_controller.registry.store import ArtifactStore
from argosy_controller.signing.repository import TufRepository

#: What the man in the middle answers for a path: bytes, None to say "not found", or the true answer's own bytes.
Tamper = Callable[[str, bytes | None], "bytes | Iterator[bytes] | None"]


def honest(_: str, answer: bytes | None) -> bytes | None:
    return answer


@dataclass
class Fleet:
    """The repository, what it serves, and where."""

    folder: Path
    repository: TufRepository
    store: ArtifactStore
    now: float
    url: str = ""
    tamper: Tamper = honest
    sent: dict[str, int] = field(default_factory=dict)

    def publish(self, version: int, content: bytes, model: str = "digits") -> str:
        """Signs one model file; returns its target path."""
        sha256, length = self.store.put_bytes(content)
        path = f"{model}/{version}/onnx-fp32/model.onnx"
        self.repository.add_targets(model, {path: (sha256, length)}, self.now)
        return path

    def client(self, name: str = "client", root: bytes | None = None) -> Updater:
        """A stock client of that name; it keeps what it has seen, and starts from root version 1."""
        place = self.folder / name
        (place / "targets").mkdir(parents=True, exist_ok=True)
        return Updater(
            str(place),
            f"{self.url}/metadata/",
            str(place / "targets"),
            f"{self.url}/targets/",
            bootstrap=root or self.repository.root_version_1,
        )

    def fetch(self, path: str, name: str = "client") -> bytes:
        """What a client gets for a target after it refreshed."""
        updater = self.client(name)
        found = updater.get_targetinfo(path)
        assert found is not None, f"no target {path}"
        return Path(updater.download_target(found)).read_bytes()

    def answer(self, path: str) -> bytes | None:
        try:
            if path.startswith("/metadata/"):
                return self.repository.metadata(path.removeprefix("/metadata/"))
            return find_download(self.repository, self.store, path.removeprefix("/targets/")).path.read_bytes()
        except NotFound:
            return None


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    now = time.time()
    repository = TufRepository.create(tmp_path / "tuf", tmp_path / "keys", tmp_path / "offline-keys", now)
    made = Fleet(tmp_path, repository, ArtifactStore(tmp_path / "artifacts"), now)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def _handler(fleet: Fleet) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = fleet.tamper(self.path, fleet.answer(self.path))
            if answer is None:
                self.send_error(404)
                return
            self.send_response(200)
            if isinstance(answer, bytes):
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            try:
                for chunk in [answer] if isinstance(answer, bytes) else answer:
                    self.wfile.write(chunk)
                    fleet.sent[self.path] = fleet.sent.get(self.path, 0) + len(chunk)
            except OSError:
                pass  # the client has had enough

        def log_message(self, *_: object) -> None:
            pass

    return Handler
