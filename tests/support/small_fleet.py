"""A fleet in rows and reports, without processes: devices that obey, fail, lie or stay silent."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from securesystemslib.signer import CryptoSigner
from sqlalchemy import Engine, create_engine
from sqlmodel import Session, SQLModel, select

from argosy.histogram import Histogram
from argosy.protocol.card import Card, FileRef, Timing
from argosy.protocol.codec import from_json, to_json
from argosy.protocol.desired import Desired, SlotContent
from argosy.protocol.refusals import Failure, Refusal
from argosy.protocol.reported import Capabilities, Event, Reported, Runtime, ServingState, SlotReport
from argosy.protocol.telemetry import Window, to_sketch
from argosy.topics import Channel, Topic, parse_topic
from argosy_controller.db.engine import Database, open_database
from argosy_controller.db.tables import DeviceRow, ModelRow, OutboxRow, VariantRow, VersionRow
from argosy_controller.fleet.desired import DesiredWriter
from argosy_controller.fleet.inbound import Inbound

NOW = 1_800_000_000.0
ONNX = Capabilities(runtimes=[Runtime(name="onnxruntime", version="1.19", formats=["onnx"])])
TFLITE = Capabilities(runtimes=[Runtime(name="tflite-runtime", version="2.14", formats=["tflite"])])
COREML = Capabilities(runtimes=[Runtime(name="coreml", version="1", formats=["mlmodel"])])
REPOSITORY = "ab" * 32


def card(
    version: int = 1, variant: str = "onnx-fp32", *, length: int = 1000, p50_us: dict[str, float] | None = None, model: str = "digits"
) -> Card:
    """A card; the variant's name says format and precision."""
    form, precision = variant.split("-")[:2]
    digest = hashlib.sha256(f"{model}/{version}/{variant}".encode()).hexdigest()
    return Card(
        model=model,
        version=version,
        variant=variant,
        format=form,
        precision=precision,
        inputs=[],
        outputs=[],
        model_file=FileRef(name=f"model.{form}", sha256=digest, length=length),
        timings=[Timing(runtime=runtime, p50_us=p50, p99_us=2 * p50) for runtime, p50 in (p50_us or {}).items()],
    )


def content(version: int = 1, variant: str = "onnx-fp32", model: str = "digits") -> SlotContent:
    """What a slot is told to serve the card of the same arguments."""
    file = card(version, variant, model=model).model_file
    return SlotContent(model=model, version=version, variant=variant, sha256=file.sha256, length=file.length)


def failure(generation: int, version: int = 2, refusal: Refusal = Refusal.TOO_SLOW, slot: str = "digits") -> Failure:
    """A verdict of a device."""
    return Failure(code=refusal.code, text=refusal.sentence, at=NOW, generation=generation, slot=slot, model="digits", version=version)


def new_writer() -> DesiredWriter:
    """Signs with a key of its own."""
    return DesiredWriter(REPOSITORY, CryptoSigner.generate_ed25519(), lambda: 7)


def open_in(folder: Path) -> Database:
    """A real database."""
    return open_database(folder / "argosy.db")


def memory_engine() -> Engine:
    """Tables in memory, for thousands of short lives."""
    engine = create_engine("sqlite://")
    SQLModel.metadata.create_all(engine)
    return engine


def add_versions(session: Session, numbers: Iterable[int], variants: Iterable[str] = ("onnx-fp32",), model: str = "digits") -> None:
    """Registers versions without files."""
    if session.get(ModelRow, model) is None:
        session.add(ModelRow(name=model, created=NOW))
        session.flush()
    for number in numbers:
        session.add(VersionRow(model=model, number=number, created=NOW, report={}))
        for variant in variants:
            made = card(number, variant, model=model)
            session.add(
                VariantRow(
                    model=model,
                    version=number,
                    name=variant,
                    format=made.format,
                    precision=made.precision,
                    sha256=made.model_file.sha256,
                    length=made.model_file.length,
                    card=to_json(made),
                )
            )


def device_row(name: str, *, online: bool = True, labels: dict[str, str] | None = None, heard: bool = True) -> DeviceRow:
    """An enrolled device; `heard`: it reported once."""
    raw = to_json(Reported(device=name, boot="b0", generation=0, at=NOW, capabilities=ONNX, slots={})) if heard else None
    return DeviceRow(
        name=name, key_pem="", serial=name, not_after=NOW + 1e6, enrolled=NOW, labels=labels or {"site": "lab"}, online=online, reported=raw
    )


def opened(envelope: bytes) -> Desired:
    """The document in an envelope, unverified."""
    return from_json(Desired, base64.b64decode(msgspec.json.decode(envelope)["payload"]))


def message(device: str, channel: Channel, payload: bytes, at: float = NOW, retained: bool = False) -> Inbound:
    """As the link would put it into the inbox."""
    return Inbound(Topic(device, channel), payload, retained, at)


def window(**changes: Any) -> Window:
    """A telemetry window of device `a`."""
    histogram = Histogram()
    histogram.record(1_000_000, 9)
    plain = Window(
        device="a", boot="b0", sequence=1, slot="digits", model="digits", version=1, variant="onnx-fp32", start=NOW, duration_s=10.0,
        requests=10, errors=1, latency=to_sketch(histogram),
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def event(**changes: Any) -> Event:
    """An event of device `a`."""
    plain = Event(device="a", boot="b0", sequence=1, at=NOW, kind="went-back", text="it was slow", slot="digits", failure=failure(1))
    return msgspec.structs.replace(plain, **changes)


@dataclass
class SmallDevice:
    """A device without a machine: takes documents in, and answers as it is told to.

    Attributes:
        pending: the wishes that it has accepted and not yet answered, by slot.
    """

    name: str
    online: bool = True
    capabilities: Capabilities = ONNX
    generation: int = 0
    boot: str = "b0"
    slots: dict[str, SlotReport] = field(default_factory=dict)
    pending: dict[str, SlotContent] = field(default_factory=dict)

    def accept(self, document: Desired) -> bool:
        """Takes a document in unless it is a replay; the wishes are then pending."""
        assert document.device == self.name
        if document.generation < self.generation:
            return False
        fresh = document.generation > self.generation
        self.generation = document.generation
        for slot in [name for name in self.slots if name not in document.slots]:
            self.slots[slot] = SlotReport(state=ServingState.EMPTY)
        self.pending = {slot: wanted for slot, wanted in self.pending.items() if slot in document.slots}
        for slot, wanted in document.slots.items() if fresh else ():
            self._want(slot, wanted)
        return fresh

    def _want(self, slot: str, wanted: SlotContent) -> None:
        report = self.slots.get(slot)
        if report is not None and report.content == wanted and report.state is ServingState.SERVING:
            self.pending.pop(slot, None)
            self.slots[slot] = msgspec.structs.replace(report, failure=None)
        else:
            self.pending[slot] = wanted

    def confirm(self, slot: str = "digits") -> None:
        """Serves what is pending."""
        if wanted := self.pending.pop(slot, None):
            self.slots[slot] = SlotReport(state=ServingState.SERVING, content=wanted, confirmed=True, generation=self.generation)

    def fail(self, slot: str = "digits", refusal: Refusal = Refusal.TOO_SLOW) -> None:
        """Goes back to what it served, with a verdict against what is pending."""
        if wanted := self.pending.pop(slot, None):
            before = self.slots.get(slot, SlotReport(state=ServingState.EMPTY))
            verdict = Failure(
                code=refusal.code,
                text=refusal.sentence,
                at=NOW,
                generation=self.generation,
                slot=slot,
                model=wanted.model,
                version=wanted.version,
                variant=wanted.variant,
            )
            self.slots[slot] = msgspec.structs.replace(before, failure=verdict)

    def serving(self, slot: str = "digits") -> SlotContent | None:
        """What the slot serves."""
        report = self.slots.get(slot)
        return report.content if report and report.state is ServingState.SERVING else None

    def report(self) -> bytes:
        """Its reported state."""
        return to_json(
            Reported(
                device=self.name,
                boot=self.boot,
                generation=self.generation,
                at=NOW,
                capabilities=self.capabilities,
                slots=dict(self.slots),
            )
        )


def drain_outbox(session: Session) -> dict[str, bytes]:
    """Publishes: device to payload, rows deleted."""
    rows = session.exec(select(OutboxRow).order_by(OutboxRow.id)).all()
    sent = {}
    for row in rows:
        topic = parse_topic(row.topic)
        assert topic is not None and row.retained
        sent[topic.device] = row.payload
        session.delete(row)
    return sent
