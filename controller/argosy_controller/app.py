"""The one place where the controller's parts are made and wired together; `controller up` runs `serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import msgspec

from argosy.errors import ArgosyError
from argosy_controller.accounts.credentials import forget_expired
from argosy_controller.accounts.passwords import ensure_admin
from argosy_controller.api.app import operators_app
from argosy_controller.broker import BrokerTls, RunningBroker, start_broker
from argosy_controller.db.engine import Database, open_database
from argosy_controller.devices_api.app import devices_app
from argosy_controller.enrolment.authority import DeviceAuthority
from argosy_controller.enrolment.devices import write_revocations
from argosy_controller.fleet.desired import DesiredWriter, resign_after_key_change
from argosy_controller.fleet.ingest import Ingest
from argosy_controller.fleet.link import Link, tls_context
from argosy_controller.folder import Endpoints, Folder, lock, prepare, write_document
from argosy_controller.jobs.places import Places
from argosy_controller.jobs.runner import BuildRules, BuildRunner
from argosy_controller.parts import Parts
from argosy_controller.pipeline.processes.limits import CONTROLLER_BUILD_LIMITS
from argosy_controller.ports import Bound, bind_all
from argosy_controller.registry.store import ArtifactStore
from argosy_controller.rollouts.reconciler import Reconciler
from argosy_controller.settings import Settings
from argosy_controller.signing.repository import TufRepository
from argosy_controller.staging import Staging
from argosy_controller.web.listeners import Listener, Tls

_log = logging.getLogger(__name__)
KEEP_FRESH_S = 600.0
WATCH_BROKER_S = 3.0
#: From the signal to the end, at most, seconds; whoever sent it waits 10.
END_S = 9.0


class Announcer(Protocol):
    """Who tells the operator what happens at start and end."""

    def listening(self, endpoints: Endpoints, folder: Folder, broker: str, lab_mode: bool, public: bool) -> None:
        """Everything answers."""

    def stopping(self) -> None:
        """A signal came."""


def serve(settings: Settings, announcer: Announcer, *, verbose: bool = False) -> None:
    """Runs the controller until SIGTERM or SIGINT.

    Raises:
        IncompatibleData: a newer Argosy wrote the folder.
        Conflict: the folder or a port is taken.
        InvalidInput: a setting cannot be used here.
        Unavailable: the broker does not answer.
    """
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not verbose:
        # It calls a kept-alive connection at the end an error; what breaks in a request is logged by us.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    os.umask(0o077)
    folder = prepare(settings.data)
    with ExitStack() as stack:
        stack.callback(os.close, lock(folder))
        folder.endpoints.unlink(missing_ok=True)
        try:
            asyncio.run(_run(settings, folder, announcer, stack))
        except BaseExceptionGroup as group:  # noqa: F821 - the controller needs 3.11, the linter is told 3.10
            raise group.exceptions[0] from group


async def _run(settings: Settings, folder: Folder, announcer: Announcer, stack: ExitStack) -> None:
    stop = _stop_at_signals()
    bound = bind_all(settings, folder)
    stack.callback(bound.close)
    parts, tls = await asyncio.to_thread(_construct, settings, folder, bound, stack)
    listeners = [Listener(operators_app(parts, settings), bound.http), Listener(devices_app(parts), bound.devices, tls)]
    _start_upkeep(parts, listeners, stack)
    async with asyncio.TaskGroup() as group:
        for listener in listeners:
            group.create_task(listener.run_until(stop))
        for listener in listeners:
            await listener.ready.wait()
        if not stop.is_set():
            write_document(folder.endpoints, parts.endpoints)
            announcer.listening(parts.endpoints, folder, parts.broker.kind, parts.repository.lab_mode, settings.public_host is not None)
        await stop.wait()
        announcer.stopping()
        folder.endpoints.unlink(missing_ok=True)
    # Threads and the broker end while no loop waits for them: each has a deadline of its own.
    await asyncio.to_thread(stack.close)


def _stop_at_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; from then on the end is certain, whatever hangs."""
    stop = asyncio.Event()

    def ask() -> None:
        stop.set()
        _end_for_certain()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ask)
    return stop


def _end_for_certain() -> None:
    """Whatever hangs, this process ends: the broker dies with it, and what was not committed was not acknowledged either."""
    timer = threading.Timer(END_S, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _construct(settings: Settings, folder: Folder, bound: Bound, stack: ExitStack) -> tuple[Parts, Tls]:
    clock = time.time
    database = open_database(folder.database)
    stack.callback(database.close)
    with database.write() as session:
        ensure_admin(session, folder, clock())
        forget_expired(session, clock())
    repository = open_repository(folder, clock())
    authority = open_authority(folder, settings, clock)
    store = ArtifactStore(folder.artifacts)
    store.remove_unfinished()
    _empty(folder.uploads)
    server = authority.server_files()
    broker = _start_broker(settings, folder, bound, authority, database, clock)
    stack.callback(broker.stop)
    writer = DesiredWriter(repository.repository_id, repository.director_signer, lambda: repository.timestamp_version)
    with database.write() as session:
        resign_after_key_change(session, writer, clock())
    client = authority.client_files()
    reconciler = Reconciler(
        database, writer, clock=clock, tick_s=settings.tick_s, listening_since=lambda: link.listening_since, on_applied=lambda: link.wake()
    )
    tls = tls_context(client.ca, client.certificate, client.key)
    link = Link(*bound.link_address(broker), tls, database, clock=clock, on_listening=reconciler.wake)

    def taken(what: object) -> None:
        reconciler.wake()
        link.wake()

    ingest = Ingest(database, link.inbox, writer, clock=clock, acknowledge=link.acknowledge, on_taken=taken)
    builds = BuildRunner(database, store, repository, Places(folder.builds), _build_rules(settings), clock, time.monotonic)
    for part in (link, ingest, reconciler, builds):
        part.start()
        stack.callback(part.stop)
    parts = Parts(
        folder=folder,
        endpoints=bound.endpoints(settings, broker),
        database=database,
        store=store,
        authority=authority,
        repository=repository,
        staging=Staging(folder.uploads),
        broker=broker,
        link=link,
        reconciler=reconciler,
        writer=writer,
        builds=builds,
        broker_address=bound.broker_address(settings, broker),
        clock=clock,
        monotonic=time.monotonic,
    )
    return parts, Tls(server.certificate, server.key)


def _build_rules(settings: Settings) -> BuildRules:
    limits = msgspec.structs.replace(CONTROLLER_BUILD_LIMITS, memory_bytes=settings.build_memory_bytes, wall_s=settings.build_wall_s)
    return BuildRules(settings.builds_at_once, settings.builds_kept, limits)


def open_repository(folder: Folder, now: float) -> TufRepository:
    """The signed repository of a folder, made at the first start."""
    if not folder.tuf.exists():
        return TufRepository.create(folder.tuf, folder.keys, folder.offline_keys, now)
    repository = TufRepository.open(folder.tuf, folder.keys)
    repository.keep_fresh(now)
    return repository


def open_authority(folder: Folder, settings: Settings, clock: Callable[[], float]) -> DeviceAuthority:
    """The device CA of a folder, made at the first start."""
    if not (folder.ca / "ca.crt").exists():
        return DeviceAuthority.create(folder.ca, [settings.device_host], clock)
    authority = DeviceAuthority.open(folder.ca, [settings.device_host], clock)
    authority.keep_fresh(clock())
    return authority


def _start_broker(
    settings: Settings, folder: Folder, bound: Bound, authority: DeviceAuthority, database: Database, clock: Callable[[], float]
) -> RunningBroker:
    crl = write_revocations(database, authority, clock())
    external = "://" in settings.broker
    own = authority.client_files() if external else authority.server_files()
    tls = BrokerTls(own.ca, own.certificate, own.key, crl)
    return start_broker(settings.broker, folder.broker, settings.listen_host, bound.mqtt_port, tls)


def _empty(uploads: Path) -> None:
    shutil.rmtree(uploads, ignore_errors=True)
    uploads.mkdir(mode=0o700)


def _start_upkeep(parts: Parts, listeners: Sequence[Listener], stack: ExitStack) -> None:
    """Threads that keep things as they should be: signatures and certificates fresh, the broker up."""
    stopping = threading.Event()

    def keep_fresh() -> None:
        while not stopping.wait(KEEP_FRESH_S):
            _attempt("renewing signatures and certificates", lambda: renew(parts, listeners))

    def watch_broker() -> None:
        while not stopping.wait(WATCH_BROKER_S):
            _attempt("watching the broker", parts.broker.ensure)

    threads = [threading.Thread(target=work, name=f"argosy-{work.__name__}", daemon=True) for work in (keep_fresh, watch_broker)]
    for thread in threads:
        thread.start()
        stack.callback(thread.join, 5)
    stack.callback(stopping.set)


def renew(parts: Parts, listeners: Sequence[Listener]) -> None:
    """Signs again what nears its end, and lets listener and broker take renewed certificates."""
    now = parts.clock()
    parts.repository.keep_fresh(now)
    changed = parts.authority.keep_fresh(now)
    with parts.database.write() as session:
        forget_expired(session, now)
    write_revocations(parts.database, parts.authority, now)
    if changed:
        for listener in listeners:
            listener.reload_certificate()
    parts.broker.revoke([])


def _attempt(what: str, work: Callable[[], object]) -> None:
    """A failure is logged and tried again at the next turn: a thread of upkeep must not end."""
    try:
        work()
    except ArgosyError as error:
        _log.warning("%s: %s", what, error)
    except Exception:
        _log.exception("%s failed", what)
