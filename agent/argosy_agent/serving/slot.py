"""In-process use: a program on the device predicts without leaving its own process, on whatever version the agent serves."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from argosy.errors import ArgosyError, InvalidInput, NotFound, Unavailable
from argosy.names import check_name
from argosy.protocol.codec import from_json
from argosy.protocol.desired import SlotContent
from argosy_agent.runtimes.session import Array
from argosy_agent.serving.dropped import Dropper
from argosy_agent.serving.handle import Handle, Model
from argosy_agent.serving.loading import load_beside

STATE_VARIABLE = "ARGOSY_STATE"
_MAX_BYTES = 1 << 16
_log = logging.getLogger("argosy_agent")


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """STATE/slots/SLOT.current.json: what the slot serves. No `folder`: the slot was emptied. `runtime` may be left out."""

    folder: str = ""
    content: SlotContent | None = None
    runtime: str = ""


class Slot:
    """A slot of this device's agent, served in this process; follows the agent's swaps by itself.

    Args:
        name: of the slot.
        state: the agent's STATE folder; None for the environment's ARGOSY_STATE.
        runtime: name of the model runtime; None for the one that the agent chose, else the first that runs the format.
        threads, copies: as `argosy_agent.runtimes.load`.
        poll_s: how often the agent's choice is looked at, in seconds.
        report_s: how often counts go to the agent's spool, in seconds.
        load: loads a variant; for tests.

    Raises:
        InvalidInput: no state folder given, or an impossible slot name.
        NotFound: the agent serves nothing in this slot yet.
        ArgosyError: the version that it serves cannot be loaded here.
    """

    def __init__(
        self,
        name: str,
        state: str | os.PathLike[str] | None = None,
        runtime: str | None = None,
        *,
        threads: int = 1,
        copies: int = 1,
        poll_s: float = 0.5,
        report_s: float = 1.0,
        load: Callable[..., Model] = load_beside,
    ) -> None:
        self.name = check_name("slot", name)
        self._state = _state_folder(state)
        self._runtime, self._threads, self._copies, self._load = runtime, threads, copies, load
        self._poll_s, self._report_s = poll_s, report_s
        self._path = self._state / "slots" / f"{name}.current.json"
        self._seen: tuple[int, int] | None = None
        self._use(Handle(name))
        self._follow_once()
        if self._handle.model is None:
            raise NotFound(
                f"slot {name!r} serves nothing yet ({self._path} is not there): wait until a version is rolled out to this device"
            )
        self._start()
        atexit.register(self.close)
        _after_fork(self)

    @property
    def version(self) -> int | None:
        """The version that serves now; None after the slot was emptied."""
        model = self._handle.model
        return None if model is None else model.content.version

    @property
    def model(self) -> Model | None:
        """What serves now, with its card: names, dtypes and shapes of inputs and outputs."""
        return self._handle.model

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the model; as `argosy_agent.serving.handle.Handle.predict`. Any thread may call it, during a swap too."""
        return self._predict(inputs)

    def close(self) -> None:
        """Hands the last counts to the agent and ends the thread; `predict` goes on working on what is loaded."""
        if self._closing.is_set():
            return
        self._closing.set()
        atexit.unregister(self.close)
        self._thread.join(timeout=5)
        self._report()

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _use(self, handle: Handle) -> None:
        self._handle, self._predict = handle, handle.predict
        self._dropper = Dropper(handle, self._state / "spool" / "in")
        self._closing = threading.Event()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._follow, name=f"argosy-slot-{self.name}", daemon=True)
        self._thread.start()

    def _restart(self) -> None:
        """In a forked child: threads are gone, locks may be held for ever, and the parent reports what was counted so far."""
        model, closed = self._handle.model, self._closing.is_set()
        self._use(Handle(self.name))
        self._handle.swap(model)
        if closed:
            self._closing.set()
        else:
            self._start()

    def _follow(self) -> None:
        """The daemon thread: looks, loads beside, swaps, releases, reports."""
        waited = 0.0
        while not self._closing.wait(self._poll_s):
            waited += self._poll_s
            try:
                self._follow_once()
            except (ArgosyError, OSError) as error:
                _log.warning("slot %s stays on version %s: %s", self.name, self.version, error)
            except Exception:
                _log.exception("slot %s stays on version %s", self.name, self.version)
            self._handle.release()
            self._handle.fold()
            if waited >= self._report_s:
                waited = 0.0
                self._report()

    def _follow_once(self) -> None:
        """Swaps to what the agent serves, if that has changed; a version that does not load is not tried again."""
        mark = _mark(self._path)
        if mark == self._seen:
            return
        self._seen = mark
        current = Current() if mark is None else _read(self._path)
        if current.content is None or not current.folder:
            if self._handle.model is not None:
                self._handle.swap(None)
            return
        serving = self._handle.model
        if serving is None or serving.content != current.content:
            folder = self._state / current.folder
            runtime = self._runtime or current.runtime
            self._handle.swap(self._load(folder, runtime, current.content, self._threads, self._copies))

    def _report(self) -> None:
        with contextlib.suppress(OSError):
            self._dropper.drop()


def _after_fork(slot: Slot) -> None:
    """Restarts the slot in forked children for as long as it lives; a registration cannot be taken back."""
    known = weakref.ref(slot)

    def restart() -> None:
        alive = known()
        if alive is not None:
            alive._restart()

    os.register_at_fork(after_in_child=restart)


def _state_folder(state: str | os.PathLike[str] | None) -> Path:
    chosen = state or os.environ.get(STATE_VARIABLE)
    if not chosen:
        raise InvalidInput(f"no state folder: give state=..., or set {STATE_VARIABLE} to the folder of the agent on this device")
    return Path(chosen).absolute()


def _mark(path: Path) -> tuple[int, int] | None:
    """Changes whenever the file is replaced; None when it is not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"{path} cannot be read ({error.strerror}): run as a user who may read the agent's state folder") from error
    return found.st_mtime_ns, found.st_ino


def _read(path: Path) -> Current:
    try:
        with path.open("rb") as file:
            return from_json(Current, file.read(_MAX_BYTES))
    except OSError as error:
        raise Unavailable(f"{path} cannot be read ({error.strerror}): run as a user who may read the agent's state folder") from error
