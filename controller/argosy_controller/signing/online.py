"""The keys that the controller signs with by itself, and the one way in which it changes what is served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import Signer
from tuf.api.metadata import Snapshot, Targets, Timestamp

from argosy.errors import IncompatibleData, InvalidInput, NotFound
from argosy_controller.durable import write_file
from argosy_controller.signing import roles
from argosy_controller.signing.keys import read_key
from argosy_controller.signing.state import State

PUBLISHER = "publisher"
#: Puts a file in place durably; tests let it fail.
Write = Callable[[Path, bytes], None]
#: New targets documents: role to version and bytes.
Documents = Mapping[str, tuple[int, bytes]]


@dataclass(frozen=True)
class OnlineKeys:
    """What the controller signs with. `publisher` only in lab mode."""

    snapshot: Signer
    timestamp: Signer
    director: Signer
    publisher: Signer | None


def key_file(folder: Path, role: str) -> Path:
    """Where the key of an online role lies."""
    return folder / f"{role}.pem"


def next_key_file(folder: Path, role: str) -> Path:
    """Where its successor lies while the root is being changed."""
    return folder / f"{role}.next.pem"


def load_online_keys(folder: Path, state: State) -> OnlineKeys:
    """The keys that the repository trusts now; a change of the root that was interrupted may have left two of a kind.

    Raises:
        IncompatibleData: one is missing, damaged or not trusted.
    """
    named = state.root.roles
    return OnlineKeys(
        snapshot=_needed(folder, Snapshot.type, named[Snapshot.type].keyids),
        timestamp=_needed(folder, Timestamp.type, named[Timestamp.type].keyids),
        director=_needed(folder, roles.DIRECTOR, roles.delegated_roles(state.targets)[roles.DIRECTOR].keyids),
        publisher=_trusted(folder, PUBLISHER, named[Targets.type].keyids),
    )


def commit(
    folder: Path,
    state: State,
    documents: Documents,
    snapshot_signers: Sequence[Signer],
    timestamp_signers: Sequence[Signer],
    now: float,
    write: Write = write_file,
) -> None:
    """Writes new documents, then the snapshot that names them; the new timestamp then makes all of it visible at once."""
    snapshot = roles.with_documents(state.snapshot, documents, now)
    raw = roles.sign(snapshot, snapshot_signers).to_bytes()
    for role, (version, content) in documents.items():
        write(folder / roles.metadata_file(role, version), content)
    write(folder / roles.metadata_file(Snapshot.type, snapshot.version), raw)
    timestamp = roles.with_snapshot(state.timestamp, roles.meta_file(snapshot.version, raw), now)
    commit_timestamp(folder, timestamp, timestamp_signers, write)


def commit_timestamp(folder: Path, timestamp: Timestamp, signers: Sequence[Signer], write: Write = write_file) -> None:
    """Replaces the timestamp: the moment at which a change becomes visible."""
    write(folder / roles.metadata_file(Timestamp.type, None), roles.sign(timestamp, signers).to_bytes())


def _needed(folder: Path, role: str, keyids: Sequence[str]) -> Signer:
    found = _trusted(folder, role, keyids)
    if found is None:
        raise IncompatibleData(f"key {key_file(folder, role)} is missing, or not one that the repository trusts: restore it from a backup")
    return found


def _trusted(folder: Path, role: str, keyids: Sequence[str]) -> Signer | None:
    for place in (key_file(folder, role), next_key_file(folder, role)):
        try:
            signer = read_key(place)
        except NotFound:
            continue
        except InvalidInput as error:
            raise IncompatibleData(f"key {place} is damaged: restore it from a backup") from error
        if signer.public_key.keyid in keyids:
            return signer
    return None
