"""STATE/status.json: what the running agent leaves for `agent status`, and how that is shown."""

from __future__ import annotations

import contextlib
import http.client
from typing import Any
from urllib.parse import urlsplit

import msgspec

from argosy.protocol.codec import from_json, to_json
from argosy.protocol.refusals import Failure
from argosy.protocol.reported import Progress, Reported, ServingState
from argosy_agent.folder import StateFolder, is_running, write_in_place_of
from argosy_agent.identity import load_identity

_TIMEOUT_S = 2.0


class SlotStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One slot; model to sha256 are empty while nothing serves in it. `state`: as argosy.protocol.reported.ServingState."""

    model: str
    version: int
    variant: str
    sha256: str
    state: str
    confirmed: bool
    generation: int
    update: Progress | None = None
    failure: Failure | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What `agent status --json` prints.

    Attributes:
        endpoint: base URL of the local endpoint, empty while there is none.
        connected: to the broker.
        running: whether the agent runs.
        generation: of the last accepted desired document, 0 before the first.
        at: when the agent last wrote this, seconds since 1970.
        refusals: documents and metadata that were refused, newest last.
    """

    schema: int = 1
    device: str
    endpoint: str = ""
    connected: bool = False
    running: bool = False
    generation: int = 0
    at: float = 0.0
    pid: int = 0
    slots: dict[str, SlotStatus] = {}
    refusals: list[Failure] = []


def status_of(reported: Reported, endpoint: str, connected: bool, pid: int) -> Status:
    """The status of a running agent."""
    slots = {}
    for slot, report in reported.slots.items():
        content = report.content
        slots[slot] = SlotStatus(
            model=content.model if content else "",
            version=content.version if content else 0,
            variant=content.variant if content else "",
            sha256=content.sha256 if content else "",
            state=report.state.value,
            confirmed=report.confirmed,
            generation=report.generation,
            update=report.update,
            failure=report.failure,
        )
    return Status(
        device=reported.device, endpoint=endpoint, connected=connected, running=True, generation=reported.generation, at=reported.at,
        pid=pid, slots=slots, refusals=reported.refusals,
    )  # fmt: skip


def save_status(folder: StateFolder, status: Status) -> None:
    """Replaces the status file."""
    write_in_place_of(folder.status, to_json(status), durable=False)


def read_status(folder: StateFolder) -> Status:
    """The status as it is now: of a stopped agent the last one, and `serving` only where the endpoint answers for it.

    Raises:
        NotFound: no device is enrolled in the folder.
    """
    device = load_identity(folder).device
    status = Status(device=device)
    with contextlib.suppress(OSError, ValueError):
        status = from_json(Status, folder.status.read_bytes())
    if not is_running(folder):
        status = msgspec.structs.replace(status, running=False, connected=False)
    slots = {slot: _as_it_is(status, slot, one) for slot, one in status.slots.items()}
    return msgspec.structs.replace(status, slots=slots)


def _as_it_is(status: Status, slot: str, one: SlotStatus) -> SlotStatus:
    if one.state != ServingState.SERVING.value or (status.running and answers(status.endpoint, slot)):
        return one
    state = ServingState.STARTING.value if status.running else "stopped"
    return msgspec.structs.replace(one, state=state)


def answers(endpoint: str, slot: str) -> bool:
    """Whether the local endpoint says that it is ready to serve the slot."""
    address = urlsplit(endpoint)
    if not address.hostname:
        return False
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", f"/v2/models/{slot}/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def describe(status: Status) -> str:
    """The status for people."""
    head = [
        f"device      {status.device}",
        f"agent       {'running' if status.running else 'not running'}",
        f"controller  {'connected' if status.connected else 'not connected'}",
        f"endpoint    {status.endpoint or '-'}",
        f"generation  {status.generation}",
    ]
    slots = [line for slot, one in status.slots.items() for line in _slot_lines(slot, one)]
    refusals = [f"refused     {failure.text} [{failure.code}]" for failure in status.refusals]
    return "\n".join([*head, *(slots or ["slots       none yet"]), *refusals])


def _slot_lines(slot: str, one: SlotStatus) -> list[str]:
    content: Any = f"{one.model}@{one.version} {one.variant} {one.sha256[:12]}" if one.version else "nothing"
    lines = [f"slot        {slot}: {content}, {one.state}{', confirmed' if one.confirmed else ''}"]
    if one.update:
        lines.append(f"            update to version {one.update.version} ({one.update.variant}): {one.update.phase.value}")
    if one.failure:
        lines.append(f"            last refusal: {one.failure.text} [{one.failure.code}]")
    return lines
