"""What is registered, as frozen views for API, dashboard and rollouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from argosy.errors import NotFound
from argosy.protocol.card import Card
from argosy.protocol.codec import from_json
from argosy.protocol.desired import SlotContent
from argosy_controller.db.tables import ModelRow, VariantRow, VersionRow


@dataclass(frozen=True)
class VariantView:
    """A runnable form of a version. `sha256` and `length` are of its model file, in bytes; `size` counts companions too."""

    model: str
    version: int
    name: str
    format: str
    precision: str
    sha256: str
    length: int
    card: Card

    @property
    def content(self) -> SlotContent:
        """What a slot is told to serve this variant."""
        return SlotContent(model=self.model, version=self.version, variant=self.name, sha256=self.sha256, length=self.length)

    @property
    def size(self) -> int:
        """Bytes that a device without any of its files downloads, before compression."""
        return self.length + sum(companion.length for companion in self.card.companions)


@dataclass(frozen=True)
class VersionView:
    """A version with its variants, by name. `created` in seconds since 1970."""

    model: str
    number: int
    created: float
    created_by: str
    summary: str
    report: dict[str, Any]
    variants: tuple[VariantView, ...]


@dataclass(frozen=True)
class ModelView:
    """A model with its versions, newest first."""

    name: str
    created: float
    versions: tuple[VersionView, ...]


def models(session: Session) -> tuple[ModelView, ...]:
    """Every model, by name."""
    rows = session.exec(select(ModelRow).order_by(ModelRow.name)).all()
    return tuple(_model_view(session, row) for row in rows)


def model(session: Session, name: str) -> ModelView:
    """One model.

    Raises:
        NotFound: there is none of this name.
    """
    row = session.get(ModelRow, name)
    if row is None:
        raise NotFound(f"there is no model {name!r:.80}: 'controller models list' shows what there is")
    return _model_view(session, row)


def version(session: Session, model: str, number: int) -> VersionView:
    """One version of a model.

    Raises:
        NotFound: there is none.
    """
    row = session.get(VersionRow, (model, number))
    if row is None:
        raise NotFound(f"there is no version {model:.80}@{number}: 'controller models show {model:.80}' shows what there is")
    return _version_view(row, _variants(session, model, number))


def _model_view(session: Session, row: ModelRow) -> ModelView:
    variants = _variants(session, row.name)
    rows = session.exec(select(VersionRow).where(VersionRow.model == row.name).order_by(col(VersionRow.number).desc())).all()
    return ModelView(row.name, row.created, tuple(_version_view(each, variants) for each in rows))


def _version_view(row: VersionRow, variants: tuple[VariantView, ...]) -> VersionView:
    own = tuple(variant for variant in variants if variant.version == row.number)
    return VersionView(row.model, row.number, row.created, row.created_by, row.summary, row.report, own)


def _variants(session: Session, model: str, number: int | None = None) -> tuple[VariantView, ...]:
    query = select(VariantRow).where(VariantRow.model == model).order_by(VariantRow.name)
    rows = session.exec(query if number is None else query.where(VariantRow.version == number)).all()
    return tuple(_variant_view(row) for row in rows)


def _variant_view(row: VariantRow) -> VariantView:
    card = from_json(Card, row.card)
    return VariantView(row.model, row.version, row.name, row.format, row.precision, row.sha256, row.length, card)
