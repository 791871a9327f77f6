from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidInput
from argosy.selectors import parse_selector

LABELS = {"site": "lab", "tier": "a", "gpu": "yes"}
# (selector, whether it matches device pi-7 with LABELS)
CASES = [
    ("*", True),
    ("site=lab", True),
    ("site==lab", True),
    (" site = lab ", True),
    ("site=field", False),
    ("site!=field", True),
    ("site!=lab", False),
    ("region!=eu", True),
    ("site in (lab,field)", True),
    ("site in ( field , hall )", False),
    ("site notin (field)", True),
    ("site notin (lab)", False),
    ("region notin (eu)", True),
    ("gpu", True),
    ("!gpu", False),
    ("! npu", True),
    ("npu", False),
    ("device=pi-7", True),
    ("device=pi-8", False),
    ("device in (pi-7,pi-8)", True),
    ("device!=pi-7", False),
    ("site=lab,tier=a,!npu", True),
    ("site=lab,tier=b", False),
    ("site=lab , tier in (a,b),gpu", True),
]
BAD = [
    "",
    " ",
    ",",
    "site=",
    "=lab",
    "site=lab,",
    ",site=lab",
    "site=lab tier=a",
    "site in lab",
    "site in (lab",
    "site in ()",
    "site in (a,,b)",
]
BAD += [
    "site=a/b",
    "Site=lab",
    "!",
    "!!gpu",
    "!gpu=1",
    "site>3",
    "* ,site=lab",
    "**",
    "device=A",
    "device=controller",
    "(a)",
    "a=(b)",
    "x" * 64,
]
BAD += ["site=lab" + ",a" * 600]


@pytest.mark.parametrize(("text", "matches"), CASES)
def test_selector_matches_as_its_syntax_says(text: str, matches: bool) -> None:
    assert parse_selector(text).matches("pi-7", LABELS) is matches


@pytest.mark.parametrize("text", BAD)
def test_a_selector_that_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_selector(text)


def test_the_refusal_says_where_it_stops_making_sense() -> None:
    with pytest.raises(InvalidInput, match=r"makes no sense at character 10 \('tier=a'\)"):
        parse_selector("site=lab tier=a")


def test_a_label_cannot_pretend_to_be_a_device_name() -> None:
    assert not parse_selector("device=pi-7").matches("pi-8", {"device": "pi-7"})


VALUES = st.sampled_from(["lab", "field", "a", "b"])
FLEETS = st.dictionaries(st.sampled_from(["site", "tier", "gpu"]), VALUES)


@given(FLEETS, st.sampled_from(["site", "tier"]), st.sets(VALUES, min_size=1))
def test_a_term_and_its_negation_part_every_fleet_in_two(labels: dict[str, str], key: str, values: set[str]) -> None:
    among = ",".join(sorted(values))
    for one, other in ((f"{key} in ({among})", f"{key} notin ({among})"), (key, f"!{key}"), (f"{key}=lab", f"{key}!=lab")):
        assert parse_selector(one).matches("d", labels) is not parse_selector(other).matches("d", labels)


@given(FLEETS, st.lists(st.sampled_from(["site=lab", "tier!=a", "gpu", "!gpu", "site in (lab,field)"]), min_size=1, max_size=4))
def test_terms_joined_by_commas_must_all_hold(labels: dict[str, str], terms: list[str]) -> None:
    joined = parse_selector(",".join(terms)).matches("d", labels)
    assert joined is all(parse_selector(term).matches("d", labels) for term in terms)


@given(st.text(alphabet="abz!=(), in*", max_size=40))
def test_any_text_parses_or_is_refused_with_a_sentence(text: str) -> None:
    try:
        parse_selector(text).matches("d", {})
    except InvalidInput as error:
        assert str(error)
