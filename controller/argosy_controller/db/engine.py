"""Opening the database, and the only two ways to use it: `write()` and `read()`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from argosy.errors import Unavailable
from argosy_controller.db.migrate import check_readable, migrate

BUSY_TIMEOUT_MS = 10_000
_BEGIN = "argosy_begin"


class Database:
    """SQLite with one writer at a time. Threads may share it; a session belongs to the thread that opened it."""

    def __init__(self, engine: Engine) -> None:
        self._reading = engine
        self._writing = engine.execution_options(**{_BEGIN: "IMMEDIATE"})
        self._writer = threading.RLock()
        self._depth = 0

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session inside one write transaction: committed at the end, rolled back when the block raises.

        Rows stay readable after the commit.

        Raises:
            RuntimeError: this thread is inside another `write()`; the outer one would wait for itself.
            Unavailable: another process holds the database for longer than the busy timeout.
        """
        with self._writer:
            if self._depth:
                raise RuntimeError("a write transaction was opened inside another one of the same thread")
            self._depth += 1
            try:
                with Session(self._writing, expire_on_commit=False) as session:
                    _take_lock(session)
                    yield session
                    session.commit()
            finally:
                self._depth -= 1

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one consistent state and cannot write; it never waits for a writer."""
        with Session(self._reading, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Closes all connections."""
        self._reading.dispose()


def open_database(path: Path) -> Database:
    """Opens the database file, makes it where it is missing, and brings its tables up to date.

    Raises:
        IncompatibleData: a newer Argosy wrote it, or it is no database of Argosy; nothing was changed.
        Unavailable: the file cannot be opened.
    """
    check_readable(path)
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise Unavailable(f"database {path} cannot be opened ({error.strerror}): check the folder and its permissions") from error
    database = Database(_engine(path))
    with database._writer, database._writing.begin() as connection:
        migrate(connection)
    return database


def _take_lock(session: Session) -> None:
    """Begins now rather than at the first write: nothing that is read in the transaction can be stale."""
    try:
        session.connection()
    except OperationalError as error:
        raise Unavailable("the database is held by another process: end that process, or try again", BUSY_TIMEOUT_MS / 1000) from error


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", pool_size=16, max_overflow=48, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: Any, _record: Any) -> None:
    # None switches pysqlite's own BEGIN off (it comes late, and deferred: "database is locked" whatever the timeout).
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get(_BEGIN, "DEFERRED")
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if mode == 'IMMEDIATE' else 'ON'}")
    connection.exec_driver_sql(f"BEGIN {mode}")
