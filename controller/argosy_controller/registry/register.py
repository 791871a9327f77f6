"""Registering a version: files into the store, metadata signed, rows written. In this order, so that whatever a crash leaves is
never half a version: files and signed targets that no row speaks of harm nobody, and the next try takes them up or passes them by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from sqlmodel import Session, func, select

from argosy.errors import Conflict, InvalidInput
from argosy.protocol.card import CARD_FILE, Card, FileRef
from argosy.protocol.codec import to_json
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import FileRow, ModelRow, VariantRow, VersionRow
from argosy_controller.registry.bundle import MAX_SUMMARY, Bundle, files
from argosy_controller.registry.store import ArtifactStore
from argosy_controller.signing.publisher import SignedTargets
from argosy_controller.signing.repository import TufRepository

MAX_NUMBER = 999_999_999


@dataclass(frozen=True)
class Final:
    """A version as it will be signed. `cards`: final card and its bytes per variant; `targets`: path to (sha256, length)."""

    number: int
    cards: tuple[tuple[Card, bytes], ...]
    targets: Mapping[str, tuple[str, int]]


def final(bundle: Bundle, number: int) -> Final:
    """What a bundle becomes as version `number`: the same on the publisher's side and here, byte for byte."""
    cards = tuple(_with_bytes(msgspec.structs.replace(card, version=number)) for card, _ in bundle.variants)
    targets = {}
    for card, raw in cards:
        targets[f"{card.folder}/{CARD_FILE}"] = (_card_ref(raw).sha256, len(raw))
        targets.update({f"{card.folder}/{ref.name}": (ref.sha256, ref.length) for ref in files(card)})
    return Final(number, cards, targets)


def store_files(store: ArtifactStore, bundle: Bundle) -> None:
    """Puts a bundle's files into the store: slow for large models, so it is done before a write transaction begins.

    Raises:
        InvalidInput: a file changed since the bundle was read.
    """
    for card, folder in bundle.variants:
        for ref in files(card):
            if store.put(folder / ref.name) != (ref.sha256, ref.length):
                raise InvalidInput(f"{folder / ref.name} changed while it was registered: build or import the model again")


def publish(
    database: Database,
    store: ArtifactStore,
    repository: TufRepository,
    bundle: Bundle,
    by: str,
    now: float,
    summary: str = "",
    signed: SignedTargets | None = None,
) -> int:
    """As `register`, with a transaction of its own that is held only for the short part."""
    store_files(store, bundle)
    with database.write() as session:
        return register(session, store, repository, bundle, by, now, summary, signed=signed, stored=True)


def register(
    session: Session,
    store: ArtifactStore,
    repository: TufRepository,
    bundle: Bundle,
    by: str,
    now: float,
    summary: str = "",
    *,
    signed: SignedTargets | None = None,
    stored: bool = False,
) -> int:
    """Makes a bundle the next version of its model. When it returns, every file exists and is signed; the row is the caller's to commit.

    Args:
        session: of a write transaction.
        store: takes the files.
        repository: signs them, in lab mode.
        bundle: checked by `read_bundle`.
        by: account of the operator.
        now: seconds since 1970.
        summary: for people; empty takes the bundle's own.
        signed: from the publisher, made over `final(bundle, next_number(...)).targets`; None signs here.
        stored: `store_files` was just called.

    Returns:
        The version's number.

    Raises:
        InvalidInput: a file changed since the bundle was read, or the model has versions without end.
        NotAllowed: the controller holds no publisher key and `signed` is None.
        Untrusted, Conflict: `signed` does not hold, or is not for the version that follows.
    """
    if not stored:
        store_files(store, bundle)
    version = final(bundle, next_number(session, repository, bundle))
    for card, raw in version.cards:
        if store.put_bytes(raw) != (_card_ref(raw).sha256, len(raw)):
            raise InvalidInput(f"the card of variant {card.variant} could not be stored")
    _sign(repository, bundle.model, version, signed, now)
    _write_rows(session, store, bundle, version, by, now, summary)
    return version.number


def next_number(session: Session, repository: TufRepository, bundle: Bundle) -> int:
    """The number that a bundle gets: one that no other content was ever registered or signed under.

    A try that was cut off between signing and its row is taken up under the same number when it comes again unchanged.

    Raises:
        InvalidInput: there are no numbers left.
    """
    newest = session.exec(select(func.max(VersionRow.number)).where(VersionRow.model == bundle.model)).one()
    number = (newest or 0) + 1
    listed = repository.targets(bundle.model)
    while not _free(number, bundle, listed):
        number += 1
    if number > MAX_NUMBER:
        raise InvalidInput(f"model {bundle.model} has no version numbers left: use another model name")
    return number


def _free(number: int, bundle: Bundle, listed: Mapping[str, tuple[str, int]]) -> bool:
    prefix = f"{bundle.model}/{number}/"
    taken = {path: file for path, file in listed.items() if path.startswith(prefix)}
    return not taken or taken == dict(final(bundle, number).targets)


def _sign(repository: TufRepository, model: str, version: Final, signed: SignedTargets | None, now: float) -> None:
    if signed is None:
        repository.add_targets(model, version.targets, now)
    elif signed.model != model:
        raise Conflict(f"the signed metadata is for model {signed.model!r:.80}, the bundle for {model}: sign what you send")
    elif any(path not in repository.targets(model) for path in version.targets):
        repository.accept(signed, version.targets, now)


def _write_rows(session: Session, store: ArtifactStore, bundle: Bundle, version: Final, by: str, now: float, summary: str) -> None:
    if session.get(ModelRow, bundle.model) is None:
        session.add(ModelRow(name=bundle.model, created=now))
        session.flush()
    told = (summary or bundle.summary)[:MAX_SUMMARY]
    session.add(VersionRow(model=bundle.model, number=version.number, created=now, created_by=by, summary=told, report=bundle.report))
    for card, raw in version.cards:
        session.add(_variant_row(card, raw))
        for ref in (_card_ref(raw), *files(card)):
            _write_file_row(session, store, ref, now)
    session.flush()


def _variant_row(card: Card, raw: bytes) -> VariantRow:
    return VariantRow(
        model=card.model,
        version=card.version,
        name=card.variant,
        format=card.format,
        precision=card.precision,
        sha256=card.model_file.sha256,
        length=card.model_file.length,
        card=raw,
    )


def _write_file_row(session: Session, store: ArtifactStore, ref: FileRef, now: float) -> None:
    if session.get(FileRow, ref.sha256) is None:
        packed = store.zstd_path(ref.sha256)
        zstd_length = packed.stat().st_size if packed is not None else 0
        session.add(FileRow(sha256=ref.sha256, length=ref.length, zstd_length=zstd_length, created=now))


def _with_bytes(card: Card) -> tuple[Card, bytes]:
    return card, to_json(card)


def _card_ref(raw: bytes) -> FileRef:
    return FileRef(name=CARD_FILE, sha256=sha256(raw).hexdigest(), length=len(raw))
