"""Insert rows that may be there already: what the network repeats is stored once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel


def insert_once(session: Session, kind: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows; one whose key exists is skipped. All rows have the same keys."""
    if not rows:
        return
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    once = (postgresql.insert(kind) if on_postgresql else sqlite.insert(kind)).on_conflict_do_nothing()
    session.connection().execute(once, [dict(row) for row in rows])
