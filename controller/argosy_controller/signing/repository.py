"""The TUF repository of a fleet (The Update Framework specification 1.0), as the controller keeps and serves it."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from argosy.errors import Conflict, NotAllowed, NotFound
from argosy.names import PATTERN, check_name
from argosy_controller.durable import sync_folder, write_file
from argosy_controller.signing import roles
from argosy_controller.signing.keys import load_or_make_key
from argosy_controller.signing.online import PUBLISHER, Documents, OnlineKeys, Write, commit, commit_timestamp, load_online_keys
from argosy_controller.signing.publisher import Current, SignedTargets, check_signed, sign_targets
from argosy_controller.signing.state import keys_of, read_state, remove_uncommitted

_SERVED = re.compile(rf"timestamp\.json|[1-9][0-9]{{0,8}}\.(?:root|snapshot|targets|model(?:%2F|/){PATTERN})\.json")


class TufRepository:
    """Signed metadata in a folder. Thread-safe; one process at a time may have it open.

    Every change is written so that a client sees all of it or nothing, and a crash anywhere leaves the state before or after.
    """

    def __init__(self, folder: Path, keys_folder: Path, write: Write = write_file) -> None:
        """Use `create` or `open`. `write` puts a file in place durably; tests let it fail."""
        self._folder, self._keys_folder, self._write = folder, keys_folder, write
        self._lock = threading.RLock()
        self._state = read_state(folder)
        remove_uncommitted(folder, self._state)
        self._keys = load_online_keys(keys_folder, self._state)

    @classmethod
    def create(cls, folder: Path, keys_folder: Path, offline_folder: Path, now: float, publisher: Signer | None = None) -> TufRepository:
        """Makes a repository and its keys; keys that are there already are used.

        Args:
            folder: for metadata; new or empty.
            keys_folder: for the online keys.
            offline_folder: for the three root keys.
            now: seconds since 1970.
            publisher: signs what publishers sign. It is used here once and kept nowhere. None is lab mode: the controller makes
                a key for this, and keeps it.

        Raises:
            Conflict: the folder holds something.
        """
        if folder.exists() and any(folder.iterdir()):
            raise Conflict(f"folder {folder} holds a repository already: all devices would be lost with it")
        for place in (keys_folder, offline_folder, folder.parent):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        root_keys = [load_or_make_key(offline_folder / f"root-{number}.pem") for number in range(1, roles.ROOT_KEYS + 1)]
        made = {name: load_or_make_key(keys_folder / f"{name}.pem") for name in (Snapshot.type, Timestamp.type, roles.DIRECTOR)}
        signer = publisher or load_or_make_key(keys_folder / f"{PUBLISHER}.pem")
        keys = OnlineKeys(made[Snapshot.type], made[Timestamp.type], made[roles.DIRECTOR], signer)
        _place_first(folder, _first_documents(root_keys, keys, signer, now))
        return cls(folder, keys_folder)

    @classmethod
    def open(cls, folder: Path, keys_folder: Path) -> TufRepository:
        """Opens a repository, with the offline keys there or not, and mends what a crash left. Call `keep_fresh` next.

        Raises:
            IncompatibleData: there is none, it is damaged, or the keys are not its keys.
        """
        return cls(folder, keys_folder)

    @property
    def repository_id(self) -> str:
        """sha256 of the bytes of root version 1, 64 hex digits."""
        return sha256(self._state.root_version_1).hexdigest()

    @property
    def root_version_1(self) -> bytes:
        """What token lines pin and devices start from."""
        return self._state.root_version_1

    @property
    def timestamp_version(self) -> int:
        """Version of the timestamp that is served now."""
        return self._state.timestamp.version

    @property
    def lab_mode(self) -> bool:
        """Whether the controller holds the publisher's key, so that whoever steals the controller can publish."""
        return self._keys.publisher is not None

    @property
    def director_signer(self) -> Signer:
        """Signs desired documents and commands."""
        return self._keys.director

    @property
    def director_keys(self) -> list[Key]:
        """Who may sign desired documents, as the signed targets say."""
        return keys_of(self._state.targets, roles.DIRECTOR)

    @property
    def publisher_keys(self) -> list[Key]:
        """Who may delegate models, as the root says; candidates for `signing.keys.load_signer`."""
        return [self._state.root.keys[keyid] for keyid in self._state.root.roles[Targets.type].keyids]

    def metadata(self, name: str) -> bytes:
        """The bytes of a metadata file by the name under which clients ask for it.

        Raises:
            NotFound: there is none of that name.
        """
        if not _SERVED.fullmatch(name) or ".." in name:
            raise NotFound(f"there is no metadata file {name!r:.120}")
        try:
            return (self._folder / name.replace("/", "%2F")).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"there is no metadata file {name!r:.120}") from error

    def target(self, path: str) -> tuple[str, int]:
        """sha256 and length of a signed target `MODEL/VERSION/VARIANT/FILE`.

        Raises:
            NotFound: nothing of that path is signed.
        """
        listed = self._state.models.get(roles.model_role(path.partition("/")[0]))
        found = None if listed is None else listed.targets.get(path)
        if found is None:
            raise NotFound(f"there is no signed target {path!r:.160}")
        return found.hashes["sha256"], found.length

    def targets(self, model: str) -> Mapping[str, tuple[str, int]]:
        """Every signed target of a model; none for an unknown one."""
        listed = self._state.models.get(roles.model_role(model))
        return {} if listed is None else roles.files_of(listed)

    def current(self, model: str) -> Current:
        """What a publisher builds on when it signs files of `model`."""
        documents = self._state.documents
        return Current(targets=documents[Targets.type], model=documents.get(roles.model_role(model)))

    def add_targets(self, model: str, files: roles.Files, now: float, publisher: Signer | None = None) -> None:
        """Signs files of a model, with the publisher's key given here or, in lab mode, the one held here. Files that are signed
        already are left as they are; when it returns all are signed and served.

        Raises:
            NotAllowed: no publisher key is at hand, or it is another publisher's model.
            Conflict: a path is signed already with other content.
            InvalidInput: a path that is none of this model.
        """
        check_name("model", model)
        signer = publisher or self._keys.publisher
        if signer is None:
            raise NotAllowed(f"this controller holds no publisher key: sign model {model} where the key is, with --publisher-key")
        with self._lock:
            known = self.targets(model)
            if any(path not in known or known[path] != files[path] for path in files):
                self.accept(sign_targets(self.current(model), model, files, signer, now), files, now)

    def accept(self, signed: SignedTargets, wanted: roles.Files, now: float) -> None:
        """Takes in what a publisher signed elsewhere (`signing.publisher.sign_targets`), and serves it.

        Args:
            signed: from outside.
            wanted: exactly the files that it must add.
            now: seconds since 1970.

        Raises:
            Untrusted: it is not signed by who must, or says more than it may.
            Conflict: it was built on metadata that is not the current one.
            InvalidInput: it does not parse, or names what it must not.
        """
        check_name("model", signed.model)
        with self._lock:
            checked = check_signed(self._state.root, self.current(signed.model), signed, wanted, now)
            documents = {roles.model_role(signed.model): (checked.model.signed.version, signed.model_metadata)}
            if checked.targets is not None and signed.targets_metadata is not None:
                documents[Targets.type] = (checked.targets.signed.version, signed.targets_metadata)
            self._commit(documents, now)

    def keep_fresh(self, now: float) -> bool:
        """Signs again, long before it expires, whatever the controller can sign; call it at start and every hour.

        Returns:
            Whether anything was signed.
        """
        with self._lock:
            published = self._renewed_lists(now)
            if published or roles.half_over(self._state.snapshot, roles.SNAPSHOT_LIFE_S, now):
                self._commit(published, now)
            elif roles.half_over(self._state.timestamp, roles.TIMESTAMP_LIFE_S, now):
                with self._reading_back():
                    timestamp = roles.with_snapshot(self._state.timestamp, None, now)
                    commit_timestamp(self._folder, timestamp, [self._keys.timestamp], self._write)
            else:
                return False
            return True

    def ending(self, now: float) -> dict[str, float]:
        """Roles that only people can renew (root; targets and models outside lab mode) with less than half of their life left, and
        when they expire, in seconds since 1970: for the dashboard to warn of."""
        people = {Root.type: self._state.root} | ({} if self.lab_mode else self._lists())
        return {name: each.expires.timestamp() for name, each in people.items() if roles.half_over(each, roles.PUBLISHED_LIFE_S, now)}

    def _lists(self) -> dict[str, Targets]:
        return {Targets.type: self._state.targets, **self._state.models}

    def _renewed_lists(self, now: float) -> dict[str, tuple[int, bytes]]:
        signer = self._keys.publisher
        renewed = {}
        for role, listed in self._lists().items() if signer is not None else ():
            if signer is not None and roles.half_over(listed, roles.PUBLISHED_LIFE_S, now) and self._may_sign(role, signer):
                following = roles.successor(listed, now, roles.PUBLISHED_LIFE_S)
                renewed[role] = (following.version, roles.sign(following, [signer]).to_bytes())
        return renewed

    def _may_sign(self, role: str, signer: Signer) -> bool:
        keys = self.publisher_keys if role == Targets.type else keys_of(self._state.targets, role)
        return signer.public_key.keyid in {key.keyid for key in keys}

    def _commit(self, documents: Documents, now: float) -> None:
        with self._reading_back():
            commit(self._folder, self._state, documents, [self._keys.snapshot], [self._keys.timestamp], now, self._write)

    @contextmanager
    def _reading_back(self) -> Iterator[None]:
        try:
            yield
        finally:
            # Also after a failure: the rename may have happened before it, and a version must never be signed twice.
            self._state = read_state(self._folder, self._state)


def _first_documents(root_keys: Sequence[Signer], keys: OnlineKeys, publisher: Signer, now: float) -> dict[str, bytes]:
    public = [signer.public_key for signer in root_keys]
    root = roles.new_root(public, publisher.public_key, keys.snapshot.public_key, keys.timestamp.public_key, now)
    targets = roles.sign(roles.new_targets(keys.director.public_key, now), [publisher]).to_bytes()
    snapshot = roles.sign(roles.with_documents(None, {Targets.type: (1, targets)}, now), [keys.snapshot]).to_bytes()
    timestamp: Metadata[Timestamp] = roles.sign(roles.with_snapshot(None, roles.meta_file(1, snapshot), now), [keys.timestamp])
    return {
        roles.metadata_file(Root.type, 1): roles.sign(root, root_keys).to_bytes(),
        roles.metadata_file(Targets.type, 1): targets,
        roles.metadata_file(Snapshot.type, 1): snapshot,
        roles.metadata_file(Timestamp.type, None): timestamp.to_bytes(),
    }


def _place_first(folder: Path, documents: Mapping[str, bytes]) -> None:
    """All first documents appear together, so that no crash leaves half a repository with an identity."""
    building = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700)
    for name, raw in documents.items():
        write_file(building / name, raw)
    with suppress(FileNotFoundError):
        folder.rmdir()
    building.rename(folder)
    sync_folder(folder.parent)
