"""Runs queued builds, each in a child process, and registers what they made."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from argosy.errors import ArgosyError, Unavailable
from argosy_controller.accounts import audit
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import BuildRow
from argosy_controller.jobs import queue
from argosy_controller.jobs.environment import child_environment
from argosy_controller.jobs.intake import recipe_file, task_folder
from argosy_controller.jobs.places import Place, Places
from argosy_controller.pipeline.build import run_build
from argosy_controller.pipeline.processes.child import Stopped, Surroundings
from argosy_controller.pipeline.processes.limits import CONTROLLER_BUILD_LIMITS, Limits
from argosy_controller.pipeline.processes.messages import Progress
from argosy_controller.registry.bundle import read_bundle
from argosy_controller.registry.register import register, store_files
from argosy_controller.registry.store import ArtifactStore
from argosy_controller.signing.repository import TufRepository

#: Progress is written down at most this often within a stage, seconds.
TELL_S = 1.0
_LOOK_S = 1.0
_STOP_S = 5.0
_KEPT_FOR_PUBLISHER = (
    "built; this controller holds no publisher key: 'controller builds fetch {} --publisher-key KEY' signs and registers it"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildRules:
    """What builds on this controller may use.

    Attributes:
        at_once: builds that run at the same time; 0 runs none.
        keep: ended builds that are remembered with their reports.
        limits: of each child process.
    """

    at_once: int = 1
    keep: int = 50
    limits: Limits = CONTROLLER_BUILD_LIMITS


@dataclass
class BuildRunner:
    """One thread for each build that may run at a time. The database says what is to be done; this does it."""

    database: Database
    store: ArtifactStore
    repository: TufRepository
    places: Places
    rules: BuildRules
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    _stopping: threading.Event = field(default_factory=threading.Event)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _stops: dict[int, threading.Event] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Takes up what an earlier controller left, and begins to work."""
        self.places.root.mkdir(mode=0o700, exist_ok=True)
        with self.database.write() as session:
            queue.take_up_again(session, self.clock())
            gone = queue.forget_old(session, self.rules.keep)
            known = {job.number for job in queue.jobs(session)}
            ended = {row.id or 0: queue.waits_for_publisher(row) for row in queue.ended(session)}
        for number, keep_variants in ended.items():
            self.places.of(number).end(keep_variants)
        for number in {*gone, *self.places.strays(known)}:
            self.places.forget(number)
        self._threads = [threading.Thread(target=self._work, name=f"argosy-build-{i}", daemon=True) for i in range(self.rules.at_once)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends running builds; they go on at the next start."""
        self._stopping.set()
        for one in list(self._stops.values()):
            one.set()
        self.wake()
        for thread in self._threads:
            thread.join(_STOP_S)

    def wake(self) -> None:
        """A build was queued."""
        with self._news:
            self._news.notify_all()

    def end_process(self, number: int) -> None:
        """Ends the process of a build that was cancelled; when this returns it is gone, or a few seconds have passed."""
        stop = self._stops.get(number)
        if stop is None:
            self.places.of(number).end(keep_variants=False)
            return
        stop.set()
        with self._news:
            self._news.wait_for(lambda: number not in self._stops, _STOP_S)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                row = self._next()
                if row is not None:
                    self._run(row)
                    continue
            except Exception:  # a thread that works must not end: what went wrong is logged, the next turn looks again
                _log.exception("running builds failed")
            with self._news:
                self._news.wait(_LOOK_S)

    def _next(self) -> BuildRow | None:
        with self.database.read() as session:
            if not queue.any_queued(session):
                return None
        with self.database.write() as session:
            row = queue.start_next(session, self.rules.at_once, self.clock())
            if row is not None and row.id is not None:
                self._stops[row.id] = threading.Event()  # before the commit: who cancels then finds it
        return row

    def _run(self, row: BuildRow) -> None:
        number = row.id or 0
        place = self.places.of(number)
        try:
            self._build_and_register(row, place)
        except Stopped:
            if self._stopping.is_set():
                return  # still "running" in the database: the next start takes it up
        except ArgosyError as error:
            self._failed(number, error.kind, str(error))
        except Exception as error:
            _log.exception("build %s broke", number)
            self._failed(number, "internal", f"the controller could not finish it ({type(error).__name__}: {error}): its log says more")
        finally:
            self._tidy(number, place)

    def _tidy(self, number: int, place: Place) -> None:
        try:
            if self._stopping.is_set():
                return  # the next start does it
            with self.database.write() as session:
                keep_variants = queue.waits_for_publisher(queue.get(session, number))
                gone = queue.forget_old(session, self.rules.keep)
            place.end(keep_variants)
            for one in gone:
                self.places.forget(one)
        finally:
            with self._news:
                self._stops.pop(number, None)
                self._news.notify_all()

    def _build_and_register(self, row: BuildRow, place: Place) -> None:
        number = row.id or 0
        if not place.complete:
            place.begin()
            self._build(row, place)
        if self._stops[number].is_set():
            raise Stopped("the build was stopped")
        self._register(number, place.out, row.created_by)

    def _build(self, row: BuildRow, place: Place) -> None:
        around = Surroundings(child_environment(os.environ, place.home), place.home, place.log, stop=self._stops[row.id or 0])
        run_build(
            task_folder(place, row.task),
            recipe_file(place, row.task, row.recipe),
            place.out,
            model=row.model or None,
            settings=row.settings,
            seed=row.seed,
            on_progress=_Scribe(self, row.id or 0),
            limits=self.rules.limits,
            cache=self.places.cache if row.cached else None,
            around=around,
        )

    def _register(self, number: int, out: Path, account: str) -> None:
        """Registers a bundle and marks the build as done, both or neither."""
        bundle, lab_mode = read_bundle(out), self.repository.lab_mode
        try:
            if lab_mode:
                store_files(self.store, bundle)
            with self.database.write() as session:
                now, row, version = self.clock(), queue.get(session, number), 0
                queue.finish(row, bundle.model, 0, "" if lab_mode else _KEPT_FOR_PUBLISHER.format(number), now)
                if lab_mode:
                    version = row.version = register(session, self.store, self.repository, bundle, account, now, stored=True)
                    audit.record(
                        session, now, account, "version.register", f"{bundle.model}@{version}", f"build {number}: {bundle.summary}"
                    )
        except OSError as error:
            raise Unavailable(f"it was built and could not be stored ({error.strerror}): free some space and start it again") from error

    def _failed(self, number: int, kind: str, reason: str) -> None:
        with self.database.write() as session:
            queue.fail(queue.get(session, number), kind, reason, self.clock())


class _Scribe:
    """Writes a build's progress down: each stage, and within a stage no more often than TELL_S."""

    def __init__(self, runner: BuildRunner, number: int) -> None:
        self._runner, self._number = runner, number
        self._stage, self._told = "", -TELL_S

    def __call__(self, progress: Progress) -> None:
        now = self._runner.monotonic()
        if progress.stage == self._stage and now - self._told < TELL_S and progress.done < progress.total:
            return
        self._stage, self._told = progress.stage, now
        try:
            with self._runner.database.write() as session:
                queue.tell(queue.get(session, self._number), progress, self._runner.clock())
        except Unavailable as error:
            _log.warning("progress of build %s was not written down: %s", self._number, error)
