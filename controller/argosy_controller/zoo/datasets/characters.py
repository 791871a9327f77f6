"""Names of Unicode's characters, and of which kind each is: text that comes with Python, the same in every release (Unicode 3.2)."""

from __future__ import annotations

import unicodedata

import numpy as np

from argosy_controller.pipeline.task import Data, Split

KINDS = ("capital letter", "small letter", "other letter", "mark", "number", "punctuation", "symbol")
#: The number of a character in a name is its place here plus 1; 0 fills a name up to LENGTH.
LETTERS = " -0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LENGTH = 40
_BY_CATEGORY = {"Lu": 0, "Ll": 1, "Lo": 2, "M": 3, "N": 4, "P": 5, "S": 6}
_SAY_NOTHING = ("CJK ", "HANGUL SYLLABLE ")


def named() -> list[tuple[str, int]]:
    """Names of at most LENGTH letters, each with the place of its kind in KINDS."""
    found = []
    for code in range(0x110000):
        name = unicodedata.ucd_3_2_0.name(chr(code), "")
        category = unicodedata.ucd_3_2_0.category(chr(code))
        kind = _BY_CATEGORY.get(category, _BY_CATEGORY.get(category[0]))
        if kind is not None and 0 < len(name) <= LENGTH and not name.startswith(_SAY_NOTHING):
            found.append((name, kind))
    return found


def encoded(name: str) -> list[int]:
    """The numbers of a name's letters, and zeros behind them up to LENGTH."""
    return [LETTERS.index(one) + 1 for one in name] + [0] * (LENGTH - len(name))


def characters(seed: int, test: int) -> Data:
    """Inputs `letters` int32 (examples, LENGTH) and `mask` float32 (1 where a letter stands, 0 behind); targets the kind."""
    names = named()
    order = np.random.default_rng(seed).permutation(len(names))
    letters = np.array([encoded(names[i][0]) for i in order], np.int32)
    kinds = np.array([names[i][1] for i in order], np.int64)
    whole = Split({"letters": letters, "mask": (letters > 0).astype(np.float32)}, kinds)
    return Data(train=whole.take(slice(test, None)), test=whole.take(slice(0, test)))
