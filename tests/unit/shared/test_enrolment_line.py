from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidInput
from argosy.protocol.codec import to_json
from argosy.protocol.enrolment import TokenLine, read_line, write_line

LINE = TokenLine(url="https://192.0.2.7:8443", ca="c" * 64, root="d" * 64, secret="s3cret-s3cret")


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_line_reads_back_as_it_was_written(host: str, secret: str) -> None:
    line = TokenLine(url=f"https://{host}", ca="c" * 64, root="d" * 64, secret=secret)
    assert read_line(write_line(line)) == line


def test_a_line_is_safe_to_paste_inside_single_quotes() -> None:
    assert set(write_line(LINE)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_space_around_a_pasted_line_does_not_matter() -> None:
    assert read_line(f"  {write_line(LINE)}\n") == LINE


def test_a_line_with_any_part_of_its_end_lost_is_refused() -> None:
    text = write_line(LINE)
    for length in range(len(text)):
        with pytest.raises(InvalidInput, match=r"copy it again|paste the whole line"):
            read_line(text[:length])


def test_a_line_with_its_beginning_lost_is_refused() -> None:
    for start in range(1, 12):
        with pytest.raises(InvalidInput, match="paste the whole line"):
            read_line(write_line(LINE)[start:])


@pytest.mark.parametrize(
    "text", ["", "argosy1.", "argosy1.e30", "argosy1.bnVsbA", "argosy1.é", "argosy2.abc", "argosy1." + "A" * 5000, "argosy1.////"]
)
def test_a_damaged_line_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(InvalidInput, match="controller tokens create"):
        read_line(text)


def test_a_line_that_names_an_address_without_https_is_refused() -> None:
    with pytest.raises(InvalidInput, match="without https"):
        read_line(write_line(TokenLine(url="http://192.0.2.7", ca="c" * 64, root="d" * 64, secret="s")))


def test_a_line_of_a_newer_controller_is_refused() -> None:
    with pytest.raises(InvalidInput):
        read_line(write_line(TokenLine(schema=2, url="https://a", ca="c" * 64, root="d" * 64, secret="s")))


def test_a_line_with_a_field_that_is_not_known_yet_is_read() -> None:
    import base64

    raw = to_json(LINE)[:-1] + b',"later":1}'
    assert read_line("argosy1." + base64.urlsafe_b64encode(raw).decode().rstrip("=")) == LINE
