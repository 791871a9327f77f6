"""Selectors: which devices a rollout is for.

A selector is a comma-separated list of terms that must all hold:

    site=lab                 the label is there with this value
    site!=lab                it is not (also true where the label is missing)
    site in (lab,field)      one of these values
    site notin (lab,field)   none of these values (also true where the label is missing)
    gpu                      the label is there
    !gpu                     it is not
    device=pi-7              the device's own name
    *                        every device

The syntax is that of Kubernetes' label selectors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from argosy.errors import InvalidInput
from argosy.names import DEVICE_KEY, check_label, check_name

_TERM = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<missing>[^\s,!=()]+)"
    r"|(?P<key>[^\s,!=()]+)(?:\s*(?P<op>!=|==|=)\s*(?P<value>[^\s,!=()]+)|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?"
    r")\s*"
)
_MAX_LENGTH = 1000


@dataclass(frozen=True)
class Term:
    """One condition. `values` empty means: about presence only. `negated` turns it round."""

    key: str
    values: frozenset[str] = frozenset()
    negated: bool = False

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels (with `device` among them) satisfy this term."""
        found = labels.get(self.key)
        hit = found is not None and (not self.values or found in self.values)
        return hit != self.negated


@dataclass(frozen=True)
class Selector:
    """A parsed selector; no terms means every device. `text` is as the operator wrote it."""

    text: str
    terms: tuple[Term, ...]

    def matches(self, device: str, labels: Mapping[str, str]) -> bool:
        """Whether a device of this name and these labels is selected."""
        known = {**labels, DEVICE_KEY: device}
        return all(term.holds(known) for term in self.terms)


def parse_selector(text: str) -> Selector:
    """Parses a selector.

    Raises:
        InvalidInput: with the position at which it stops making sense.
    """
    stripped = text.strip()
    if stripped == "*":
        return Selector(stripped, ())
    if not stripped or len(stripped) > _MAX_LENGTH:
        raise InvalidInput("selector is empty or over 1000 characters: write '*' for every device, or terms like site=lab,gpu")
    terms, at = [], 0
    while True:
        match = _TERM.match(stripped, at)
        if match is None or (match.end() < len(stripped) and stripped[match.end()] != ","):
            stop = at if match is None else match.end()
            raise InvalidInput(
                f"selector {stripped!r:.120} makes no sense at character {stop + 1} ({stripped[stop : stop + 12]!r}): write terms like site=lab, tier in (a,b), !gpu"
            )
        terms.append(_term(match))
        if match.end() == len(stripped):
            return Selector(stripped, tuple(terms))
        at = match.end() + 1


def _term(match: re.Match[str]) -> Term:
    if match["absent"]:
        return Term(_checked_key(match["missing"]), negated=True)
    key = _checked_key(match["key"])
    if match["set"]:
        values = [value.strip() for value in match["values"].split(",")]
    elif match["op"]:
        values = [match["value"]]
    else:
        return Term(key)
    for value in values:
        _check_value(key, value)
    return Term(key, frozenset(values), negated=match["op"] == "!=" or match["set"] == "notin")


def _checked_key(key: str) -> str:
    return key if key == DEVICE_KEY else check_name("label", key)


def _check_value(key: str, value: str) -> None:
    if key == DEVICE_KEY:
        check_name("device", value)
    else:
        check_label(key, value)
