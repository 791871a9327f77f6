"""The TUF repository as the controller keeps it: what it signs, with which keys, and what a crash can do to it (nothing)."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from argosy.errors import Conflict, IncompatibleData, InvalidInput, NotAllowed, NotFound
from argosy_controller.durable import write_file
from argosy_controller.signing import roles, rotation
from argosy_controller.signing.online import commit, load_online_keys
from argosy_controller.signing.repository import TufRepository
from argosy_controller.signing.rotation import rotate_root
from argosy_controller.signing.state import read_state

NOW = 1_800_000_000.0
DAY = 86_400.0
FILE = ("1" * 64, 10)
OTHER = ("2" * 64, 20)


class Crash(BaseException):
    """Not an Exception: nothing may catch it, as nothing catches a SIGKILL."""


def create(folder: Path, publisher: CryptoSigner | None = None) -> TufRepository:
    return TufRepository.create(folder / "tuf", folder / "keys", folder / "offline-keys", NOW, publisher)


def reopen(folder: Path) -> TufRepository:
    return TufRepository.open(folder / "tuf", folder / "keys")


@pytest.fixture
def repository(tmp_path: Path) -> TufRepository:
    return create(tmp_path)


def client_view(folder: Path) -> dict[str, tuple[str, int]]:
    """Every target that a client which starts from root version 1 believes, by the reference client's own rules."""
    tuf = folder / "tuf"
    trusted = TrustedMetadataSet((tuf / "1.root.json").read_bytes(), EnvelopeType.METADATA)
    trusted.reference_time = datetime.fromtimestamp(NOW, timezone.utc)
    while (tuf / f"{trusted.root.version + 1}.root.json").exists():
        trusted.update_root((tuf / f"{trusted.root.version + 1}.root.json").read_bytes())
    trusted.update_timestamp((tuf / "timestamp.json").read_bytes())
    trusted.update_snapshot((tuf / f"{trusted.timestamp.snapshot_meta.version}.snapshot.json").read_bytes())
    meta = {name.removesuffix(".json"): each.version for name, each in trusted.snapshot.meta.items()}
    trusted.update_targets((tuf / f"{meta.pop('targets')}.targets.json").read_bytes())
    found = {}
    for role, version in meta.items():
        listed = trusted.update_delegated_targets((tuf / f"{version}.{role.replace('/', '%2F')}.json").read_bytes(), role, "targets")
        found.update({path: (file.hashes["sha256"], file.length) for path, file in listed.targets.items()})
    return found


def test_root_needs_two_of_three_keys_that_lie_apart_from_the_others(repository: TufRepository, tmp_path: Path) -> None:
    root = Metadata[Root].from_bytes(repository.root_version_1).signed
    assert (root.roles["root"].threshold, len(root.roles["root"].keyids)) == (2, 3)
    assert sorted(path.name for path in (tmp_path / "offline-keys").iterdir()) == ["root-1.pem", "root-2.pem", "root-3.pem"]
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["director.pem", "publisher.pem", "snapshot.pem", "timestamp.pem"]
    for folder in ("keys", "offline-keys"):
        assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / folder).iterdir()} == {0o600}
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


def test_no_role_shares_a_key_with_another(repository: TufRepository) -> None:
    root = Metadata[Root].from_bytes(repository.root_version_1).signed
    used = [keyid for role in root.roles.values() for keyid in role.keyids] + [key.keyid for key in repository.director_keys]
    assert len(used) == len(set(used)) == 7


def test_everything_but_a_root_change_works_with_the_offline_keys_gone(repository: TufRepository, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "offline-keys")
    repository.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": FILE}, NOW)
    again = reopen(tmp_path)
    again.add_targets("digits", {"digits/2/onnx-fp32/model.onnx": OTHER}, NOW)
    assert again.keep_fresh(NOW + 4 * DAY)
    assert set(client_view(tmp_path)) == {"digits/1/onnx-fp32/model.onnx", "digits/2/onnx-fp32/model.onnx"}
    with pytest.raises(NotAllowed, match="holds 0 of the root keys, 2 must sign"):
        rotate_root(tmp_path / "tuf", tmp_path / "keys", tmp_path / "offline-keys", NOW)


def test_a_model_is_delegated_its_own_paths_and_the_director_none(repository: TufRepository) -> None:
    repository.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": FILE}, NOW)
    targets = Metadata[Targets].from_bytes(repository.metadata("2.targets.json")).signed
    assert targets.delegations is not None and targets.delegations.roles is not None
    delegated = {name: (role.paths, role.threshold) for name, role in targets.delegations.roles.items()}
    assert delegated == {"director": ([], 1), "model/digits": (["digits/*/*/*"], 1)}
    assert targets.targets == {}
    assert repository.director_signer.public_key in repository.director_keys


def test_one_publisher_key_serves_all_models(repository: TufRepository) -> None:
    for model in ("digits", "letters"):
        repository.add_targets(model, {f"{model}/1/onnx-fp32/model.onnx": FILE}, NOW)
    targets = Metadata[Targets].from_bytes(repository.metadata("3.targets.json")).signed
    assert targets.delegations is not None
    assert len(targets.delegations.keys) == 2  # the director's and the publisher's


def test_adding_what_is_signed_already_signs_nothing(repository: TufRepository) -> None:
    repository.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": FILE}, NOW)
    version = repository.timestamp_version
    repository.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": FILE}, NOW)
    assert repository.timestamp_version == version
    with pytest.raises(Conflict, match="versions never change"):
        repository.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": OTHER}, NOW)


@pytest.mark.parametrize(
    "path",
    [
        "letters/1/onnx-fp32/model.onnx",
        "digits/0/onnx-fp32/model.onnx",
        "digits/x/v/f",
        "digits/1/../f",
        "digits/1/v/../../f",
        "digits/1/v/.f",
        "digits",
    ],
)
def test_refuses_to_sign_paths_that_are_none_of_the_model(repository: TufRepository, path: str) -> None:
    with pytest.raises(InvalidInput):
        repository.add_targets("digits", {path: FILE}, NOW)
    assert repository.timestamp_version == 1


@pytest.mark.parametrize("model", ["../digits", "a/b", "", "*", "director\n"])
def test_refuses_models_with_names_that_could_be_another_role(repository: TufRepository, model: str) -> None:
    with pytest.raises(InvalidInput):
        repository.add_targets(model, {f"{model}/1/v/f": FILE}, NOW)


@pytest.mark.parametrize(
    "name",
    [
        "../keys/publisher.pem",
        "2.root.json",
        "root.json",
        "timestamp.json/",
        "1.model/../../keys/x.json",
        "%2e%2e/x",
        "",
        "1.director.json",
        "01.root.json",
    ],
)
def test_serves_metadata_by_safe_names_only(repository: TufRepository, name: str) -> None:
    with pytest.raises(NotFound):
        repository.metadata(name)


def test_serves_a_models_metadata_quoted_or_not(repository: TufRepository) -> None:
    repository.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": FILE}, NOW)
    assert repository.metadata("1.model/digits.json") == repository.metadata("1.model%2Fdigits.json")


def test_signs_again_long_before_expiry(repository: TufRepository) -> None:
    assert not repository.keep_fresh(NOW + 3 * DAY)
    assert repository.keep_fresh(NOW + 4 * DAY)
    assert not repository.keep_fresh(NOW + 4 * DAY)
    expires = Metadata[Timestamp].from_bytes(repository.metadata("timestamp.json")).signed.expires.timestamp()
    assert expires == NOW + 11 * DAY


def test_snapshot_and_in_lab_mode_the_lists_are_renewed_too(repository: TufRepository, tmp_path: Path) -> None:
    repository.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": FILE}, NOW)
    assert repository.keep_fresh(NOW + 50 * DAY)
    assert Metadata[Snapshot].from_bytes(repository.metadata("3.snapshot.json")).signed.expires.timestamp() == NOW + 140 * DAY
    years = NOW + 3 * 365 * DAY
    assert set(repository.ending(years)) == {"root"}
    assert repository.keep_fresh(years)
    assert Metadata[Targets].from_bytes(repository.metadata("2.model%2Fdigits.json")).signed.expires.timestamp() > years + 4 * 365 * DAY
    assert reopen(tmp_path).targets("digits") == {"digits/1/onnx-fp32/model.onnx": FILE}


def test_outside_lab_mode_what_only_people_can_renew_is_named(tmp_path: Path) -> None:
    publisher = CryptoSigner.generate_ed25519()
    repository = create(tmp_path, publisher)
    assert not repository.lab_mode and repository.publisher_keys == [publisher.public_key]
    assert not (tmp_path / "keys" / "publisher.pem").exists()
    assert repository.ending(NOW) == {}
    assert set(repository.ending(NOW + 3 * 365 * DAY)) == {"root", "targets"}


def test_a_repository_is_never_made_over_another(repository: TufRepository, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="all devices would be lost"):
        create(tmp_path)
    assert reopen(tmp_path).repository_id == repository.repository_id


def test_a_creation_that_was_cut_off_can_be_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr("argosy_controller.signing.repository.sync_folder", die)
        patched.setattr(Path, "rename", die)
        with pytest.raises(Crash):
            create(tmp_path)
    repository = create(tmp_path)
    assert reopen(tmp_path).repository_id == repository.repository_id


@pytest.mark.parametrize("damage", ["missing", "garbage", "other bytes", "unsigned"])
def test_a_damaged_repository_is_named_and_not_used(repository: TufRepository, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "tuf" / "1.snapshot.json"
    raw = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"garbage": b"{", "other bytes": raw + b" ", "unsigned": raw.replace(b"sig", b"gis")}[damage])
    with pytest.raises(IncompatibleData, match="backup"):
        reopen(tmp_path)


@pytest.mark.parametrize("key", ["snapshot", "timestamp", "director"])
def test_a_missing_or_foreign_online_key_is_named(repository: TufRepository, tmp_path: Path, key: str) -> None:
    path = tmp_path / "keys" / f"{key}.pem"
    path.write_bytes(CryptoSigner.generate_ed25519().private_bytes)
    with pytest.raises(IncompatibleData, match=f"{key}\\.pem"):
        reopen(tmp_path)
    path.unlink()
    with pytest.raises(IncompatibleData, match=f"{key}\\.pem"):
        reopen(tmp_path)


Write = Callable[[Path, bytes], None]


def dying_at(number: int, after: bool) -> Write:
    """Writes files until the one of this number: there it dies, before or right after the file is in place."""
    done = 0

    def write(path: Path, content: bytes) -> None:
        nonlocal done
        done += 1
        if done < number or after:
            write_file(path, content)
        if done == number:
            raise Crash

    return write


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_crash_between_any_two_files_shows_clients_all_or_nothing(
    repository: TufRepository, tmp_path: Path, number: int, after: bool
) -> None:
    old = {"digits/1/onnx-fp32/model.onnx": FILE}
    added = {"letters/1/onnx-fp32/model.onnx": OTHER, "letters/1/onnx-fp32/card.json": FILE}
    repository.add_targets("digits", old, NOW)
    before = repository.timestamp_version
    dying = TufRepository(tmp_path / "tuf", tmp_path / "keys", write=dying_at(number, after))
    with pytest.raises(Crash):
        dying.add_targets("letters", added, NOW)
    assert client_view(tmp_path) in (old, old | added)
    again = reopen(tmp_path)
    assert again.timestamp_version == (before + 1 if (number, after) == (4, True) else before)
    again.add_targets("letters", added, NOW)
    assert client_view(tmp_path) == old | added
    named = {unquote(path.name) for path in (tmp_path / "tuf").iterdir()}
    assert {"timestamp.json", "1.root.json", "1.model/letters.json", "3.targets.json"} <= named


def test_the_same_process_goes_on_after_a_write_that_failed(repository: TufRepository, tmp_path: Path) -> None:
    full = dying_at(4, True)
    dying = TufRepository(tmp_path / "tuf", tmp_path / "keys", write=full)
    with pytest.raises(Crash):
        dying.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": FILE}, NOW)
    assert dying.timestamp_version == 2  # it was in place: a second document of that version must never be signed
    dying.add_targets("digits", {"digits/2/onnx-fp32/model.onnx": FILE}, NOW)
    assert dying.timestamp_version == 3
    assert len(client_view(tmp_path)) == 2


def rotate(folder: Path, **wishes: object) -> int:
    return rotate_root(folder / "tuf", folder / "keys", folder / "offline-keys", NOW, **wishes)  # type: ignore[arg-type]


@pytest.mark.parametrize("wishes", [{}, {"root_keys": True}, {"online_keys": True}, {"root_keys": True, "online_keys": True}])
def test_the_root_changes_and_clients_of_version_1_follow(repository: TufRepository, tmp_path: Path, wishes: dict[str, bool]) -> None:
    files = {"digits/1/onnx-fp32/model.onnx": FILE}
    repository.add_targets("digits", files, NOW)
    assert [rotate(tmp_path, **wishes), rotate(tmp_path, **wishes)] == [2, 3]
    assert client_view(tmp_path) == files
    after = reopen(tmp_path)
    assert after.repository_id == repository.repository_id and after.lab_mode
    assert (after.director_signer.public_key == repository.director_signer.public_key) == ("online_keys" not in wishes)
    after.add_targets("digits", {"digits/2/onnx-fp32/model.onnx": OTHER}, NOW)
    after.add_targets("letters", {"letters/1/onnx-fp32/model.onnx": OTHER}, NOW)
    assert len(client_view(tmp_path)) == 3
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["director.pem", "publisher.pem", "snapshot.pem", "timestamp.pem"]


def test_a_fleet_leaves_lab_mode_by_handing_over_to_a_publisher(repository: TufRepository, tmp_path: Path) -> None:
    files = {"digits/1/onnx-fp32/model.onnx": FILE}
    repository.add_targets("digits", files, NOW)
    publisher = CryptoSigner.generate_ed25519()
    rotate(tmp_path, new_publisher=publisher)
    after = reopen(tmp_path)
    assert not after.lab_mode and not (tmp_path / "keys" / "publisher.pem").exists()
    with pytest.raises(NotAllowed, match="no publisher key"):
        after.add_targets("digits", {"digits/2/onnx-fp32/model.onnx": OTHER}, NOW)
    after.add_targets("digits", {"digits/2/onnx-fp32/model.onnx": OTHER}, NOW, publisher)
    assert len(client_view(tmp_path)) == 2
    with pytest.raises(NotAllowed, match="publisher must sign this change"):
        rotate(tmp_path, online_keys=True)
    rotate(tmp_path, online_keys=True, publisher=publisher)
    assert len(client_view(tmp_path)) == 2


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_crash_in_a_root_change_cuts_no_client_off_and_it_can_be_finished(
    repository: TufRepository, tmp_path: Path, number: int, after: bool
) -> None:
    files = {"digits/1/onnx-fp32/model.onnx": FILE}
    repository.add_targets("digits", files, NOW)
    with pytest.raises(Crash):
        rotate(tmp_path, root_keys=True, online_keys=True, write=dying_at(number, after))
    assert client_view(tmp_path) == files
    assert reopen(tmp_path).keep_fresh(NOW + 4 * DAY)
    assert client_view(tmp_path) == files
    rotate(tmp_path, root_keys=True, online_keys=True)
    assert client_view(tmp_path) == files
    reopen(tmp_path).add_targets("digits", {"digits/2/onnx-fp32/model.onnx": OTHER}, NOW)
    assert len(client_view(tmp_path)) == 2


def test_a_crash_before_the_new_keys_are_in_place_is_mended(
    repository: TufRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Crash

    repository.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": FILE}, NOW)
    with monkeypatch.context() as patched:
        patched.setattr(rotation, "_forget_untrusted", die)
        with pytest.raises(Crash):
            rotate(tmp_path, online_keys=True)
    reopen(tmp_path).add_targets("digits", {"digits/2/onnx-fp32/model.onnx": OTHER}, NOW)
    stolen = (tmp_path / "keys" / "timestamp.next.pem").read_bytes()
    rotate(tmp_path, online_keys=True)
    assert (tmp_path / "keys" / "timestamp.pem").read_bytes() != stolen  # what looked new was in use already
    assert len(client_view(tmp_path)) == 2


def test_what_a_crash_left_behind_is_removed_at_the_next_start(repository: TufRepository, tmp_path: Path) -> None:
    before = {path.name for path in (tmp_path / "tuf").iterdir()}
    dying = TufRepository(tmp_path / "tuf", tmp_path / "keys", write=dying_at(3, True))
    with pytest.raises(Crash):
        dying.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": FILE}, NOW)
    (tmp_path / "tuf" / ".partial-timestamp.json-0011").write_bytes(b"{")
    assert {path.name for path in (tmp_path / "tuf").iterdir()} > before
    reopen(tmp_path)
    assert {path.name for path in (tmp_path / "tuf").iterdir()} == before


def test_a_list_that_no_publisher_signed_is_not_served_though_the_online_keys_did(repository: TufRepository, tmp_path: Path) -> None:
    repository.add_targets("digits", {"digits/1/onnx-fp32/model.onnx": FILE}, NOW)
    state, keys = read_state(tmp_path / "tuf"), load_online_keys(tmp_path / "keys", read_state(tmp_path / "tuf"))
    forged = roles.with_files(state.models["model/digits"], {"digits/1/onnx-fp32/evil.bin": OTHER}, NOW)
    raw = roles.sign(forged, [keys.director]).to_bytes()
    commit(tmp_path / "tuf", state, {"model/digits": (forged.version, raw)}, [keys.snapshot], [keys.timestamp], NOW)
    with pytest.raises(IncompatibleData, match="damaged"):
        reopen(tmp_path)
