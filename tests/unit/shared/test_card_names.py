from __future__ import annotations

from typing import Any

import msgspec
import pytest

from argosy.errors import InvalidInput
from argosy.protocol.card import Card, FileRef, check_card

MODEL = FileRef(name="model.onnx", sha256="0" * 64, length=10)
CARD = Card(model="digits", version=2, variant="onnx-int8", format="onnx", precision="int8", inputs=[], outputs=[], model_file=MODEL)


def test_a_sound_card_passes_and_names_its_folder() -> None:
    assert check_card(CARD).folder == "digits/2/onnx-int8"


BAD: list[dict[str, Any]] = [
    {"model": "../digits"},
    {"variant": "a/b"},
    {"version": -1},
    {"format": "pickle"},
    {"model_file": msgspec.structs.replace(MODEL, name="../model.onnx")},
    {"model_file": msgspec.structs.replace(MODEL, sha256="0")},
    {"model_file": msgspec.structs.replace(MODEL, length=-1)},
    {"companions": [msgspec.structs.replace(MODEL, name="/etc/passwd")]},
    {"companions": [msgspec.structs.replace(MODEL, name=".bashrc")]},
    {"companions": [MODEL]},
    {"companions": [msgspec.structs.replace(MODEL, name="card.json")]},
]


@pytest.mark.parametrize("change", BAD, ids=range(len(BAD)))
def test_path_tricks_and_impossible_facts_in_a_card_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        check_card(msgspec.structs.replace(CARD, **change))
