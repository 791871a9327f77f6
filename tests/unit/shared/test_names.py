from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidInput
from argosy.names import check_file_name, check_label, check_name, is_digest, parse_label, parse_version

GOOD = ["a", "0", "pi-7", "digits", "onnx-int8", "a.b_c-d", "x" * 63]
BAD = ["", "A", "-a", "a-", ".a", "a.", "a..b", "../a", "a/b", "a+b", "#", "a b", "a\n", "ä", "x" * 64, "a\0b", "%2e", "argosy$"]


@pytest.mark.parametrize("name", GOOD)
def test_legal_names_pass_unchanged(name: str) -> None:
    assert check_name("device", name) == name


@pytest.mark.parametrize("name", BAD)
def test_illegal_names_are_refused_with_the_name_and_what_is_allowed(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^slot name .* use 1 to 63"):
        check_name("slot", name)


@pytest.mark.parametrize("name", [None, 3, b"a", ["a"]])
def test_what_is_no_text_is_no_name(name: object) -> None:
    with pytest.raises(InvalidInput):
        check_name("model", name)  # type: ignore[arg-type]


def test_no_device_is_called_like_the_controller() -> None:
    with pytest.raises(InvalidInput, match="reserved"):
        check_name("device", "controller")
    assert check_name("model", "controller") == "controller"


@given(st.text(max_size=80))
def test_a_legal_name_is_one_path_part_and_one_topic_level(text: str) -> None:
    try:
        name = check_name("model", text)
    except InvalidInput:
        return
    assert name not in (".", "..")
    assert not set(name) & set("/\\+#%\0 \n$:")


@pytest.mark.parametrize("text", ["site=lab", "site=Lab-2.x_y", "a=1"])
def test_labels_parse(text: str) -> None:
    assert "=".join(parse_label(text)) == text


@pytest.mark.parametrize(
    "text", ["site", "=lab", "site=", "site=a/b", "site=a=b", "Site=lab", "site= lab", "site=lab,", "site=" + "x" * 64]
)
def test_a_label_that_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="label"):
        parse_label(text)


def test_the_label_device_is_reserved_for_the_devices_own_name() -> None:
    with pytest.raises(InvalidInput, match="reserved"):
        check_label("device", "pi-7")


def test_versions_parse() -> None:
    assert parse_version("digits@2") == ("digits", 2)


@pytest.mark.parametrize(
    "text", ["digits", "digits@", "@2", "digits@0", "digits@-1", "digits@two", "digits@²", "digits@1.0", "digits@1@2", "digits@1000000000"]
)
def test_a_version_that_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_version(text)


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "model.mlpackage.zip", "README", "a"])
def test_legal_file_names_pass(name: str) -> None:
    assert check_file_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/etc/passwd", "a\\b", "a..b", "../x", "a\0", "x" * 101, "a b", "a\n"])
def test_file_names_that_climb_or_hide_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_file_name(name)


@pytest.mark.parametrize(
    ("text", "good"), [("0" * 64, True), ("a" * 63, False), ("A" * 64, False), ("g" * 64, False), ("0" * 64 + "\n", False)]
)
def test_a_digest_is_64_lower_case_hex_digits(text: str, good: bool) -> None:
    assert is_digest(text) is good
