"""From the path that a TUF client asks for to the file in the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from argosy.errors import NotFound
from argosy_controller.registry.store import ArtifactStore
from argosy_controller.signing.repository import TufRepository


@dataclass(frozen=True)
class Download:
    """A signed file. `zstd_path`: its smaller form, None where there is none."""

    sha256: str
    length: int
    path: Path
    zstd_path: Path | None


def find_download(repository: TufRepository, store: ArtifactStore, path: str) -> Download:
    """The file for a path with consistent snapshots: `MODEL/VERSION/VARIANT/SHA256.FILE`.

    Raises:
        NotFound: nothing of that path and digest is signed, or the store lost it.
    """
    folder, _, name = path.rpartition("/")
    digest, _, plain = name.partition(".")
    sha256, length = repository.target(f"{folder}/{plain}")
    if sha256 != digest:
        raise NotFound(f"there is no signed target {path!r:.160}")
    return Download(sha256, length, store.path(sha256), store.zstd_path(sha256))
