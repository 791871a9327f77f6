"""What an operator may do. Accounts are all `admin` for now; every route already names the role that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from argosy.errors import ArgosyError


class Role(IntEnum):
    """Each role may do what the ones before it may."""

    VIEWER = 1
    OPERATOR = 2
    PUBLISHER = 3
    ADMIN = 4


class Forbidden(ArgosyError):
    """The credential is good, and its account may not do this."""

    exit_code = 6
    status = 403
    kind = "forbidden"


@dataclass(frozen=True)
class Identity:
    """Who sent a request, and with what (`token` or `session`)."""

    account: str
    role: Role
    kind: str

    def require(self, role: Role) -> Identity:
        """Returns itself if the account has at least this role.

        Raises:
            Forbidden: it has not.
        """
        if self.role < role:
            raise Forbidden(f"account {self.account!r} is {self.role.name.lower()}, this needs {role.name.lower()}: ask an administrator")
        return self


def role_named(name: str) -> Role:
    """The role of a stored name; an unknown one (from a newer version) may only look."""
    return Role.__members__.get(name.upper(), Role.VIEWER)
