"""What the repository's folder says: read back, and believed only where the signatures hold.

`timestamp.json` is the one file that is ever replaced; it names a snapshot, which names everything else, and those files have
their version in their name. So a change is visible all at once, when the new timestamp is renamed into place, and whatever
a crash before that left behind is named by nothing and is removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from argosy.errors import IncompatibleData
from argosy_controller.durable import remove_partials
from argosy_controller.signing import roles
from argosy_controller.signing.publisher import parse_targets

_NUMBERED = re.compile(r"([0-9]{1,9})\.(.+)\.json")
T = TypeVar("T", Root, Snapshot, Targets, Timestamp)


@dataclass(frozen=True)
class State:
    """The committed documents. `documents`: every targets document that the snapshot names, by role, with the bytes served."""

    root: Root
    root_version_1: bytes
    timestamp: Timestamp
    snapshot: Snapshot
    documents: Mapping[str, bytes]
    targets: Targets
    models: Mapping[str, Targets]


def read_state(folder: Path, known: State | None = None) -> State:
    """Reads and verifies what was committed last.

    Args:
        folder: of the repository.
        known: what was verified before; a model whose bytes and delegation are still the same is not verified again.

    Raises:
        IncompatibleData: there is no repository, or it is damaged.
    """
    try:
        return _read(folder, known)
    except FileNotFoundError as error:
        raise IncompatibleData(f"TUF repository {folder} misses {Path(str(error.filename)).name}: restore it from a backup") from error
    except (RepositoryError, DeserializationError, ValueError, KeyError) as error:
        raise IncompatibleData(f"TUF repository {folder} is damaged ({error}): restore it from a backup") from error


def keys_of(targets: Targets, role: str) -> list[Key]:
    """Public keys of a delegated role."""
    return [targets.get_key(keyid) for keyid in targets.get_delegated_role(role).keyids]


def newest_root(folder: Path) -> int:
    """The highest version of the root in the folder, 0 when there is none."""
    return max((version for version, role in _numbered(folder) if role == Root.type), default=0)


def remove_uncommitted(folder: Path, state: State) -> None:
    """Removes documents that are newer than what the timestamp says, and half written files: a crash left them."""
    remove_partials(folder)
    committed = {name.removesuffix(".json"): meta.version for name, meta in state.snapshot.meta.items()}
    committed[Snapshot.type] = state.snapshot.version
    quoted = {roles.metadata_file(role, None).removesuffix(".json"): version for role, version in committed.items()}
    for version, name in _numbered(folder):
        if name != Root.type and version > quoted.get(name, 0):
            (folder / f"{version}.{name}.json").unlink()


def _read(folder: Path, known: State | None) -> State:
    root = _parse(Root, (folder / roles.metadata_file(Root.type, newest_root(folder))).read_bytes())
    root.signed.verify_delegate(Root.type, root.signed_bytes, root.signatures)
    timestamp = _parse(Timestamp, (folder / roles.metadata_file(Timestamp.type, None)).read_bytes())
    root.signed.verify_delegate(Timestamp.type, timestamp.signed_bytes, timestamp.signatures)
    snapshot = _parse(Snapshot, _committed(folder, Snapshot.type, timestamp.signed.snapshot_meta))
    root.signed.verify_delegate(Snapshot.type, snapshot.signed_bytes, snapshot.signatures)
    documents = {name.removesuffix(".json"): meta for name, meta in snapshot.signed.meta.items()}
    raw = {role: _committed(folder, role, meta) for role, meta in documents.items()}
    targets = parse_targets(raw[Targets.type])
    root.signed.verify_delegate(Targets.type, targets.signed_bytes, targets.signatures)
    models = {role: _model(targets.signed, role, each, known) for role, each in raw.items() if role != Targets.type}
    first = (folder / roles.metadata_file(Root.type, 1)).read_bytes()
    return State(root.signed, first, timestamp.signed, snapshot.signed, raw, targets.signed, models)


def _model(targets: Targets, role: str, raw: bytes, known: State | None) -> Targets:
    if known is not None and known.documents.get(role) == raw and _delegated_alike(targets, known.targets, role):
        return known.models[role]
    metadata = parse_targets(raw)
    targets.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    return metadata.signed


def _delegated_alike(targets: Targets, known: Targets, role: str) -> bool:
    return roles.delegated_roles(targets).get(role) == roles.delegated_roles(known).get(role) and keys_of(targets, role) == keys_of(
        known, role
    )


def _committed(folder: Path, role: str, meta: MetaFile) -> bytes:
    raw = (folder / roles.metadata_file(role, meta.version)).read_bytes()
    meta.verify_length_and_hashes(raw)
    return raw


def _parse(kind: type[T], raw: bytes) -> Metadata[T]:
    metadata = Metadata[T].from_bytes(raw)
    if not isinstance(metadata.signed, kind):
        raise ValueError(f"a {metadata.signed.type} document lies where {kind.__name__.lower()} should")
    return metadata


def _numbered(folder: Path) -> list[tuple[int, str]]:
    found = (_NUMBERED.fullmatch(entry.name) for entry in folder.iterdir())
    return [(int(match[1]), match[2]) for match in found if match is not None]
