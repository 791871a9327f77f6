"""The persisted state of slots: STATE/slots/SLOT.json, and what in-process users follow beside it."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from argosy.errors import InvalidInput
from argosy.names import check_name
from argosy.protocol.desired import SlotContent
from argosy_agent.folder import StateFolder, write_atomically
from argosy_agent.updater.state import Held, SlotState

_log = logging.getLogger(__name__)
_FOLLOWED = ".current.json"


class _Followed(msgspec.Struct, frozen=True, kw_only=True):
    folder: str
    content: SlotContent | None
    runtime: str


def save_slot(folder: StateFolder, state: SlotState) -> None:
    """Stores a slot durably.

    Raises:
        OSError: no space or no permission; the old record is still there, from which every phase continues as well.
    """
    write_atomically(folder.slots / f"{state.slot}.json", msgspec.json.encode(state))


def load_slots(folder: StateFolder) -> list[SlotState]:
    """Every stored slot; a record that does not read is left out, so the slot begins anew from what is desired."""
    return [state for path in sorted(folder.slots.glob("*.json")) if (state := _load(path)) is not None]


def _load(path: Path) -> SlotState | None:
    if path.name.endswith(_FOLLOWED):
        return None
    try:
        state = msgspec.json.decode(path.read_bytes(), type=SlotState)
        check_name("slot", state.slot)
    except (OSError, msgspec.DecodeError, InvalidInput) as error:
        _log.warning("the record %s does not read and is left out: %s", path, error)
        return None
    return state if f"{state.slot}.json" == path.name else None


def forget_slot(folder: StateFolder, slot: str) -> None:
    """Removes a slot's record."""
    (folder.slots / f"{slot}.json").unlink(missing_ok=True)


def follow(folder: StateFolder, slot: str, held: Held | None) -> None:
    """Points in-process users at what serves; at nothing for None. Replaced atomically.

    Raises:
        OSError: no space or no permission.
    """
    path = folder.slots / f"{slot}{_FOLLOWED}"
    if held is None:
        if path.exists():
            write_atomically(path, msgspec.json.encode(_Followed(folder="", content=None, runtime="")))
        return
    where = (folder.variants / held.folder).resolve()
    write_atomically(path, msgspec.json.encode(_Followed(folder=str(where), content=held.content, runtime=held.runtime)))
