"""What operators can do with builds: one function each, called by API and dashboard alike."""

from __future__ import annotations

from pathlib import Path

from argosy_controller.accounts import audit
from argosy_controller.jobs import queue
from argosy_controller.jobs.intake import move_in, read_wish
from argosy_controller.parts import Parts
from argosy_controller.views.builds import BuildView, build_view


def queue_build(parts: Parts, account: str, upload: Path) -> BuildView:
    """Puts an uploaded task and recipe into the queue.

    Args:
        upload: its files, as `argosy_controller.jobs.intake` describes; they are moved.

    Raises:
        InvalidInput: a part is missing or wrong.
        Unavailable: too many builds wait.
    """
    wish = read_wish(upload)
    now = parts.clock()
    with parts.database.write() as session:
        row = queue.add(session, wish, account, now)
        number = row.id or 0
        # The files are there before the row can be seen; if the commit fails, the next start removes them.
        parts.builds.places.forget(number)
        move_in(upload, wish, parts.builds.places.of(number))
        audit.record(session, now, account, "build.queue", f"build {number}", f"task {wish.task}, recipe {wish.recipe}")
        view = build_view(row, parts.builds.places, now)
    parts.builds.wake()
    return view


def cancel_build(parts: Parts, account: str, number: int) -> BuildView:
    """Cancels a build; when this returns its process is gone and nothing of it will be registered.

    Raises:
        NotFound: there is no such build.
        Conflict: it has ended.
    """
    now = parts.clock()
    with parts.database.write() as session:
        row = queue.get(session, number)
        queue.cancel(row, f"cancelled by {account}", now)
        audit.record(session, now, account, "build.cancel", f"build {number}")
    parts.builds.end_process(number)
    return build_view(row, parts.builds.places, now)
