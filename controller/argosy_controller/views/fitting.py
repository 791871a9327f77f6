"""Which devices of the fleet can run a variant, and why others cannot, by what they reported of themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from argosy.errors import InvalidInput
from argosy.matching import runtime_for
from argosy.protocol.card import Card
from argosy.protocol.codec import from_json
from argosy.protocol.reported import Capabilities, Reported
from argosy_controller.db.tables import DeviceRow
from argosy_controller.registry import catalogue
from argosy_controller.views.format import as_count
from argosy_controller.views.variant_words import listed

_MOST_NAMED = 4


@dataclass(frozen=True)
class WhyView:
    """What keeps these devices from running a variant, in words."""

    why: str
    devices: tuple[str, ...]


@dataclass(frozen=True)
class FitView:
    """How many of the devices that ever reported, and are not revoked, can run a variant; reasons by number of devices."""

    devices: int
    can: int
    reasons: tuple[WhyView, ...]


@dataclass(frozen=True)
class Alike:
    """Devices that differ by their memory alone, by name; in the order of it, those that do not tell theirs last."""

    devices: tuple[tuple[str, Capabilities], ...]


def fits(session: Session, model: str) -> dict[tuple[int, str], FitView]:
    """For every variant of a model, by version and name.

    Raises:
        NotFound: there is no such model.
    """
    fleet = _fleet(session)
    return {
        (one.version, one.name): fit(one.card, fleet) for version in catalogue.model(session, model).versions for one in version.variants
    }


def fit(card: Card, fleet: Sequence[Alike]) -> FitView:
    """How a fleet and a variant fit. More memory never takes a variant away, so devices alike are mostly judged by two of them."""
    against: dict[str, list[str]] = {}
    for group in fleet:
        for name, why in _judged(card, group):
            against.setdefault(why, []).append(name)
    can = len(against.pop("", []))
    reasons = [WhyView(why, tuple(sorted(names))) for why, names in against.items()]
    count = can + sum(len(one.devices) for one in reasons)
    return FitView(count, can, tuple(sorted(reasons, key=lambda one: (-len(one.devices), one.why))))


def alike(devices: Sequence[tuple[str, Capabilities]]) -> list[Alike]:
    """Devices in groups."""
    groups: dict[tuple[object, ...], list[tuple[str, Capabilities]]] = {}
    for name, has in devices:
        runtimes = tuple((one.name, one.version, one.opset, *one.formats) for one in has.runtimes)
        groups.setdefault((runtimes, *has.precisions), []).append((name, has))
    return [Alike(tuple(sorted(group, key=lambda one: one[1].memory_bytes or math.inf))) for group in groups.values()]


def told(found: FitView) -> str:
    """How many can run it, for example `2 of 5 devices`."""
    if not found.devices:
        return "no device has reported yet"
    if found.can < found.devices:
        return f"{as_count(found.can) if found.can else 'none'} of {as_count(found.devices)} device{'s' if found.devices > 1 else ''}"
    return f"all {as_count(found.devices)} devices" if found.devices > 1 else "the only device"


def named(names: tuple[str, ...]) -> str:
    """The first few names and how many more there are."""
    return listed([*names[:_MOST_NAMED], *([f"{as_count(len(names) - _MOST_NAMED)} more"] if len(names) > _MOST_NAMED else [])])


def _judged(card: Card, group: Alike) -> list[tuple[str, str]]:
    """Each device of a group with what keeps it from running a variant; empty when nothing does."""
    least, most = (runtime_for(card, group.devices[end][1])[1] for end in (0, -1))
    if least == most:
        return [(name, least) for name, _ in group.devices]
    return [(name, runtime_for(card, has)[1]) for name, has in group.devices]


def _fleet(session: Session) -> list[Alike]:
    found = session.exec(
        select(DeviceRow.name, DeviceRow.reported).where(col(DeviceRow.revoked).is_(False), col(DeviceRow.reported).is_not(None))
    )
    return alike([(name, has) for name, raw in found if raw and (has := _capabilities(raw))])


def _capabilities(raw: bytes) -> Capabilities | None:
    try:
        return from_json(Reported, raw).capabilities
    except InvalidInput:
        return None  # it was checked on arrival; only a database from elsewhere holds such a row
