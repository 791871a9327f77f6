"""Devices as operators see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlmodel import Session, col, select

from argosy.errors import InvalidInput, NotFound
from argosy.protocol.codec import from_json
from argosy.protocol.refusals import Failure
from argosy.protocol.reported import Reported, SlotReport
from argosy.selectors import Selector, parse_selector
from argosy_controller.db.tables import DesiredSlotRow, DeviceRow


@dataclass(frozen=True)
class RefusalView:
    """Something that the device refused, or went back from. `at` by the device's clock."""

    code: str
    text: str
    at: float
    slot: str
    model: str
    version: int
    variant: str


@dataclass(frozen=True)
class ProgressView:
    """An update under way; bytes while fetching."""

    version: int
    variant: str
    phase: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class WantedView:
    """What the slot should hold."""

    model: str
    version: int
    variant: str
    sha256: str
    rollout: int | None


@dataclass(frozen=True)
class SlotView:
    """One slot: what serves, by the device's own word, beside what should. `model` is empty and `version` 0 while nothing does."""

    model: str
    version: int
    variant: str
    sha256: str
    state: str
    confirmed: bool
    wanted: WantedView | None
    progress: ProgressView | None
    failure: RefusalView | None


@dataclass(frozen=True)
class RuntimeView:
    """A model runtime on the device."""

    name: str
    version: str
    formats: list[str]


@dataclass(frozen=True)
class DeviceView:
    """A device. Times in seconds since 1970; `last_seen` 0 for never; `heard` says whether it ever reported."""

    device: str
    labels: dict[str, str]
    online: bool
    revoked: bool
    slots: dict[str, SlotView]
    last_seen: float
    enrolled: float
    certificate_until: float
    generation: int
    reported_generation: int
    heard: bool
    machine: str = ""
    agent: str = ""
    memory_bytes: int = 0
    precisions: list[str] = field(default_factory=list)
    runtimes: list[RuntimeView] = field(default_factory=list)
    refusals: list[RefusalView] = field(default_factory=list)


def list_devices(session: Session, selector: str = "*") -> list[DeviceView]:
    """The devices that a selector names, by name.

    Raises:
        InvalidInput: the selector does not parse.
    """
    parsed: Selector = parse_selector(selector)
    rows = session.exec(select(DeviceRow).order_by(DeviceRow.name)).all()
    wanted: dict[str, list[DesiredSlotRow]] = {}
    for row in session.exec(select(DesiredSlotRow)):
        wanted.setdefault(row.device, []).append(row)
    return [_view(row, wanted.get(row.name, [])) for row in rows if parsed.matches(row.name, row.labels)]


def one_device(session: Session, name: str) -> DeviceView:
    """One device.

    Raises:
        NotFound: there is none of that name.
    """
    row = session.get(DeviceRow, name)
    if row is None:
        raise NotFound(f"there is no device {name!r:.80}: see 'controller devices list'")
    wanted = session.exec(select(DesiredSlotRow).where(col(DesiredSlotRow.device) == name)).all()
    return _view(row, wanted)


def _view(row: DeviceRow, wanted: Iterable[DesiredSlotRow]) -> DeviceView:
    reported = _reported(row)
    capabilities = reported.capabilities if reported else None
    return DeviceView(
        device=row.name,
        labels=dict(row.labels),
        online=row.online and not row.revoked,
        revoked=row.revoked,
        slots=_slots(reported, {one.slot: one for one in wanted}),
        last_seen=row.last_seen,
        enrolled=row.enrolled,
        certificate_until=row.not_after,
        generation=row.generation,
        reported_generation=row.reported_generation,
        heard=reported is not None,
        machine=capabilities.machine if capabilities else "",
        agent=capabilities.agent if capabilities else "",
        memory_bytes=capabilities.memory_bytes if capabilities else 0,
        precisions=list(capabilities.precisions) if capabilities else [],
        runtimes=[RuntimeView(one.name, one.version, list(one.formats)) for one in capabilities.runtimes] if capabilities else [],
        refusals=[_refusal(one) for one in reported.refusals] if reported else [],
    )


def _reported(row: DeviceRow) -> Reported | None:
    try:
        return from_json(Reported, row.reported) if row.reported else None
    except InvalidInput:
        return None  # it was checked on arrival; only a database from elsewhere holds such a row


def _slots(reported: Reported | None, wanted: dict[str, DesiredSlotRow]) -> dict[str, SlotView]:
    reports = reported.slots if reported else {}
    return {slot: _slot(reports.get(slot), wanted.get(slot)) for slot in sorted({*reports, *wanted})}


def _slot(report: SlotReport | None, wanted: DesiredSlotRow | None) -> SlotView:
    content = report.content if report else None
    progress = report.update if report else None
    return SlotView(
        model=content.model if content else "",
        version=content.version if content else 0,
        variant=content.variant if content else "",
        sha256=content.sha256 if content else "",
        state=report.state.value if report else "empty",
        confirmed=report.confirmed if report else False,
        wanted=WantedView(wanted.model, wanted.version, wanted.variant, wanted.sha256, wanted.rollout) if wanted else None,
        progress=ProgressView(progress.version, progress.variant, progress.phase.value, progress.done_bytes, progress.total_bytes)
        if progress
        else None,
        failure=_refusal(report.failure) if report and report.failure else None,
    )


def _refusal(one: Failure) -> RefusalView:
    return RefusalView(one.code, one.text, one.at, one.slot, one.model, one.version, one.variant)
