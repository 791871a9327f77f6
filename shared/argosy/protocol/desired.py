"""What a device should run: topic `desired`, retained, wrapped in a signed envelope (argosy.envelope)."""

from __future__ import annotations

import msgspec

from argosy.protocol.codec import Count, Message

#: DSSE payload type of a desired document.
PAYLOAD_TYPE = "application/vnd.argosy.desired+json"


class SlotContent(msgspec.Struct, frozen=True, kw_only=True):
    """What one slot should serve: exact bytes of one variant.

    Attributes:
        model: model name.
        version: version number of the model.
        variant: variant name, for example `onnx-int8`.
        sha256: digest of the variant's model file, 64 hex digits.
        length: its size in bytes.
    """

    model: str
    version: Count
    variant: str
    sha256: str
    length: Count


class Gates(msgspec.Struct, frozen=True, kw_only=True):
    """What the device itself checks after a swap (DESIGN: device gates); it goes back by itself when one fails.

    Attributes:
        window_s: length of the health window.
        max_error_share: largest share of failed requests in [0, 1] that passes.
        max_latency_ratio: largest p95 against the same device's own before.
        min_requests: latency is judged only once this many requests were seen in the window.
    """

    window_s: float = 10.0
    max_error_share: float = 0.01
    max_latency_ratio: float = 2.0
    min_requests: int = 200


class Desired(Message, frozen=True, kw_only=True):
    """The signed wish for one device.

    Attributes:
        repository: sha256 of TUF root version 1: a document of another fleet is refused.
        device: the one device that it is for.
        generation: counts up per device; a device never goes back to a lower one.
        issued: seconds since 1970.
        expires: seconds since 1970; after it the document is not *accepted* any more, what it led to keeps serving.
        timestamp_version: the least TUF timestamp version that the device must have seen, against a freeze.
        slots: slot name to content. A slot that is missing is emptied.
        gates: device gates for swaps that this document causes.
    """

    repository: str
    device: str
    generation: int
    issued: float
    expires: float
    timestamp_version: int
    slots: dict[str, SlotContent]
    gates: Gates = Gates()
