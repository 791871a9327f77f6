"""The cache: what was kept comes back whole, the oldest goes first, others cannot plant anything, and a full disk ends no build."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from argosy.errors import InvalidInput
from argosy_controller.pipeline.caching import cache as caching
from argosy_controller.pipeline.caching.cache import Cache, default_folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def bundle(folder: Path, size: int = 10) -> Path:
    (folder / "variants").mkdir(parents=True)
    (folder / "report.json").write_bytes(b"r" * size)
    (folder / "variants" / "model").write_bytes(b"m" * size)
    return folder


def test_kept_file_comes_back(cache: Cache) -> None:
    assert cache.read("a" * 64) is None
    cache.keep("a" * 64, b"weights")
    assert Cache(cache.folder).read("a" * 64) == b"weights"


def test_kept_folder_comes_back_as_a_copy(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    assert not cache.read_folder("k", tmp_path / "first")
    cache.keep_folder("k", bundle(tmp_path / "bundle"))
    assert cache.read_folder("k", tmp_path / "first")
    (tmp_path / "first" / "report.json").write_bytes(b"changed")
    assert cache.read_folder("k", tmp_path / "second")
    assert (tmp_path / "second" / "report.json").read_bytes() == b"r" * 10
    assert (tmp_path / "second" / "variants" / "model").is_file()


def test_folder_is_for_its_owner_alone(cache: Cache) -> None:
    assert cache.folder.stat().st_mode & 0o777 == 0o700


def test_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(InvalidInput, match="others, who could plant results"):
        Cache(tmp_path / "open")


def test_path_that_is_a_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="use --no-cache"):
        Cache(tmp_path / "file")


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", most_bytes=350)
    for age, key in ((30, "a"), (20, "b"), (10, "c")):
        cache.keep(key, b"x" * 100)
        at = (cache.folder / "models" / key).stat().st_mtime - age
        os.utime(cache.folder / "models" / key, (at, at))
    assert cache.read("a")  # used just now, so it is the newest
    cache.keep("d", b"x" * 100)
    assert [one for one in "abcd" if cache.read(one)] == ["a", "c", "d"]


def test_size_counts_builds_and_journals_too(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", most_bytes=100)
    (cache.search / "s.jsonl").write_bytes(b"x" * 60)
    os.utime(cache.search / "s.jsonl", (1, 1))
    cache.keep_folder("k", bundle(tmp_path / "bundle", size=40))
    assert not (cache.search / "s.jsonl").exists() and cache.read_folder("k", tmp_path / "out")


def test_first_of_two_under_one_key_stays(cache: Cache, tmp_path: Path) -> None:
    cache.keep_folder("k", bundle(tmp_path / "one", size=1))
    cache.keep_folder("k", bundle(tmp_path / "two", size=2))
    assert cache.read_folder("k", tmp_path / "out") and (tmp_path / "out" / "report.json").stat().st_size == 1
    assert [one.name for one in (cache.folder / "builds").iterdir()] == ["k"]


def test_disk_that_is_full_costs_the_entry_only(cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching, "write_file", full)
    monkeypatch.setattr(caching.shutil, "copytree", full)
    cache.keep("a", b"x")
    cache.keep_folder("k", bundle(tmp_path / "bundle"))
    assert cache.read("a") is None and list((cache.folder / "builds").iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"ARGOSY_CACHE": "/somewhere"}, "/somewhere"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/argosy"),
        ({"XDG_CACHE_HOME": "relative"}, str(Path.home() / ".cache" / "argosy")),
        ({}, str(Path.home() / ".cache" / "argosy")),
    ],
)
def test_place_is_chosen_by_the_environment(environment: dict[str, str], folder: str) -> None:
    assert default_folder(environment) == Path(folder)


BUSY = """
import sys
from pathlib import Path
from argosy_controller.pipeline.caching.cache import Cache

cache, name = Cache(Path(sys.argv[1]), most_bytes=2000), sys.argv[2]
for number in range(40):
    cache.keep(f"{name}{number % 7}", name.encode() * 100)
    found = cache.read(f"a{number % 7}")
    assert found is None or found == b"a" * 100, found
"""


@pytest.mark.integration
def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", BUSY, str(tmp_path / "cache"), name]) for name in "ab"]
    try:
        assert [one.wait(60) for one in workers] == [0, 0]
    finally:
        for one in workers:
            one.kill()
    assert sum(one.stat().st_size for one in (tmp_path / "cache" / "models").iterdir()) <= 2000
