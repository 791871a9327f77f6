"""Time left, sizes as people write them, progress without a terminal, and databases from before there were builds."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from argosy.errors import InvalidInput
from argosy_controller.cli.progress import following
from argosy_controller.db import migrate
from argosy_controller.db.engine import open_database
from argosy_controller.jobs import queue
from argosy_controller.jobs.intake import BuildWish
from argosy_controller.pipeline.processes.messages import Progress
from argosy_controller.texts import parse_size
from argosy_controller.views.builds import time_left


def test_time_left_at_the_pace_so_far() -> None:
    assert time_left(100.0, 120.0, 10, 30) == 40.0


@pytest.mark.parametrize(("began", "now", "done", "total"), [(0, 9, 0, 4), (0, 9, 4, 4), (9, 9, 1, 4), (9, 8, 1, 4), (0, 9, 0, 0)])
def test_time_left_says_nothing_where_nothing_can_be_known(began: float, now: float, done: int, total: int) -> None:
    assert time_left(began, now, done, total) is None


@given(st.floats(1, 1e6), st.integers(1, 1000), st.integers(1, 1000))
def test_time_left_and_time_taken_make_the_whole(taken: float, done: int, more: int) -> None:
    left = time_left(0.0, taken, done, done + more)
    assert left is not None and taken + left == pytest.approx(taken / done * (done + more))


@pytest.mark.parametrize(
    ("given_text", "size"), [("0", 0), ("16GiB", 16 << 30), ("512MiB", 512 << 20), ("1.5kB", 1500), (" 8GB ", 8 * 10**9)]
)
def test_sizes_as_people_write_them(given_text: str, size: int) -> None:
    assert parse_size(given_text) == size


@pytest.mark.parametrize("given_text", ["", "16", "GiB", "-1GB", "1 GiB", "1e9B", "16gib", "٣GB"])
def test_other_sizes_are_refused_with_an_example(given_text: str) -> None:
    with pytest.raises(InvalidInput, match="for example 512MiB"):
        parse_size(given_text)


def test_without_a_terminal_each_stage_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with following("build [tiny]") as tell:
        for stage, done in (("data", 0), ("data", 1), ("train [b]", 1), ("train [b]", 2), ("data", 1)):
            tell(Progress(stage=stage, done=done, total=2))
    assert [line.strip() for line in capsys.readouterr().err.splitlines()][1:] == ["data", "train [b]", "data"]


def test_database_from_before_there_were_builds_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "argosy.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("INSERT INTO model (name, created) VALUES ('digits', 1.0)"))
    engine.dispose()
    database = open_database(path)
    with database.write() as session:
        assert queue.add(session, BuildWish(task="t", recipe="task/r.toml"), "ada", 1.0).id == 1
        assert session.connection().execute(text("SELECT name FROM model")).scalar_one() == "digits"
    database.close()


def test_number_of_a_forgotten_build_is_never_given_again(tmp_path: Path) -> None:
    database = open_database(tmp_path / "argosy.db")
    wish = BuildWish(task="t", recipe="task/r.toml")
    with database.write() as session:
        row = queue.add(session, wish, "ada", 1.0)
        queue.cancel(row, "", 2.0)
        session.flush()
        assert queue.forget_old(session, 0) == [row.id]
    with database.write() as session:
        assert queue.add(session, wish, "ada", 3.0).id == (row.id or 0) + 1
    database.close()
