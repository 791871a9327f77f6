"""What every kind of broker offers to the controller."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BrokerTls:
    """PEM files of the broker's side of mutual TLS.

    Attributes:
        ca: the certificate of the authority that signs devices, the controller and the broker.
        certificate: the broker's own certificate; an external broker is shown it as the controller's client certificate.
        key: its private key.
        crl: the authority's list of revoked certificates, read again by `RunningBroker.revoke`; None when nothing is ever revoked.
    """

    ca: Path
    certificate: Path
    key: Path
    crl: Path | None = None


class RunningBroker(ABC):
    """A broker that answers. All methods may be called from any thread.

    Attributes:
        kind: `mosquitto`, `amqtt`, or `external`.
        address: host and port that clients connect to.
    """

    kind: str
    address: tuple[str, int]

    @abstractmethod
    def alive(self) -> bool:
        """Whether it runs; for an external broker, whether its port answers within a second."""

    @abstractmethod
    def ensure(self) -> bool:
        """Starts it again if it died; call it every few seconds. Returns whether it had to.

        Raises:
            Unavailable: it is down and does not come back; the message says where its log is.
        """

    @abstractmethod
    def revoke(self, names: Collection[str]) -> str | None:
        """Takes over the new contents of the CRL and of the other files, and ends the live and stored sessions of the revoked devices.

        Write the files first. When this returns None, no revoked certificate is accepted any more and the sessions have ended.
        A broker that is down reads the files when `ensure` starts it.

        Args:
            names: the devices (common names) whose certificates were revoked; none when only files were renewed.

        Returns:
            What an operator still has to do, in one sentence, where the broker cannot be told by us; else None.

        Raises:
            InvalidInput: the broker was started without a CRL.
            Unavailable: the broker does not answer, or cannot use the files.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ends it within a few seconds; does nothing when it has ended, or is not ours."""
