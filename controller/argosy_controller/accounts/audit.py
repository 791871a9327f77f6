"""The audit log: who changed what, when; written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from argosy_controller.db.tables import AuditRow

_MAX_TEXT = 1000


def record(session: Session, now: float, account: str, action: str, subject: str, detail: str = "") -> None:
    """Notes one change.

    Args:
        session: the write transaction of the change.
        now: seconds since 1970.
        account: who did it.
        action: for example `rollout.start`.
        subject: what it was done to.
        detail: the particulars, for people.
    """
    session.add(AuditRow(at=now, account=account, action=action, subject=subject[:_MAX_TEXT], detail=detail[:_MAX_TEXT]))


def recent(session: Session, limit: int) -> Sequence[AuditRow]:
    """The last entries, newest first."""
    return session.exec(select(AuditRow).order_by(col(AuditRow.id).desc()).limit(limit)).all()
