"""The database: one writer, consistent readers, migrations that match the tables, and no harm to what it does not know."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session, SQLModel, create_engine, select

from argosy.errors import IncompatibleData, Unavailable
from argosy_controller.db import migrate
from argosy_controller.db.engine import Database, open_database
from argosy_controller.db.tables import ModelRow, TokenRow, VersionRow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "argosy.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = open_database(path)
    yield opened
    opened.close()


def names(session: Session) -> list[str]:
    return sorted(row.name for row in session.exec(select(ModelRow)))


def test_migrations_end_in_exactly_the_tables_that_the_code_declares(database: Database, path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    engine.dispose()


def test_file_is_readable_by_its_owner_only(database: Database, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_commits_at_the_end_of_a_write_and_rows_stay_readable(database: Database) -> None:
    with database.write() as session:
        row = ModelRow(name="digits", created=1.0)
        session.add(row)
    assert row.name == "digits"
    with database.read() as session:
        assert names(session) == ["digits"]


def test_rolls_back_everything_when_a_write_raises(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as session:
        session.add(ModelRow(name="digits", created=1.0))
        session.flush()
        raise KeyError
    with database.read() as session:
        assert names(session) == []


def test_a_read_session_cannot_write(database: Database) -> None:
    with pytest.raises(OperationalError, match="readonly"), database.read() as session:
        session.add(ModelRow(name="digits", created=1.0))
        session.commit()
    with database.write() as session:  # the connection that refused can write again for a writer
        session.add(ModelRow(name="digits", created=1.0))


def test_a_reader_sees_one_state_while_a_writer_commits(database: Database) -> None:
    with database.read() as session:
        assert names(session) == []
        with database.write() as writer:
            writer.add(ModelRow(name="digits", created=1.0))
        assert names(session) == []
    with database.read() as session:
        assert names(session) == ["digits"]


def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(VersionRow(model="none", number=1, created=1.0))


def test_a_write_inside_a_write_is_an_error_and_not_a_deadlock(database: Database) -> None:
    with database.write(), pytest.raises(RuntimeError, match="inside another"), database.write():
        pass
    with database.write() as session:
        session.add(ModelRow(name="digits", created=1.0))


def test_threads_that_read_then_write_lose_no_update(database: Database) -> None:
    with database.write() as session:
        session.add(TokenRow(secret_sha256="s", uses=0, uses_left=0, expires=1.0, created=1.0))

    def count() -> None:
        for _ in range(20):
            with database.write() as session:
                row = session.exec(select(TokenRow)).one()
                row.uses += 1
                session.add(row)

    threads = [threading.Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.exec(select(TokenRow)).one().uses == 120


def test_another_process_that_holds_the_database_is_reported_as_unavailable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argosy_controller.db.engine.BUSY_TIMEOUT_MS", 50)
    database = open_database(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="held by another process"), database.write():
        pass
    other.close()
    database.close()


def test_opens_again_after_a_kill_and_has_what_was_committed(database: Database, path: Path, tmp_path: Path) -> None:
    with database.write() as session:
        session.add(ModelRow(name="digits", created=1.0))
    left = tmp_path / "killed"  # the files as a process that was killed leaves them: the last commit only in the log
    left.mkdir()
    for file in path.parent.glob("argosy.db*"):
        shutil.copy(file, left)
    assert (left / "argosy.db-wal").stat().st_size > 0
    again = open_database(left / "argosy.db")
    with again.read() as session:
        assert names(session) == ["digits"]
    again.close()


def test_refuses_a_database_of_a_newer_version_and_changes_nothing(path: Path) -> None:
    open_database(path).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(IncompatibleData, match=r"newer version.*upgrade"):
        open_database(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("foreign", [b"this is no database, only text of some length" * 10, None])
def test_refuses_a_file_that_is_not_its_own_and_changes_nothing(path: Path, foreign: bytes | None) -> None:
    if foreign is None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.close()
    else:
        path.write_bytes(foreign)
    before = path.read_bytes()
    with pytest.raises(IncompatibleData, match="choose another folder"):
        open_database(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_no_half_made_tables(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: object) -> None:
        migrate.migrate(connection)  # type: ignore[arg-type]
        raise KeyError

    monkeypatch.setattr("argosy_controller.db.engine.migrate", broken)
    with pytest.raises(KeyError):
        open_database(path)
    monkeypatch.undo()
    open_database(path).close()


def test_a_folder_that_is_not_there_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        open_database(tmp_path / "none" / "argosy.db")
