"""Passwords: Argon2id with the library's defaults (RFC 9106, low-memory profile), and the first administrator."""

from __future__ import annotations

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlmodel import Session, select

from argosy.errors import NotAllowed
from argosy_controller.accounts import credentials
from argosy_controller.accounts.roles import Identity, role_named
from argosy_controller.db.tables import AccountRow
from argosy_controller.durable import write_file
from argosy_controller.folder import Folder

ADMIN = "admin"
_MAX_PASSWORD = 1000
_hasher = PasswordHasher()
# Checked when the account is unknown, so that the time an answer takes does not tell which names exist.
_DECOY = _hasher.hash(secrets.token_urlsafe(16))


def sign_in(session: Session, name: str, password: str) -> Identity:
    """The account with this name and password.

    Raises:
        NotAllowed: there is none.
    """
    account = session.get(AccountRow, name[:80])
    try:
        _hasher.verify(account.password_hash if account else _DECOY, password[:_MAX_PASSWORD])
    except (VerificationError, InvalidHashError) as error:
        raise NotAllowed("name or password is wrong: the first password lies in the data folder, in admin-password") from error
    if account is None:
        raise NotAllowed("name or password is wrong: the first password lies in the data folder, in admin-password")
    return Identity(account.name, role_named(account.role), "session")


def ensure_admin(session: Session, folder: Folder, now: float) -> None:
    """Makes the account `admin` at the first start, and the local operator's API token whenever it is missing.

    Files are written before the transaction commits: after a crash between the two, the next start makes both again.
    """
    if session.exec(select(AccountRow)).first() is None:
        password = secrets.token_urlsafe(15)
        write_file(folder.admin_password, (password + "\n").encode())
        session.add(AccountRow(name=ADMIN, password_hash=_hasher.hash(password), created=now))
        session.flush()
    if not _token_opens(session, folder, now):
        secret = credentials.issue(session, ADMIN, "token", now, name="local operator")
        write_file(folder.admin_token, (secret + "\n").encode())


def _token_opens(session: Session, folder: Folder, now: float) -> bool:
    try:
        credentials.identify(session, folder.admin_token.read_text().strip(), "token", now)
    except (FileNotFoundError, NotAllowed):
        return False
    return True
