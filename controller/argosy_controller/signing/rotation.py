"""Changing the root: new life, new root keys, new online keys, another publisher. The only thing that needs the offline keys.

No client is ever cut off. What old and new root both name (targets, snapshot, timestamp) is first signed with the old *and* the new
keys, so it holds under either; then the new root appears, in one step. A crash before that changed nothing that matters,
a crash after it left only key files to be put in their places, and running it again goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from argosy.errors import InvalidInput, NotAllowed
from argosy_controller.durable import sync_folder, write_file
from argosy_controller.signing import roles
from argosy_controller.signing.keys import load_or_make_key, make_key, read_key
from argosy_controller.signing.online import PUBLISHER, OnlineKeys, Write, commit, key_file, load_online_keys, next_key_file
from argosy_controller.signing.state import State, read_state, remove_uncommitted

_ONLINE = (Snapshot.type, Timestamp.type, roles.DIRECTOR)


@dataclass(frozen=True)
class _Signers:
    """Who signs before and after."""

    root: Sequence[Signer]
    online: OnlineKeys
    publisher: Signer | None


def rotate_root(
    folder: Path,
    keys_folder: Path,
    offline_folder: Path,
    now: float,
    *,
    root_keys: bool = False,
    online_keys: bool = False,
    new_publisher: Signer | None = None,
    publisher: Signer | None = None,
    write: Write = write_file,
) -> int:
    """Signs the next version of the root; the controller must not be running on these folders.

    Without any wish it only gives the root a new life.

    Args:
        folder: of the TUF repository.
        keys_folder: online keys.
        offline_folder: at least two of the three root keys; new ones are written here.
        now: seconds since 1970.
        root_keys: three new root keys replace the present ones.
        online_keys: new keys for snapshot, timestamp, director and, in lab mode, publisher: after the controller was stolen.
            Desired documents signed by the old director are refused from then on.
        new_publisher: takes over everything that the present publisher signs; a publisher key held here is removed (the way from
            lab mode to publisher mode).
        publisher: the present publisher, needed for the last two unless the controller holds its key.
        write: puts a file in place durably; tests let it fail.

    Returns:
        The root's new version.

    Raises:
        NotAllowed: a key that must sign is not there.
        IncompatibleData: the repository or an online key is damaged.
    """
    state = read_state(folder)
    remove_uncommitted(folder, state)
    _settle(folder, keys_folder)
    old = _old_signers(state, keys_folder, offline_folder, publisher)
    if (online_keys or new_publisher is not None) and old.publisher is None:
        raise NotAllowed("the publisher must sign this change and its key is not here: give it with --publisher-key")
    new = _new_signers(old, keys_folder, offline_folder, root_keys, online_keys, new_publisher)
    _sign_under_both(folder, state, old, new, now, write)
    root = _next_root(state.root, old, new, now)
    signed = roles.sign(root, _each_once([*old.root, *new.root]))
    state.root.verify_delegate(Root.type, signed.signed_bytes, signed.signatures)
    root.verify_delegate(Root.type, signed.signed_bytes, signed.signatures)
    write(folder / roles.metadata_file(Root.type, root.version), signed.to_bytes())
    _forget_untrusted(folder, keys_folder)
    return root.version


def _settle(folder: Path, keys_folder: Path) -> dict[str, Signer | None]:
    """Puts the keys that are trusted now in their places; returns them by role."""
    keys = load_online_keys(keys_folder, read_state(folder))
    held = {Snapshot.type: keys.snapshot, Timestamp.type: keys.timestamp, roles.DIRECTOR: keys.director, PUBLISHER: keys.publisher}
    for role, signer in held.items():
        place = key_file(keys_folder, role)
        if signer is not None and (not place.exists() or read_key(place).public_key != signer.public_key):
            next_key_file(keys_folder, role).replace(place)
    sync_folder(keys_folder)
    return held


def _forget_untrusted(folder: Path, keys_folder: Path) -> None:
    for role, signer in _settle(folder, keys_folder).items():
        next_key_file(keys_folder, role).unlink(missing_ok=True)
        if signer is None:
            key_file(keys_folder, role).unlink(missing_ok=True)
    sync_folder(keys_folder)


def _old_signers(state: State, keys_folder: Path, offline_folder: Path, publisher: Signer | None) -> _Signers:
    role = state.root.roles[Root.type]
    present = [_readable(path) for path in sorted(offline_folder.glob("root-*.pem"))]
    root = [signer for signer in present if signer is not None and signer.public_key.keyid in role.keyids]
    if len(root) < role.threshold:
        raise NotAllowed(f"folder {offline_folder} holds {len(root)} of the root keys, {role.threshold} must sign: bring more of them back")
    online = load_online_keys(keys_folder, state)
    signer = publisher or online.publisher
    if signer is not None and signer.public_key.keyid not in state.root.roles[Targets.type].keyids:
        raise NotAllowed("the publisher key given is not the present publisher's: give the one that the root names")
    return _Signers(root, online, signer)


def _readable(path: Path) -> Signer | None:
    try:
        return read_key(path)
    except InvalidInput:
        return None


def _new_signers(
    old: _Signers, keys_folder: Path, offline_folder: Path, root_keys: bool, online_keys: bool, new_publisher: Signer | None
) -> _Signers:
    root = _new_root_keys(offline_folder) if root_keys else old.root
    online, publisher = old.online, new_publisher or old.publisher
    if online_keys:
        made = {role: load_or_make_key(next_key_file(keys_folder, role)) for role in _ONLINE}
        held = old.online.publisher
        if held is not None and new_publisher is None:
            held = publisher = load_or_make_key(next_key_file(keys_folder, PUBLISHER))
        online = OnlineKeys(made[Snapshot.type], made[Timestamp.type], made[roles.DIRECTOR], held)
    return _Signers(root, online, publisher)


def _new_root_keys(folder: Path) -> list[Signer]:
    numbers = [int(path.stem.removeprefix("root-")) for path in folder.glob("root-*.pem") if path.stem.removeprefix("root-").isdigit()]
    first = max(numbers, default=0) + 1
    return [make_key(folder / f"root-{number}.pem") for number in range(first, first + roles.ROOT_KEYS)]


def _sign_under_both(folder: Path, state: State, old: _Signers, new: _Signers, now: float, write: Write) -> None:
    """Publishes documents that hold under the present root and under the next one."""
    documents: dict[str, tuple[int, bytes]] = {}
    if old.publisher is not None and new.publisher is not None:
        targets, models = _handed_over(state.targets, new.publisher.public_key, new.online.director.public_key, now)
        for role in models:
            listed = roles.successor(state.models[role], now, roles.PUBLISHED_LIFE_S)
            documents[role] = (listed.version, roles.sign(listed, [new.publisher]).to_bytes())
        documents[Targets.type] = (targets.version, roles.sign(targets, _each_once([old.publisher, new.publisher])).to_bytes())
    snapshot = _each_once([old.online.snapshot, new.online.snapshot])
    timestamp = _each_once([old.online.timestamp, new.online.timestamp])
    commit(folder, state, documents, snapshot, timestamp, now, write)


def _handed_over(targets: Targets, publisher: Key, director: Key, now: float) -> tuple[Targets, list[str]]:
    """The next targets, with this director and every model delegated to this publisher; and the models' roles."""
    following = roles.successor(targets, now, roles.PUBLISHED_LIFE_S)
    delegated = roles.delegated_roles(following)
    models = [name for name in delegated if name.startswith(roles.MODEL_PREFIX)]
    for name, role in delegated.items():
        role.keyids = [director.keyid if name == roles.DIRECTOR else publisher.keyid]
    keys = [director, publisher] if models else [director]
    roles.delegations_of(following).keys = {key.keyid: key for key in keys}
    return following, models


def _next_root(root: Root, old: _Signers, new: _Signers, now: float) -> Root:
    following = roles.successor(root, now, roles.PUBLISHED_LIFE_S)
    if new.root is not old.root:
        _replace_role(following, Root.type, [signer.public_key for signer in new.root])
    _replace_role(following, Snapshot.type, [new.online.snapshot.public_key])
    _replace_role(following, Timestamp.type, [new.online.timestamp.public_key])
    if new.publisher is not None and old.publisher is not new.publisher:
        _replace_role(following, Targets.type, [new.publisher.public_key])
    return following


def _replace_role(root: Root, role: str, keys: Sequence[Key]) -> None:
    for keyid in list(root.roles[role].keyids):
        root.revoke_key(keyid, role)
    for key in keys:
        root.add_key(key, role)


def _each_once(signers: Sequence[Signer]) -> list[Signer]:
    return list({signer.public_key.keyid: signer for signer in signers}.values())
