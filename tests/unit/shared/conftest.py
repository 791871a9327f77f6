"""Keys, and the desired document that most tests begin with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from securesystemslib.signer import CryptoSigner

from argosy.protocol.desired import Desired, SlotContent

NOW = 1_790_000_000.0
REPOSITORY = "ab" * 32


@pytest.fixture(scope="session")
def director() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


@pytest.fixture(scope="session")
def stranger() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


@pytest.fixture
def now() -> float:
    return NOW


@pytest.fixture
def make_desired() -> Callable[..., Desired]:
    """A sound desired document for pi-7, with the given fields instead."""

    def make(**changes: object) -> Desired:
        content = SlotContent(model="digits", version=2, variant="onnx-int8", sha256="0" * 64, length=10)
        fields: dict[str, object] = {
            "repository": REPOSITORY,
            "device": "pi-7",
            "generation": 5,
            "issued": NOW - 10,
            "expires": NOW + 30 * 86400,
            "timestamp_version": 3,
            "slots": {"digits": content},
        }
        return Desired(**{**fields, **changes})  # type: ignore[arg-type]

    return make
