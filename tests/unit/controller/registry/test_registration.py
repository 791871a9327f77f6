"""Registering: what is read back is what was put in; a number never means two contents; a crash leaves no half version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner

from argosy.errors import Conflict, InvalidInput, NotAllowed, NotFound, Untrusted
from argosy_controller.db.engine import Database, open_database
from argosy_controller.db.tables import FileRow
from argosy_controller.durable import write_file
from argosy_controller.registry import catalogue
from argosy_controller.registry.bundle import read_bundle
from argosy_controller.registry.download import find_download
from argosy_controller.registry.register import final, next_number, publish, register
from argosy_controller.registry.store import ArtifactStore
from argosy_controller.signing.publisher import sign_targets
from argosy_controller.signing.repository import TufRepository

NOW = 1_800_000_000.0
MakeBundle = Callable[..., Path]
FILE_NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,10}\.txt", fullmatch=True)


def put(registry: Any, bundle: Path, summary: str = "") -> int:
    return publish(registry.database, registry.store, registry.repository, read_bundle(bundle), "ada", NOW, summary)


@pytest.fixture(scope="module")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, ArtifactStore, TufRepository]]:
    folder = tmp_path_factory.mktemp("shared")
    database = open_database(folder / "argosy.db")
    repository = TufRepository.create(folder / "tuf", folder / "keys", folder / "offline-keys", NOW)
    yield database, ArtifactStore(folder / "artifacts"), repository
    database.close()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(min_size=1, max_size=500),
    variants=st.sets(st.sampled_from(["onnx-fp32", "onnx-int8", "tflite-int8", "coreml-fp16"]), min_size=1),
    companions=st.dictionaries(FILE_NAMES, st.binary(max_size=50), max_size=3),
)
def test_register_then_read_gives_the_same(
    shared_registry: tuple[Database, ArtifactStore, TufRepository],
    make_bundle: MakeBundle,
    content: bytes,
    variants: set[str],
    companions: dict[str, bytes],
) -> None:
    database, store, repository = shared_registry
    bundle = read_bundle(make_bundle(content=content, variants=tuple(variants), companions=companions))
    number = publish(database, store, repository, bundle, "ada", NOW)
    with database.read() as session:
        version = catalogue.version(session, "digits", number)
        assert [(view.name, view.card.version) for view in version.variants] == [(name, number) for name in sorted(variants)]
        for view, (card, folder) in zip(version.variants, bundle.variants, strict=True):
            assert (view.card.model_file, view.card.companions) == (card.model_file, card.companions)
            for ref in (card.model_file, *card.companions):
                path = f"digits/{number}/{view.name}/{ref.sha256}.{ref.name}"
                assert find_download(repository, store, path).path.read_bytes() == (folder / ref.name).read_bytes()
                assert session.get(FileRow, ref.sha256) is not None


def test_numbers_count_up_per_model_and_views_are_newest_first(registry: Any, make_bundle: MakeBundle) -> None:
    numbers = [put(registry, make_bundle(bytes([each]))) for each in range(3)]
    assert numbers == [1, 2, 3]
    assert put(registry, make_bundle(model="letters"), summary="first letters") == 1
    with registry.database.read() as session:
        seen = {view.name: [version.number for version in view.versions] for view in catalogue.models(session)}
        assert seen == {"digits": [3, 2, 1], "letters": [1]}
        letters = catalogue.model(session, "letters").versions[0]
        assert (letters.summary, letters.created_by, letters.report["summary"]) == ("first letters", "ada", "as built")
        content = letters.variants[0].content
        assert (content.model, content.version, content.variant) == ("letters", 1, "onnx-fp32")


def test_every_file_of_a_version_exists_and_is_signed(registry: Any, make_bundle: MakeBundle) -> None:
    put(registry, make_bundle(variants=("onnx-fp32", "onnx-int8"), companions={"labels.txt": b"a"}))
    targets = registry.repository.targets("digits")
    assert len(targets) == 6
    for path, (sha256, length) in targets.items():
        assert registry.repository.target(path) == (sha256, length)
        assert registry.store.path(sha256).stat().st_size == length


@pytest.mark.parametrize(
    "path", ["digits/1/onnx-fp32/model.onnx", "digits/1/onnx-fp32/{zeros}.model.onnx", "../../x", "", "digits/9/onnx-fp32/{sha}.model.onnx"]
)
def test_nothing_but_signed_files_can_be_downloaded(registry: Any, make_bundle: MakeBundle, path: str) -> None:
    put(registry, make_bundle())
    sha256, _ = registry.repository.target("digits/1/onnx-fp32/model.onnx")
    with pytest.raises(NotFound):
        find_download(registry.repository, registry.store, path.format(zeros="0" * 64, sha=sha256))


def test_what_is_not_there_is_not_found(registry: Any) -> None:
    with registry.database.read() as session:
        assert catalogue.models(session) == ()
        with pytest.raises(NotFound, match="no model"):
            catalogue.model(session, "none")
        with pytest.raises(NotFound, match="no version"):
            catalogue.version(session, "none", 1)


def test_a_file_that_changes_after_it_was_read_is_refused_and_nothing_is_registered(registry: Any, make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    bundle = read_bundle(folder)
    (folder / "variants/onnx-fp32/model.onnx").write_bytes(b"onnx-fp32Weights")
    with pytest.raises(InvalidInput, match="changed while"):
        publish(registry.database, registry.store, registry.repository, bundle, "ada", NOW)
    assert registry.repository.targets("digits") == {}


class Crash(BaseException):
    """Not an Exception: nothing may catch it, as nothing catches a SIGKILL."""


@pytest.mark.parametrize("fails_at", range(8))
def test_a_crash_at_any_write_leaves_no_half_version_and_no_number_with_two_contents(
    registry: Any, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    put(registry, make_bundle(b"one"))
    writes = 0

    def dying(path: Path, content: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes > fails_at:
            raise Crash
        write_file(path, content)

    def die(*_: object) -> None:
        raise Crash

    repository = TufRepository(registry.folder / "tuf", registry.folder / "keys", write=dying)
    monkeypatch.setattr("argosy_controller.registry.register._write_rows", die)
    with pytest.raises(Crash):
        publish(registry.database, registry.store, repository, read_bundle(make_bundle(b"two")), "ada", NOW)
    monkeypatch.undo()

    reopened = TufRepository.open(registry.folder / "tuf", registry.folder / "keys")
    signed = dict(reopened.targets("digits"))
    with registry.database.read() as session:
        assert [version.number for version in catalogue.model(session, "digits").versions] == [1]
    other = publish(registry.database, registry.store, reopened, read_bundle(make_bundle(b"three")), "ada", NOW)
    assert other == (3 if any(path.startswith("digits/2/") for path in signed) else 2)
    assert signed.items() <= reopened.targets("digits").items()


def test_a_registration_that_was_cut_off_after_signing_is_taken_up_under_its_number(registry: Any, make_bundle: MakeBundle) -> None:
    bundle = read_bundle(make_bundle())
    with pytest.raises(Crash), registry.database.write() as session:
        assert register(session, registry.store, registry.repository, bundle, "ada", NOW) == 1
        raise Crash
    before = registry.repository.timestamp_version
    assert publish(registry.database, registry.store, registry.repository, bundle, "ada", NOW) == 1
    assert registry.repository.timestamp_version == before


@pytest.fixture
def publisher_mode(tmp_path: Path) -> Iterator[tuple[Database, ArtifactStore, TufRepository, CryptoSigner]]:
    publisher = CryptoSigner.generate_ed25519()
    folder = tmp_path / "publisher-mode"
    folder.mkdir()
    database = open_database(folder / "argosy.db")
    repository = TufRepository.create(folder / "tuf", folder / "keys", folder / "offline-keys", NOW, publisher=publisher)
    yield database, ArtifactStore(folder / "artifacts"), repository, publisher
    database.close()


def test_publisher_mode_registers_what_the_publisher_signed_and_nothing_else(
    publisher_mode: tuple[Database, ArtifactStore, TufRepository, CryptoSigner], make_bundle: MakeBundle
) -> None:
    database, store, repository, publisher = publisher_mode
    for number in (1, 2):
        bundle = read_bundle(make_bundle(bytes([number])))
        with pytest.raises(NotAllowed, match="no publisher key"):
            publish(database, store, repository, bundle, "ada", NOW)
        with database.read() as session:
            assert next_number(session, repository, bundle) == number
        signed = sign_targets(repository.current("digits"), "digits", final(bundle, number).targets, publisher, NOW)
        with pytest.raises(Untrusted, match="exactly the files"):
            publish(database, store, repository, read_bundle(make_bundle(b"another")), "ada", NOW, signed=signed)
        with pytest.raises(Conflict, match="for model"):
            publish(database, store, repository, read_bundle(make_bundle(model="letters")), "ada", NOW, signed=signed)
        assert publish(database, store, repository, bundle, "ada", NOW, signed=signed) == number


def test_operators_who_publish_at_the_same_time_each_get_a_version_of_their_own(registry: Any, make_bundle: MakeBundle) -> None:
    bundles = [read_bundle(make_bundle(bytes([each]), model=("digits", "letters")[each % 2])) for each in range(8)]
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda each: publish(registry.database, registry.store, registry.repository, each, "ada", NOW), bundles))
    got = sorted(zip([bundle.model for bundle in bundles], numbers, strict=True))
    assert got == [(model, number) for model in ("digits", "letters") for number in (1, 2, 3, 4)]
    assert len(TufRepository.open(registry.folder / "tuf", registry.folder / "keys").targets("digits")) == 8
