"""Bundles that wait for a publisher's signature: uploaded, checked, and held in memory by number until they are signed.

A staged bundle lies in DATA/uploads; an hour later, or at the next start, it is gone and nothing was registered.
"""

from __future__ import annotations

import base64
import secrets
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argosy.errors import NotFound, Unavailable
from argosy_controller.registry.bundle import Bundle, read_bundle
from argosy_controller.signing.repository import TufRepository

KEEP_S = 3600.0
MOST = 16


@dataclass(frozen=True)
class StagedView:
    """What a publisher needs to sign: the number that the version will get, and the documents to build on (base64)."""

    upload: str
    model: str
    version: int
    targets: str
    listed: str | None
    publisher_keys: dict[str, Any]


@dataclass
class Staging:
    """Owns the folders of staged bundles. Thread-safe."""

    folder: Path
    _waiting: dict[str, tuple[float, Path, Bundle]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, uploaded: Path, now: float) -> tuple[str, Bundle]:
        """Checks an uploaded bundle and keeps it.

        Raises:
            InvalidInput: it does not hold.
            Unavailable: too many wait.
        """
        read_bundle(uploaded)
        upload = secrets.token_urlsafe(12)
        with self._lock:
            self._forget_old(now)
            if len(self._waiting) >= MOST:
                raise Unavailable(f"{MOST} uploads wait for their signatures: finish one, or wait an hour", retry_after_s=60)
            place = uploaded.rename(self.folder / f"staged-{upload}")
            bundle = read_bundle(place)
            self._waiting[upload] = (now, place, bundle)
        return upload, bundle

    def get(self, upload: str, now: float) -> Bundle:
        """A bundle that waits.

        Raises:
            NotFound: there is none of that name, or not any more.
        """
        with self._lock:
            self._forget_old(now)
            if upload not in self._waiting:
                raise NotFound("this upload is not waiting for a signature (any more): upload the bundle again")
            return self._waiting[upload][2]

    def drop(self, upload: str) -> None:
        """Forgets one."""
        with self._lock:
            _, place, _ = self._waiting.pop(upload, (0.0, None, None))
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)

    def _forget_old(self, now: float) -> None:
        for upload, (since, place, _) in list(self._waiting.items()):
            if now - since > KEEP_S:
                del self._waiting[upload]
                shutil.rmtree(place, ignore_errors=True)


def describe(repository: TufRepository, upload: str, bundle: Bundle, number: int) -> StagedView:
    """What the publisher is told."""
    current = repository.current(bundle.model)
    listed = None if current.model is None else base64.b64encode(current.model).decode()
    keys = {key.keyid: key.to_dict() for key in repository.publisher_keys}
    return StagedView(upload, bundle.model, number, base64.b64encode(current.targets).decode(), listed, keys)
