"""The table of builds: every statement about it, each inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from argosy.errors import NotFound, Unavailable
from argosy_controller.db.tables import BuildRow
from argosy_controller.jobs.intake import BuildWish
from argosy_controller.jobs.states import ENDED, Happening, Job, State, after, after_restart, next_to_start, to_forget
from argosy_controller.pipeline.processes.messages import Progress

MOST_QUEUED = 100
_MAX_REASON = 4000
_ENDED_ON_RESTART = "the controller ended {} times while this build ran: it is not started again, look at its log"


def add(session: Session, wish: BuildWish, account: str, now: float) -> BuildRow:
    """Puts a build at the end of the queue.

    Raises:
        Unavailable: too many wait.
    """
    waiting = session.exec(select(BuildRow.id).where(BuildRow.state == State.QUEUED)).all()
    if len(waiting) >= MOST_QUEUED:
        raise Unavailable(f"{MOST_QUEUED} builds wait already: cancel some, or try again later", retry_after_s=60)
    row = BuildRow(
        task=wish.task,
        recipe=wish.recipe,
        model=wish.model,
        seed=wish.seed,
        settings=wish.settings,
        cached=wish.cached,
        created=now,
        created_by=account,
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, number: int) -> BuildRow:
    """One build.

    Raises:
        NotFound: there is none of that number, or not any more.
    """
    row = session.get(BuildRow, number)
    if row is None:
        raise NotFound(f"there is no build {number} (any more): see 'controller builds list'")
    return row


def newest(session: Session, limit: int) -> Sequence[BuildRow]:
    """Builds, newest first."""
    return session.exec(select(BuildRow).order_by(col(BuildRow.id).desc()).limit(limit)).all()


def of_version(session: Session, model: str, version: int) -> BuildRow | None:
    """The build that made a version, if it was made here and is still known."""
    return session.exec(select(BuildRow).where(BuildRow.model == model, BuildRow.version == version)).first()


def jobs(session: Session) -> list[Job]:
    """All builds, as decisions see them."""
    return [_job(row) for row in session.exec(select(BuildRow))]


def ended(session: Session) -> list[BuildRow]:
    """Builds that have ended."""
    return [row for row in session.exec(select(BuildRow)) if State(row.state) in ENDED]


def waits_for_publisher(row: BuildRow) -> bool:
    """Whether its variants are kept: it was built, and whoever holds the key has yet to register it."""
    return row.state == State.SUCCEEDED and not row.version


def any_queued(session: Session) -> bool:
    """Whether a build waits."""
    return session.exec(select(BuildRow.id).where(BuildRow.state == State.QUEUED)).first() is not None


def start_next(session: Session, at_once: int, now: float) -> BuildRow | None:
    """Marks the build that is to start now as running; None when none is."""
    chosen = next_to_start(jobs(session), at_once)
    if chosen is None:
        return None
    row = get(session, chosen.number)
    row.state = after(chosen.state, Happening.START)
    row.starts, row.started, row.reason = row.starts + 1, now, ""
    tell(row, Progress(stage="start", done=0, total=1), now)
    return row


def tell(row: BuildRow, progress: Progress, now: float) -> None:
    """Notes how far a build is."""
    if row.stage != progress.stage or progress.done < row.done:
        row.stage_began = now
    row.stage, row.done, row.total = progress.stage[:200], progress.done, progress.total


def finish(row: BuildRow, model: str, version: int, reason: str, now: float) -> None:
    """Marks success; `version` 0 where the bundle is kept for its publisher.

    Raises:
        Conflict: it does not run any more, so nothing may be registered.
    """
    _end(row, Happening.FINISH, reason, now)
    row.model, row.version = model, version


def fail(row: BuildRow, kind: str, reason: str, now: float) -> None:
    """Marks a failure, unless it has ended already."""
    if State(row.state) not in ENDED:
        _end(row, Happening.FAIL, reason, now)
        row.error_kind = kind


def cancel(row: BuildRow, reason: str, now: float) -> None:
    """Marks it as cancelled.

    Raises:
        Conflict: it has ended.
    """
    _end(row, Happening.CANCEL, reason, now)


def take_up_again(session: Session, now: float) -> None:
    """At the controller's start: what ran when it ended goes back to the queue."""
    for job in jobs(session):
        happening = after_restart(job)
        if happening is Happening.FAIL:
            fail(get(session, job.number), "internal", _ENDED_ON_RESTART.format(job.starts), now)
        elif happening is not None:
            row = get(session, job.number)
            row.state, row.reason = (
                after(job.state, happening),
                "the controller was started again, so this build goes on from what it keeps",
            )


def forget_old(session: Session, keep: int) -> list[int]:
    """Deletes ended builds beyond the newest `keep`; returns their numbers."""
    gone = [one.number for one in to_forget(jobs(session), keep)]
    for number in gone:
        session.delete(get(session, number))
    return gone


def _end(row: BuildRow, happening: Happening, reason: str, now: float) -> None:
    row.state = after(State(row.state), happening)
    row.reason, row.ended = reason[:_MAX_REASON], now


def _job(row: BuildRow) -> Job:
    return Job(row.id or 0, State(row.state), row.starts)
