"""Tokens: good for what they were made for, and for nothing more, whatever runs at the same time."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argosy.errors import InvalidInput, NotAllowed
from argosy_controller.db.engine import Database
from argosy_controller.enrolment.tokens import create_token, redeem, tokens

NOW = 1_800_000_000.0


def make(database: Database, uses: int = 1, lifetime_s: float = 60.0, **labels: str) -> str:
    with database.write() as session:
        return create_token(session, uses, lifetime_s, labels, NOW)[0]


def use(database: Database, secret: str, now: float = NOW) -> Any:
    with database.write() as session:
        return redeem(session, secret, now)


def test_only_the_hash_of_a_secret_is_kept(database: Database) -> None:
    secret = make(database, site="lab")
    with database.read() as session:
        row = tokens(session)[0]
    assert row.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in repr(row) and len(secret) >= 32
    assert (row.labels, row.expires) == ({"site": "lab"}, NOW + 60.0)


def test_unknown_expired_and_used_up_tokens_are_told_apart(database: Database) -> None:
    secret = make(database)
    assert use(database, secret).uses_left == 0
    with pytest.raises(NotAllowed, match="used up"):
        use(database, secret)
    with pytest.raises(NotAllowed, match="expired 40 s ago"):
        use(database, make(database), NOW + 100.0)
    with pytest.raises(NotAllowed, match="unknown"):
        use(database, "never made")


def test_a_rolled_back_enrolment_gives_the_use_back(database: Database) -> None:
    secret = make(database)
    with pytest.raises(KeyError), database.write() as session:
        redeem(session, secret, NOW)
        raise KeyError
    use(database, secret)


@pytest.mark.parametrize(
    ("uses", "lifetime_s", "labels"),
    [
        *((uses, 60.0, {}) for uses in (0, -1, 1_000_001)),
        *((1, lifetime_s, {}) for lifetime_s in (0.0, -1.0, float("inf"), float("nan"))),
        *((1, 60.0, labels) for labels in ({"site": "a/b"}, {"si/te": "a"}, {"device": "a"})),
    ],
)
def test_refuses_tokens_that_make_no_sense(database: Database, uses: int, lifetime_s: float, labels: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        make(database, uses, lifetime_s, **labels)
    with database.read() as session:
        assert list(tokens(session)) == []


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(uses=st.integers(1, 12), threads=st.integers(2, 8), tries=st.integers(1, 5))
def test_concurrent_threads_never_redeem_a_token_too_often(database: Database, uses: int, threads: int, tries: int) -> None:
    secret = make(database, uses)
    redeemed: list[int] = []

    def enrol() -> None:
        for _ in range(tries):
            try:
                use(database, secret)
            except NotAllowed:
                continue
            redeemed.append(1)

    running = [threading.Thread(target=enrol) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert len(redeemed) == min(uses, threads * tries)
