"""The artifact store: what is there is whole, and is what its name says."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidInput, NotFound
from argosy_controller.registry.store import ArtifactStore


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def source(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "source"
    path.write_bytes(content)
    return path


@given(content=st.binary(max_size=5000) | st.builds(lambda a, n: a * n, st.binary(max_size=20), st.integers(0, 2000)))
def test_gives_back_what_was_put_in_also_by_way_of_zstd(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("store")
    store = ArtifactStore(folder / "artifacts")
    sha256, length = store.put(source(folder, content))
    assert (sha256, length) == (hashlib.sha256(content).hexdigest(), len(content))
    assert store.path(sha256).read_bytes() == content
    packed = store.zstd_path(sha256)
    if packed is not None:
        assert packed.stat().st_size <= 0.95 * length
        assert zstandard.ZstdDecompressor().decompressobj().decompress(packed.read_bytes()) == content


def test_keeps_zstd_where_it_is_smaller_and_not_where_it_is_not(store: ArtifactStore, tmp_path: Path) -> None:
    assert store.zstd_path(store.put(source(tmp_path, b"a" * 100_000))[0]) is not None
    assert store.zstd_path(store.put(source(tmp_path, os.urandom(100_000)))[0]) is None


def test_files_are_private_and_lie_where_the_data_folder_says(store: ArtifactStore, tmp_path: Path) -> None:
    sha256, _ = store.put(source(tmp_path, b"weights"))
    place = tmp_path / "artifacts" / sha256[:2] / sha256
    assert store.path(sha256) == place
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_putting_again_heals_a_file_that_was_altered(store: ArtifactStore, tmp_path: Path) -> None:
    sha256, _ = store.put(source(tmp_path, b"weights"))
    store.path(sha256).write_bytes(b"altered")
    store.put(source(tmp_path, b"weights"))
    assert store.path(sha256).read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63, "A" * 64, "0" * 64, "0" * 64 + "\n", "0" * 62 + "/x"])
def test_path_tricks_and_unknown_digests_are_not_found(store: ArtifactStore, name: str) -> None:
    with pytest.raises(NotFound):
        store.path(name)
    with pytest.raises(NotFound):
        store.zstd_path(name)


def test_a_source_that_cannot_be_read_is_one_clear_sentence_and_leaves_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be stored"):
        store.put(tmp_path / "none")
    assert list((tmp_path / "artifacts" / "incoming").iterdir()) == []


@pytest.mark.parametrize("fails_at", range(1, 8))
def test_a_crash_while_putting_leaves_no_half_file_under_a_digest(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    content, calls = b"a" * 10_000, 0

    def dies(original):  # type: ignore[no-untyped-def]
        def step(*arguments, **named):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            if calls == fails_at:
                raise KeyboardInterrupt
            return original(*arguments, **named)

        return step

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", dies(os.fsync))
        patched.setattr(Path, "replace", dies(Path.replace))
        try:
            store.put(source(tmp_path, content))
        except KeyboardInterrupt:
            assert calls == fails_at
    digest = hashlib.sha256(content).hexdigest()
    for file in (tmp_path / "artifacts").glob("??/*"):
        whole = zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes()) if file.suffix else file.read_bytes()
        assert whole == content
    store.remove_unfinished()
    assert list((tmp_path / "artifacts" / "incoming").iterdir()) == []
    assert store.put(source(tmp_path, content)) == (digest, len(content))
    assert store.path(digest).read_bytes() == content
