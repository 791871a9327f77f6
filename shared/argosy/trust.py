"""When a device believes a desired document: bytes and facts in, document or refusal out; no file, no network, no clock.

In this order, so that nothing unsigned is looked into:

 1. size        at most MAX_PACKET_BYTES                                      -> TOO_LARGE   (endless data)
 2. signature   one of the director role's keys, over this payload type       -> BAD_SIGNATURE (forged document)
 3. form        it decodes, names are legal, digests are digests               -> MALFORMED   (path tricks in names)
 4. addressee   this repository and this device                                -> WRONG_DEVICE (redirected document)
 5. expiry      not expired by the time floor                                  -> EXPIRED      (freeze)
 6. generation  not below the accepted one; equal only if it wishes the same   -> REPLAYED     (rollback, replay)

That the TUF timestamp is at least `timestamp_version` is checked by the caller after it refreshed (STALE_METADATA).
"""

from __future__ import annotations

from collections.abc import Sequence

from securesystemslib.signer import Key

from argosy.envelope import unseal
from argosy.errors import ArgosyError, InvalidInput, Untrusted
from argosy.names import check_name, is_digest
from argosy.protocol.codec import from_json
from argosy.protocol.desired import PAYLOAD_TYPE, Desired, SlotContent
from argosy.protocol.refusals import Refusal
from argosy.topics import MAX_PACKET_BYTES

MAX_SLOTS = 64


class Refused(ArgosyError):
    """A device refused something. `refusal` is the stable code; the message adds the particulars."""

    exit_code = 8
    status = 403
    kind = "refused"

    def __init__(self, refusal: Refusal, particulars: str = "") -> None:
        super().__init__(f"{refusal.sentence}: {particulars}" if particulars else refusal.sentence)
        self.refusal = refusal


def accept_desired(raw: bytes, *, keys: Sequence[Key], repository: str, device: str, accepted: Desired | None, now: float) -> Desired:
    """The document in `raw`, if the device may believe it.

    Args:
        raw: an envelope as it came from the broker or over HTTPS.
        keys: public keys of the TUF role `director`.
        repository: sha256 of TUF root version 1, as pinned at enrolment.
        device: this device's name.
        accepted: the last document that was accepted, None before the first.
        now: seconds since 1970, not below the persisted time floor.

    Raises:
        Refused: with the code of the first rule that failed; the caller keeps what it has.
    """
    if len(raw) > MAX_PACKET_BYTES:
        raise Refused(Refusal.TOO_LARGE, f"{len(raw)} bytes")
    try:
        payload = unseal(PAYLOAD_TYPE, raw, keys)
    except Untrusted as error:
        raise Refused(Refusal.BAD_SIGNATURE, str(error)) from error
    desired = _well_formed(payload)
    if desired.repository != repository or desired.device != device:
        raise Refused(Refusal.WRONG_DEVICE, f"it names device {desired.device!r:.80}")
    if desired.expires <= now:
        raise Refused(Refusal.EXPIRED, f"by {now - desired.expires:.0f} s")
    _not_replayed(desired, accepted)
    return desired


def _well_formed(payload: bytes) -> Desired:
    try:
        desired = from_json(Desired, payload)
        check_name("device", desired.device)
        if len(desired.slots) > MAX_SLOTS:
            raise InvalidInput(f"it names {len(desired.slots)} slots, at most {MAX_SLOTS} are allowed")
        for slot, content in desired.slots.items():
            check_name("slot", slot)
            _check_content(content)
    except InvalidInput as error:
        raise Refused(Refusal.MALFORMED, str(error)) from error
    return desired


def _check_content(content: SlotContent) -> None:
    check_name("model", content.model)
    check_name("variant", content.variant)
    if content.version < 1 or content.length < 1 or not is_digest(content.sha256):
        raise InvalidInput(f"the content for model {content.model!r} has an impossible version, length or digest")


def _not_replayed(desired: Desired, accepted: Desired | None) -> None:
    if accepted is None:
        return
    if desired.generation < accepted.generation:
        raise Refused(Refusal.REPLAYED, f"generation {desired.generation} after {accepted.generation}")
    if desired.generation == accepted.generation and (desired.slots, desired.gates) != (accepted.slots, accepted.gates):
        raise Refused(Refusal.REPLAYED, f"generation {desired.generation} came twice with different wishes")
