"""Signed envelopes: DSSE (Dead Simple Signing Envelope, secure-systems-lab/dsse v1.0.2) over securesystemslib keys."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, VerificationError
from securesystemslib.signer import Key, Signer

from argosy.errors import Untrusted


def seal(payload_type: str, payload: bytes, signer: Signer) -> bytes:
    """Signs a payload.

    Args:
        payload_type: says how the payload is to be read; it is signed too, so one kind never passes for another.
        payload: the bytes.
        signer: any securesystemslib signer.

    Returns:
        The envelope as JSON.
    """
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(signer)
    return msgspec.json.encode(envelope.to_dict())


def unseal(payload_type: str, raw: bytes, keys: Sequence[Key], threshold: int = 1) -> bytes:
    """Verifies an envelope and returns its payload.

    Args:
        payload_type: the only type that is accepted.
        raw: bytes from outside, already bounded in size.
        keys: who may have signed.
        threshold: how many of them must have.

    Raises:
        Untrusted: no envelope, another type, or too few good signatures.
    """
    try:
        envelope = Envelope.from_dict(msgspec.json.decode(raw, type=dict))
        if envelope.payload_type != payload_type:
            raise Untrusted(f"a signed envelope holds {envelope.payload_type!r:.80}, not {payload_type!r}")
        envelope.verify(list(keys), threshold)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError, RecursionError, FormatError) as error:
        raise Untrusted(f"this is no signed envelope ({type(error).__name__})") from error
    except VerificationError as error:
        raise Untrusted("a signed envelope carries no good signature by a trusted key") from error
    payload: bytes = envelope.payload
    return payload
