"""What comes in: request bodies, checked for shape here and for meaning by the domain."""

from __future__ import annotations

import base64
import binascii

from pydantic import BaseModel, ConfigDict, Field

from argosy.errors import InvalidInput
from argosy_controller.signing.publisher import SignedTargets


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class NewToken(_Body):
    """An enrolment token to be made. `expires_s` from now, in seconds."""

    labels: dict[str, str] = Field(default_factory=dict, max_length=32)
    uses: int = Field(1, ge=1, le=100_000)
    expires_s: float = Field(86400.0, gt=0, le=366 * 86400.0)


class NewRollout(_Body):
    """A rollout to be started. `stages` are cumulative shares in (0, 1], ascending, the last one 1; times in seconds."""

    model: str
    version: int = Field(ge=1)
    selector: str = Field(max_length=1000)
    slot: str | None = None
    stages: list[float] = Field(default=[1.0], min_length=1, max_length=20)
    deadline_s: float = Field(600.0, gt=0, le=30 * 86400.0)
    health_window_s: float = Field(10.0, gt=0, le=86400.0)


class Signed(_Body):
    """Metadata that a publisher signed; documents as base64."""

    model: str
    model_metadata: str
    targets_metadata: str | None = None

    def as_targets(self) -> SignedTargets:
        """Decoded; what it says is checked by the registry.

        Raises:
            InvalidInput: it is no base64.
        """
        try:
            targets = None if self.targets_metadata is None else base64.b64decode(self.targets_metadata, validate=True)
            return SignedTargets(
                model=self.model, model_metadata=base64.b64decode(self.model_metadata, validate=True), targets_metadata=targets
            )
        except binascii.Error as error:
            raise InvalidInput("signed metadata must be base64: sign with 'controller models import --publisher-key'") from error


class NewApiToken(_Body):
    """An API token to be made for the asking account. `expires_s` None: for ever."""

    name: str = Field(min_length=1, max_length=100)
    expires_s: float | None = Field(None, gt=0, le=3660 * 86400.0)
