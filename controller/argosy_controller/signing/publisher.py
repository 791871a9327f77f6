"""How versions are published by a key that the controller does not hold.

The publisher's side calls `sign_targets` with what the controller serves now and sends the result; the controller's side calls
`check_signed` and takes nothing on trust. In lab mode the controller plays both parts, through the same two functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import DelegatedRole, Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from argosy.errors import Conflict, InvalidInput, NotAllowed, Untrusted
from argosy_controller.signing import roles

MAX_METADATA_BYTES = 32 << 20


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """What a publisher builds on: the documents as served. `model`: None before the model's first version."""

    targets: bytes
    model: bytes | None = None


class SignedTargets(msgspec.Struct, frozen=True, kw_only=True):
    """New documents, signed. `targets_metadata` only when the model was not delegated before."""

    model: str
    model_metadata: bytes
    targets_metadata: bytes | None = None


@dataclass(frozen=True)
class Checked:
    """New documents that hold, with the bytes to serve."""

    model: Metadata[Targets]
    targets: Metadata[Targets] | None


def sign_targets(current: Current, model: str, wanted: roles.Files, signer: Signer, now: float) -> SignedTargets:
    """Adds files to a model's signed list, on the publisher's side.

    Args:
        current: as the controller serves it. Not trusted: what is built on must be signed with the publisher's own key.
        model: its name.
        wanted: the files to add, by target path `MODEL/VERSION/VARIANT/FILE`.
        signer: the publisher's key.
        now: seconds since 1970.

    Raises:
        InvalidInput: a path that is none of this model.
        Conflict: a path is listed already with other content.
        NotAllowed: another key publishes this model.
        Untrusted: `current` is not signed with this key.
    """
    targets = parse_targets(current.targets)
    delegation = roles.delegated_roles(targets.signed).get(roles.model_role(model))
    listed = _own_list(targets, current.model, delegation, signer)
    check_new(model, wanted, listed)
    document = roles.sign(roles.with_files(listed, wanted, now), [signer])
    delegating = None
    if delegation is None:
        _check_signed_by(targets, signer)
        delegating = roles.sign(roles.with_model(targets.signed, model, signer.public_key, now), [signer]).to_bytes()
    return SignedTargets(model=model, model_metadata=document.to_bytes(), targets_metadata=delegating)


def check_signed(root: Root, current: Current, signed: SignedTargets, wanted: roles.Files, now: float) -> Checked:
    """Checks new documents, on the controller's side.

    Args:
        root: the current root.
        current: what is served now.
        signed: from outside.
        wanted: exactly the files that it must add.
        now: seconds since 1970.

    Raises:
        Untrusted: not signed by who must, or it says more than it may.
        Conflict: it was built on documents that are not the current ones: fetch them and sign again.
        InvalidInput: it does not parse.
    """
    before = parse_targets(current.targets)
    delegating = None if signed.targets_metadata is None else _checked_targets(root, before, signed, now)
    model = parse_targets(signed.model_metadata)
    role = roles.model_role(signed.model)
    try:
        (delegating or before).signed.verify_delegate(role, model.signed_bytes, model.signatures)
    except (RepositoryError, ValueError) as error:
        raise Untrusted(f"the list of model {signed.model:.80} is not signed by a publisher of this model") from error
    listed = None if current.model is None else parse_targets(current.model).signed
    _check_list(signed.model, model.signed, listed, wanted, now)
    return Checked(model, delegating)


def check_new(model: str, wanted: roles.Files, listed: Targets | None) -> None:
    """Checks that files may be added to a model's list: versions never change.

    Raises:
        InvalidInput: a path that is none of this model, or nothing to add.
        Conflict: a path is listed already with other content.
    """
    if not wanted:
        raise InvalidInput(f"no files to sign for model {model:.80}")
    known = {} if listed is None else roles.files_of(listed)
    for path, (digest, length) in wanted.items():
        roles.check_target(model, path, digest, length)
        if known.get(path, (digest, length)) != (digest, length):
            raise Conflict(f"target {path} is signed already with other content: versions never change, register a new one")


def parse_targets(raw: bytes) -> Metadata[Targets]:
    """A targets document out of bytes, whoever signed it.

    Raises:
        InvalidInput: it is none, or too large.
    """
    if len(raw) > MAX_METADATA_BYTES:
        raise InvalidInput(f"TUF metadata has {len(raw)} bytes, at most {MAX_METADATA_BYTES} are allowed")
    try:
        metadata: Metadata[Targets] = Metadata.from_bytes(raw)
    except (DeserializationError, ValueError, RecursionError) as error:
        raise InvalidInput(f"TUF metadata does not parse ({error})") from error
    if not isinstance(metadata.signed, Targets):
        raise InvalidInput(f"TUF metadata is of kind {metadata.signed.type}, not targets")
    return metadata


def _own_list(targets: Metadata[Targets], raw: bytes | None, delegation: DelegatedRole | None, signer: Signer) -> Targets | None:
    if delegation is not None and signer.public_key.keyid not in delegation.keyids:
        raise NotAllowed(f"another key publishes {delegation.name}: use the key of its publisher")
    if raw is None:
        return None
    metadata = parse_targets(raw)
    _check_signed_by(metadata, signer)
    return metadata.signed


def _check_signed_by(metadata: Metadata[Targets], signer: Signer) -> None:
    signature = metadata.signatures.get(signer.public_key.keyid)
    try:
        if signature is None:
            raise Untrusted("the list to build on was not signed with this key: it is another publisher's, or was altered on the way")
        signer.public_key.verify_signature(signature, metadata.signed_bytes)
    except UnverifiedSignatureError as error:
        raise Untrusted("the list to build on was altered after it was signed with this key") from error


def _checked_targets(root: Root, before: Metadata[Targets], signed: SignedTargets, now: float) -> Metadata[Targets]:
    assert signed.targets_metadata is not None
    after = parse_targets(signed.targets_metadata)
    try:
        root.verify_delegate(Targets.type, after.signed_bytes, after.signatures)
    except (RepositoryError, ValueError) as error:
        raise Untrusted("the new targets document is not signed by a key that the root names for it") from error
    _check_following(after.signed, before.signed, now)
    role = roles.delegated_roles(after.signed).get(roles.model_role(signed.model))
    if role is None or not role.keyids:
        raise Untrusted(f"the new targets document does not delegate model {signed.model:.80}")
    if after.signed.delegations != _only_one_more(before.signed, after.signed, signed.model, role) or after.signed.targets:
        raise Untrusted(f"the new targets document changes more than the delegation of model {signed.model:.80}")
    return after


def _only_one_more(before: Targets, after: Targets, model: str, role: DelegatedRole) -> object:
    """The delegations that `after` may have: those of `before`, and the model's as it must be."""
    expected = roles.with_files(before, {}, 0.0)
    if roles.model_role(model) in roles.delegated_roles(before):
        raise Untrusted(f"the new targets document delegates model {model:.80} a second time")
    keys = roles.delegations_of(after).keys
    roles.delegations_of(expected).keys.update({keyid: keys[keyid] for keyid in role.keyids if keyid in keys})
    roles.delegated_roles(expected)[role.name] = roles.model_delegation(model, role.keyids)
    return expected.delegations


def _check_list(model: str, after: Targets, before: Targets | None, wanted: roles.Files, now: float) -> None:
    _check_following(after, before, now)
    if after.delegations is not None:
        raise Untrusted(f"the list of model {model:.80} delegates: only the targets role may")
    check_new(model, wanted, before)
    expected = {} if before is None else roles.files_of(before)
    expected.update(wanted)
    if _strict_files(after) != expected:
        raise Untrusted(f"the signed list of model {model:.80} is not the one before with exactly the files of this version added")


def _strict_files(targets: Targets) -> dict[str, tuple[str, int]]:
    if any(set(file.hashes) != {"sha256"} or file.unrecognized_fields for file in targets.targets.values()):
        raise Untrusted("a signed list describes files by more or less than length and sha256")
    return roles.files_of(targets)


def _check_following(after: Targets, before: Targets | None, now: float) -> None:
    following = 1 if before is None else before.version + 1
    if after.version != following:
        raise Conflict(f"signed metadata has version {after.version} where {following} follows: fetch the current metadata and sign again")
    if after.is_expired(roles.expiry(now, roles.DAY_S)):
        raise Untrusted("signed metadata expires within a day: check the publisher's clock")
