"""On which line each key of a TOML text stands; the standard reader forgets it, and a good error message needs it."""

from __future__ import annotations

import re

#: Keys and, for tables in arrays, positions: ("passes", 1, "share").
Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\s\"'-]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+(?:\s*\.\s*[A-Za-z0-9_\"'-]+)*)\s*=")


def key_lines(text: str) -> dict[Path, int]:
    """Line numbers from 1 by path, for headers and keys that begin a line; what stands inside a value is not listed.

    The text must be valid TOML. Multi-line strings that look like keys can add wrong entries; they are only used in
    messages, where they do no harm.
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.fullmatch(line):
            table = _table(header[1], _parts(header[2]), counts)
            lines.setdefault(table, number)
            lines.setdefault(table[:1], number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_parts(key[1])), number)
    return lines


def _parts(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _table(bracket: str, parts: Path, counts: dict[Path, int]) -> Path:
    if bracket == "[":
        return parts
    counts[parts] = counts.get(parts, -1) + 1
    return (*parts, counts[parts])
