"""The worker's slots: orders in, answers out; one thread loads, another folds counts and releases old models."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from argosy.errors import ArgosyError, Unavailable
from argosy.protocol.refusals import Refusal
from argosy_agent.messages import Collect, Collected, Discard, Emptied, Empty, Load, Loaded, LoadFailed, Order, Stop, Swap, Swapped
from argosy_agent.serving.handle import Handle, Model
from argosy_agent.serving.loading import load_beside

#: How often counts are folded, in seconds; it bounds their memory to 8 bytes a request in that time.
_FOLD_S = 1.0


@dataclass
class _Candidate:
    """A load that was ordered; `model` once it is there. The slot's latest candidate is the only one that counts."""

    order: Load
    model: Model | None = None


class Slots:
    """All slots of the worker.

    Args:
        send: gives an answer to the supervisor; called from two threads.
        threads, copies: as `runtimes.load`.
        clock: seconds since 1970.

    Attributes:
        handles: slot name to handle, of every slot that an order named; the endpoint reads it while orders change it.
    """

    def __init__(
        self, send: Callable[[msgspec.Struct], None], *, threads: int = 1, copies: int = 1, clock: Callable[[], float] = time.time
    ) -> None:
        self.handles: dict[str, Handle] = {}
        self._send = send
        self._threads, self._copies, self._clock = threads, copies, clock
        self._candidates: dict[str, _Candidate] = {}
        self._ordered: queue.SimpleQueue[_Candidate] = queue.SimpleQueue()
        self._changing = threading.Lock()
        self._idle = threading.Event()

    def start(self) -> None:
        """Starts the two threads; they end with the process."""
        threading.Thread(target=self._load_all, name="loader", daemon=True).start()
        threading.Thread(target=self._keep_house, name="house", daemon=True).start()

    def obey(self, order: Order) -> bool:
        """Does what an order says, without waiting for a load.

        Returns:
            False when the worker should end.

        Raises:
            OSError: the answer could not be sent.
        """
        match order:
            case Load():
                self._order_load(order)
            case Swap(slot=slot):
                self._swap(slot)
            case Discard(slot=slot):
                self._drop_candidate(slot)
            case Empty(slot=slot):
                self._empty(slot)
            case Collect():
                self._send(Collected(counts=[counts for handle in list(self.handles.values()) for counts in handle.collect()]))
            case Stop():
                return False
        return True

    def _order_load(self, order: Load) -> None:
        self.handles.setdefault(order.slot, Handle(order.slot, self._clock, self._idle.set))
        candidate = _Candidate(order)
        with self._changing:
            self._candidates[order.slot] = candidate
        self._ordered.put(candidate)

    def _swap(self, slot: str) -> None:
        candidate = self._drop_candidate(slot)
        if candidate is None or candidate.model is None:
            self._send(
                _failed(slot, None if candidate is None else candidate.order, Refusal.START_FAILED, "it was to serve before it was loaded")
            )
            return
        self.handles[slot].swap(candidate.model)
        self._send(Swapped(slot=slot, content=candidate.order.content, at=self._clock()))

    def _empty(self, slot: str) -> None:
        self._drop_candidate(slot)
        if slot in self.handles:
            self.handles[slot].swap(None)
        self._send(Emptied(slot=slot))

    def _drop_candidate(self, slot: str) -> _Candidate | None:
        with self._changing:
            return self._candidates.pop(slot, None)

    def _load_all(self) -> None:
        while True:
            answer = self._load_one(self._ordered.get())
            if answer is not None:
                self._send(answer)

    def _load_one(self, candidate: _Candidate) -> Loaded | LoadFailed | None:
        """Loads a candidate; None when another order has overtaken it meanwhile: then nobody waits for the answer."""
        order, begin = candidate.order, time.monotonic()
        if self._candidates.get(order.slot) is not candidate:
            return None
        try:
            model = load_beside(Path(order.folder), order.runtime, order.content, self._threads, self._copies)
        except Exception as error:
            return self._load_failed(candidate, error)
        with self._changing:
            if self._candidates.get(order.slot) is not candidate:
                return None
            candidate.model = model
        return Loaded(slot=order.slot, content=order.content, load_s=time.monotonic() - begin)

    def _load_failed(self, candidate: _Candidate, error: Exception) -> LoadFailed | None:
        with self._changing:
            if self._candidates.get(candidate.order.slot) is not candidate:
                return None
            del self._candidates[candidate.order.slot]
        refusal = Refusal.NOT_RUNNABLE if isinstance(error, Unavailable) else Refusal.START_FAILED
        said = str(error) if isinstance(error, ArgosyError) else f"{type(error).__name__}: {error!s:.200}"
        return _failed(candidate.order.slot, candidate.order, refusal, said)

    def _keep_house(self) -> None:
        """Folds once a second; releases an old model as soon as its last request has ended."""
        while True:
            self._idle.wait(_FOLD_S)
            self._idle.clear()
            for handle in list(self.handles.values()):
                handle.release()
                handle.fold()


def _failed(slot: str, order: Load | None, refusal: Refusal, particulars: str) -> LoadFailed:
    content = None if order is None else order.content
    return LoadFailed(slot=slot, content=content, code=refusal.code, text=f"{refusal.sentence}: {particulars}")
