"""Every table. Times are seconds since 1970 (UTC) as float; documents are kept as the bytes that were signed or sent.

One process writes (see app.py). Who owns which table, so that nobody opens a transaction around another's:
registry: model, version, variant, file. enrolment: token, certificate, device (identity columns). fleet: device (state columns),
desired, outbox, event. rollouts: rollout, rollout_device. telemetry: window. accounts: account, credential, audit. jobs: build.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel


class ModelRow(SQLModel, table=True):
    """A model: a name under which versions are registered. `slot` on a device defaults to it."""

    __tablename__ = "model"
    name: str = Field(primary_key=True)
    created: float


class VersionRow(SQLModel, table=True):
    """An immutable version; numbers count 1, 2, 3... per model. `summary` is for people ("pruned 50 %, int8")."""

    __tablename__ = "version"
    model: str = Field(primary_key=True, foreign_key="model.name")
    number: int = Field(primary_key=True)
    created: float
    created_by: str = ""
    summary: str = ""
    report: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class VariantRow(SQLModel, table=True):
    """A runnable form; `card` is the signed card.json as bytes (argosy.protocol.card)."""

    __tablename__ = "variant"
    model: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    name: str = Field(primary_key=True)
    format: str
    precision: str
    sha256: str = Field(index=True)
    length: int
    card: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class FileRow(SQLModel, table=True):
    """A content-addressed file in the artifact store, and how it may travel. `zstd_length` 0: zstd is not smaller."""

    __tablename__ = "file"
    sha256: str = Field(primary_key=True)
    length: int
    zstd_length: int = 0
    created: float


class TokenRow(SQLModel, table=True):
    """An enrolment token; `uses_left` is counted down atomically. Only the sha256 of the secret is kept."""

    __tablename__ = "token"
    id: int | None = Field(default=None, primary_key=True)
    secret_sha256: str = Field(unique=True)
    uses: int
    uses_left: int
    expires: float
    created: float
    labels: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class DeviceRow(SQLModel, table=True):
    """A device: who it is (enrolment), and what is known of it (fleet).

    `generation` is the last one issued. `reported` is its last reported state as it came (argosy.protocol.reported), with
    a few columns drawn out of it for queries. `key_pem` is its public key; `serial` of its current certificate.
    `rekey_allowed`: an operator allows this name one enrolment with a new key.
    """

    __tablename__ = "device"
    name: str = Field(primary_key=True)
    key_pem: str
    serial: str
    not_after: float
    enrolled: float
    revoked: bool = False
    rekey_allowed: bool = False
    labels: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    online: bool = Field(default=False, index=True)
    last_seen: float = 0.0
    boot: str = ""
    generation: int = 0
    reported_generation: int = 0
    reported: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))


class CertificateRow(SQLModel, table=True):
    """A device certificate that has not expired: a renewal leaves the old one good, so revoking a device must know them all."""

    __tablename__ = "certificate"
    serial: str = Field(primary_key=True)
    device: str = Field(foreign_key="device.name", index=True)
    not_after: float
    revoked: bool = False


class DesiredSlotRow(SQLModel, table=True):
    """What a device's slot should hold now; the unsigned truth from which desired documents are made."""

    __tablename__ = "desired_slot"
    device: str = Field(primary_key=True, foreign_key="device.name")
    slot: str = Field(primary_key=True)
    model: str
    version: int
    variant: str
    sha256: str
    length: int
    generation: int
    rollout: int | None = Field(default=None, index=True)


class DesiredRow(SQLModel, table=True):
    """The last signed desired document of a device."""

    __tablename__ = "desired"
    device: str = Field(primary_key=True, foreign_key="device.name")
    generation: int
    issued: float
    expires: float
    envelope: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class OutboxRow(SQLModel, table=True):
    """A message to be published, written in the transaction of the change that it announces; publishing twice is harmless."""

    __tablename__ = "outbox"
    id: int | None = Field(default=None, primary_key=True)
    topic: str
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    retained: bool
    created: float


class EventRow(SQLModel, table=True):
    """Something that happened, on a device or here (`device` empty). Device events are unique by (device, boot, sequence)."""

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("device", "boot", "sequence"), Index("event_at", "at"))
    id: int | None = Field(default=None, primary_key=True)
    at: float
    device: str = ""
    boot: str = ""
    sequence: int
    kind: str
    text: str
    slot: str = ""
    code: str = ""
    rollout: int | None = Field(default=None, index=True)


class RolloutRow(SQLModel, table=True):
    """A rollout. `stages` are cumulative shares in (0, 1]. `state`: running, paused, finished, aborted."""

    __tablename__ = "rollout"
    id: int | None = Field(default=None, primary_key=True)
    model: str
    version: int
    slot: str
    selector: str
    stages: list[float] = Field(sa_column=Column(JSON, nullable=False))
    stage: int = 0
    state: str = Field(default="running", index=True)
    reason: str = ""
    deadline_s: float
    gates: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created: float
    created_by: str = ""
    ended: float | None = None


class RolloutDeviceRow(SQLModel, table=True):
    """A device's part in a rollout. `state`: told, confirmed, went_back, lost, excluded. `previous` is the slot's content before."""

    __tablename__ = "rollout_device"
    rollout: int = Field(primary_key=True, foreign_key="rollout.id")
    device: str = Field(primary_key=True, foreign_key="device.name")
    stage: int
    state: str
    reason: str = ""
    variant: str = ""
    generation: int = 0
    told: float = 0.0
    deadline: float = 0.0
    ended: float | None = None
    previous: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))


class WindowRow(SQLModel, table=True):
    """One telemetry window, once: (device, boot, sequence) is its key. `latency` is the MessagePack sketch, nanoseconds."""

    __tablename__ = "window"
    __table_args__ = (Index("window_version", "model", "version", "variant"), Index("window_start", "start"))
    device: str = Field(primary_key=True)
    boot: str = Field(primary_key=True)
    sequence: int = Field(primary_key=True)
    slot: str
    model: str
    version: int
    variant: str
    start: float
    duration_s: float
    requests: int
    errors: int
    latency: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    memory_bytes: int = 0
    cpu_s: float = 0.0


class BuildRow(SQLModel, table=True):
    """A build on the controller. `state`: queued, running, succeeded, failed, cancelled (argosy_controller.jobs.states).

    `task` and `recipe` are names; the files lie in DATA/builds. `model` is the wish, then the name that was built. `stage`,
    `done`, `total` and `stage_began` tell how far it is. `error_kind` is as in argosy.errors. `version` 0: none was registered.
    """

    __tablename__ = "build"
    __table_args__ = {"sqlite_autoincrement": True}  # the number of a build that was forgotten is never given again
    id: int | None = Field(default=None, primary_key=True)
    task: str
    recipe: str
    model: str = ""
    seed: int = 0
    settings: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    cached: bool = True
    state: str = Field(default="queued", index=True)
    reason: str = ""
    error_kind: str = ""
    starts: int = 0
    stage: str = ""
    done: int = 0
    total: int = 0
    stage_began: float = 0.0
    version: int = 0
    created: float
    created_by: str = ""
    started: float | None = None
    ended: float | None = None


class AccountRow(SQLModel, table=True):
    """An operator. `role` is `admin` for now: every route names the role it needs, so more can come."""

    __tablename__ = "account"
    name: str = Field(primary_key=True)
    password_hash: str
    role: str = "admin"
    created: float


class CredentialRow(SQLModel, table=True):
    """An API token (`kind` token) or a browser session (`kind` session) of an account; only the sha256 is kept."""

    __tablename__ = "credential"
    secret_sha256: str = Field(primary_key=True)
    account: str = Field(foreign_key="account.name")
    kind: str
    name: str = ""
    created: float
    expires: float | None = None


class AuditRow(SQLModel, table=True):
    """Who changed what, when."""

    __tablename__ = "audit"
    id: int | None = Field(default=None, primary_key=True)
    at: float
    account: str
    action: str
    subject: str
    detail: str = ""
