"""From a variant's folder to a model that is warm, beside what serves."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from argosy.errors import InvalidInput
from argosy.protocol.card import CARD_FILE, MAX_CARD_BYTES, Card, check_card
from argosy.protocol.codec import from_json
from argosy.protocol.desired import SlotContent
from argosy_agent import runtimes
from argosy_agent.serving.golden import read_golden
from argosy_agent.serving.handle import Model

#: Warming stops after this many runs or this many seconds, whichever is first.
_WARM_RUNS = 16
_WARM_S = 1.0
#: Niceness of a thread that loads beside: at 19 it starves on a busy device, and whatever it holds then keeps requests waiting.
LOADER_NICENESS = 10


def read_card(folder: Path) -> Card:
    """The card in a variant's folder.

    Raises:
        InvalidInput: there is none, it is too large, it does not decode, or its names are no names.
    """
    path = folder / CARD_FILE
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CARD_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}): give the folder of a variant") from error
    if len(raw) > MAX_CARD_BYTES:
        raise InvalidInput(f"{path} is larger than {MAX_CARD_BYTES} bytes, which no card is")
    return check_card(from_json(Card, raw))


def load_beside(folder: Path, runtime: str, content: SlotContent, threads: int = 1, copies: int = 1) -> Model:
    """As `load_model`, in a thread of its own with less priority than the serving ones; the calling thread waits.

    Priority stays as it is for a runtime that loads with the interpreter lock held: requests wait for the end of such a load,
    so it must not wait for others.
    """
    loaded: list[Model] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            loaded.append(load_model(folder, runtime, content, threads, copies, about_to_load=_lower_if_harmless))
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="load", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return loaded[0]


def load_model(
    folder: Path,
    runtime: str,
    content: SlotContent,
    threads: int = 1,
    copies: int = 1,
    about_to_load: Callable[[str], None] = lambda _: None,
) -> Model:
    """Loads a variant and runs its golden probes a few times, so that the first request finds it warm.

    Answers are not compared: the probe process did that.

    Args:
        runtime: a name from `runtimes.available`; empty for the first that runs the variant.
        content: what the folder must hold.
        threads, copies: as `runtimes.load`.
        about_to_load: called with the runtime's name before the work begins.

    Raises:
        InvalidInput, Unavailable, ModelFailed: as `runtimes.load` and `Session.run`, or the folder holds something else.
    """
    card = read_card(folder)
    held = (card.model, card.version, card.variant, card.model_file.sha256)
    if held != (content.model, content.version, content.variant, content.sha256):
        raise InvalidInput(
            f"{folder} holds {card.model}@{card.version} {card.variant}, not {content.model}@{content.version} {content.variant}"
        )
    name = runtime or runtimes.choose(card, runtimes.available())
    about_to_load(name)
    model = Model(content, card, runtimes.load(folder, card, name, threads, copies), name)
    _warm(model, folder)
    return model


def _warm(model: Model, folder: Path) -> None:
    golden = read_golden(folder, model.card)
    end = time.monotonic() + _WARM_S
    for number, (inputs, _) in enumerate(() if golden is None else golden.pairs()):
        if number >= _WARM_RUNS or time.monotonic() > end:
            return
        model.session.run(inputs)


def _lower_if_harmless(runtime: str) -> None:
    """Lowers the calling thread, on Linux, where priorities belong to threads; without privileges it cannot be undone."""
    if sys.platform == "linux" and runtimes.lets_others_run(runtime):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOADER_NICENESS)
