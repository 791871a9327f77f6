"""Which revision a database has, and how it comes to the newest one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from argosy.errors import IncompatibleData

_MIGRATIONS = Path(__file__).with_name("migrations")


def check_readable(path: Path) -> None:
    """Checks, without writing, that this version of Argosy can use the database file.

    Raises:
        IncompatibleData: it is of a newer version, of another program, or no database.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        found = _revision(path)
    except sqlite3.DatabaseError as error:
        raise IncompatibleData(f"{path} is no database of Argosy ({error}): restore it from a backup, or choose another folder") from error
    if found is None:
        raise IncompatibleData(f"{path} holds tables of another program: choose another folder")
    if found and found not in known_revisions():
        raise IncompatibleData(f"{path} was written by a newer version of Argosy (revision {found!r:.40}): upgrade Argosy")


def known_revisions() -> frozenset[str]:
    """Every revision that this version of Argosy has ever written."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def migrate(connection: Connection) -> None:
    """Brings the tables to the newest revision, inside the caller's transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(path: Path) -> str | None:
    """The revision; "" for a database whose first migration never ended, None where the tables are someone else's."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in tables:
            return None if tables else ""
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else ""
    finally:
        connection.close()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
