"""The TUF roles of a fleet as data: names, files, life times, and new documents out of old ones. No I/O, no clock.

root       2 of 3 offline keys        says who the others are
targets    publishers                 delegates `model/NAME` (paths `NAME/*/*/*`) and `director` (no path at all)
model/N    publishers                 the files of one model
director   controller                 signs desired documents, never a target: no document of this role exists
snapshot, timestamp  controller       which versions of the above belong together, and that this is the latest
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime, timezone
from hashlib import sha256
from typing import TypeVar
from urllib.parse import quote

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Role, Root, Signed, Snapshot, TargetFile, Targets, Timestamp

from argosy.errors import InvalidInput
from argosy.names import check_file_name, check_name, is_digest

DIRECTOR = "director"
MODEL_PREFIX = "model/"
ROOT_THRESHOLD, ROOT_KEYS = 2, 3
DAY_S = 86_400.0
#: Root, targets and models are signed by people: long. Timestamp is what bounds a freeze: short.
PUBLISHED_LIFE_S = 5 * 365 * DAY_S
SNAPSHOT_LIFE_S = 90 * DAY_S
TIMESTAMP_LIFE_S = 7 * DAY_S

#: Target path to (sha256, length).
Files = Mapping[str, tuple[str, int]]
T = TypeVar("T", Root, Snapshot, Targets, Timestamp)


def model_role(model: str) -> str:
    """The name of the role that signs a model."""
    return f"{MODEL_PREFIX}{model}"


def metadata_file(role: str, version: int | None) -> str:
    """The file name of a document in a repository with consistent snapshots; `version` None for timestamp."""
    name = quote(role, safe="")
    return f"{name}.json" if version is None else f"{version}.{name}.json"


def expiry(now: float, life_s: float) -> datetime:
    """`now + life_s` as TUF writes times."""
    return datetime.fromtimestamp(int(now + life_s), timezone.utc)


def half_over(signed: Signed, life_s: float, now: float) -> bool:
    """Whether less than half of its life is left."""
    return bool(signed.expires.timestamp() - now < life_s / 2)


def check_target(model: str, path: str, digest: str, length: int) -> None:
    """Checks that a target is one that the role of `model` may sign: `MODEL/VERSION/VARIANT/FILE`.

    Raises:
        InvalidInput: it is not.
    """
    parts = path.split("/")
    if (
        len(parts) != 4
        or parts[0] != model
        or not (parts[1].isascii() and parts[1].isdigit() and parts[1][0] != "0" and len(parts[1]) <= 9)
    ):
        raise InvalidInput(f"target {path!r:.120} is no file of a version of model {model}")
    check_name("variant", parts[2])
    check_file_name(parts[3])
    if length < 0 or not is_digest(digest):
        raise InvalidInput(f"target {path!r:.120} has an impossible size or digest")


def new_root(root_keys: Sequence[Key], publisher: Key, snapshot: Key, timestamp: Key, now: float) -> Root:
    """Version 1 of the root."""
    roles = {
        Root.type: Role([key.keyid for key in root_keys], ROOT_THRESHOLD),
        Targets.type: Role([publisher.keyid], 1),
        Snapshot.type: Role([snapshot.keyid], 1),
        Timestamp.type: Role([timestamp.keyid], 1),
    }
    keys = {key.keyid: key for key in (*root_keys, publisher, snapshot, timestamp)}
    return Root(expires=expiry(now, PUBLISHED_LIFE_S), keys=keys, roles=roles, consistent_snapshot=True)


def new_targets(director: Key, now: float) -> Targets:
    """Version 1 of the targets: nothing but the director."""
    role = DelegatedRole(DIRECTOR, [director.keyid], 1, terminating=False, paths=[])
    return Targets(expires=expiry(now, PUBLISHED_LIFE_S), delegations=Delegations({director.keyid: director}, {DIRECTOR: role}))


def model_delegation(model: str, keyids: Sequence[str]) -> DelegatedRole:
    """The delegation of a model's files, and of nothing else, to its publishers."""
    return DelegatedRole(model_role(model), list(keyids), 1, terminating=True, paths=[f"{model}/*/*/*"])


def with_model(targets: Targets, model: str, publisher: Key, now: float) -> Targets:
    """The next version of the targets, which delegates one model more."""
    following = successor(targets, now, PUBLISHED_LIFE_S)
    delegations = delegations_of(following)
    delegations.keys[publisher.keyid] = publisher
    delegated_roles(following)[model_role(model)] = model_delegation(model, [publisher.keyid])
    return following


def with_files(listed: Targets | None, files: Files, now: float) -> Targets:
    """The next version of a model's document (its first, for None) with these files added."""
    following = Targets(expires=expiry(now, PUBLISHED_LIFE_S)) if listed is None else successor(listed, now, PUBLISHED_LIFE_S)
    for path, (digest, length) in files.items():
        following.targets[path] = TargetFile(length, {"sha256": digest}, path)
    return following


def with_documents(snapshot: Snapshot | None, documents: Mapping[str, tuple[int, bytes]], now: float) -> Snapshot:
    """The next snapshot: `documents` (role to version and bytes) replace those of the same name."""
    following = Snapshot(expires=expiry(now, SNAPSHOT_LIFE_S)) if snapshot is None else successor(snapshot, now, SNAPSHOT_LIFE_S)
    for role, (version, raw) in documents.items():
        following.meta[f"{role}.json"] = meta_file(version, raw)
    return following


def with_snapshot(timestamp: Timestamp | None, snapshot: MetaFile | None, now: float) -> Timestamp:
    """The next timestamp, for another snapshot or (None) for the same."""
    following = Timestamp(expires=expiry(now, TIMESTAMP_LIFE_S)) if timestamp is None else successor(timestamp, now, TIMESTAMP_LIFE_S)
    if snapshot is not None:
        following.snapshot_meta = snapshot
    return following


def successor(signed: T, now: float, life_s: float) -> T:
    """A copy with the next version number and a new life."""
    following = deepcopy(signed)
    following.version += 1
    following.expires = expiry(now, life_s)
    return following


def meta_file(version: int, raw: bytes) -> MetaFile:
    """How snapshot and timestamp refer to a document: version, length and digest."""
    return MetaFile(version, len(raw), {"sha256": sha256(raw).hexdigest()})


def sign(signed: T, signers: Iterable[Signer]) -> Metadata[T]:
    """Signs with every signer."""
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata


def delegations_of(targets: Targets) -> Delegations:
    """The delegations of the top-level targets, which always has some."""
    assert targets.delegations is not None, "the targets role of a fleet delegates at least the director"
    return targets.delegations


def delegated_roles(targets: Targets) -> dict[str, DelegatedRole]:
    """Its delegated roles by name."""
    roles = delegations_of(targets).roles
    assert roles is not None, "delegations by name, never by hash bins"
    return roles


def files_of(targets: Targets) -> dict[str, tuple[str, int]]:
    """What a document lists."""
    return {path: (file.hashes["sha256"], file.length) for path, file in targets.targets.items()}
