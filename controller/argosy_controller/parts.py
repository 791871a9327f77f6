"""The running controller's parts, made by app.py and handed to whoever answers requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from argosy_controller.broker import RunningBroker
from argosy_controller.db.engine import Database
from argosy_controller.enrolment.authority import DeviceAuthority
from argosy_controller.fleet.desired import DesiredWriter
from argosy_controller.fleet.link import Link
from argosy_controller.folder import Endpoints, Folder
from argosy_controller.jobs.runner import BuildRunner
from argosy_controller.registry.store import ArtifactStore
from argosy_controller.rollouts.reconciler import Reconciler
from argosy_controller.signing.repository import TufRepository
from argosy_controller.staging import Staging


@dataclass(frozen=True)
class Parts:
    """One of each.

    Attributes:
        endpoints: where this controller answers.
        device_host: the name that devices are given.
        mqtt_port: the port that devices are given.
        clock: seconds since 1970.
        monotonic: seconds for measuring time spans.
    """

    folder: Folder
    endpoints: Endpoints
    database: Database
    store: ArtifactStore
    authority: DeviceAuthority
    repository: TufRepository
    staging: Staging
    broker: RunningBroker
    link: Link
    reconciler: Reconciler
    writer: DesiredWriter
    builds: BuildRunner
    broker_address: tuple[str, int]
    clock: Callable[[], float]
    monotonic: Callable[[], float]
