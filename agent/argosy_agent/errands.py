"""What the supervisor has done elsewhere: short functions that run in lanes and end by giving an event, never by raising."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from argosy.errors import ArgosyError, NotFound, Unavailable
from argosy.protocol.desired import SlotContent
from argosy.protocol.refusals import Refusal, refusal_of
from argosy.protocol.reported import Capabilities
from argosy.topics import MAX_PACKET_BYTES
from argosy.trust import Refused
from argosy_agent.clock import Clock
from argosy_agent.device import jitter
from argosy_agent.enrol import renew
from argosy_agent.events import Happened, MetadataFailed, MetadataVerified, Polled, Progressed, Renewed
from argosy_agent.fetch.download import Abandoned
from argosy_agent.fetch.metadata import Repository
from argosy_agent.fetch.variant import VariantFetcher
from argosy_agent.folder import StateFolder
from argosy_agent.http import DeviceHttp
from argosy_agent.identity import Identity, certificate_times, renewal_due
from argosy_agent.lane import Lane
from argosy_agent.prober import prove
from argosy_agent.settings import Settings
from argosy_agent.store import Store
from argosy_agent.updater.state import Fetched, FetchFailed, ProofFailed, Proved, SlotEvent, StartFetch, StartProof

_log = logging.getLogger(__name__)
_PROGRESS_EVERY_S = 0.5


class Errands:
    """Three lanes: `control` (metadata, polls, renewal), `fetch` (downloads, tidying) and `prove`, so a long download never
    keeps a newer wish from being heard.

    Args:
        give: puts an event into the inbox; any thread may call it.
    """

    def __init__(
        self,
        identity: Identity,
        folder: StateFolder,
        clock: Clock,
        settings: Settings,
        capabilities: Capabilities,
        give: Callable[[Any], None],
    ) -> None:
        self._identity, self._folder, self._clock, self._settings, self._give = identity, folder, clock, settings, give
        rate = (settings.min_rate, settings.rate_window_s)
        self._http = DeviceHttp(identity, folder, clock, *rate)
        self._files_http = DeviceHttp(identity, folder, clock, *rate)
        self._repository = Repository(identity, folder, DeviceHttp(identity, folder, clock, *rate), clock)
        self._fetcher = VariantFetcher(identity, folder, self._repository, self._files_http, capabilities, settings.margin_bytes)
        self._abandoned: set[tuple[str, int]] = set()
        self._stopping = threading.Event()
        self._control, self._fetch, self._prove = Lane("control"), Lane("fetch"), Lane("prove")

    def refresh_metadata(self) -> None:
        """Answers MetadataVerified or MetadataFailed."""
        self._control.put(self._refresh)

    def poll_desired(self) -> None:
        """Reads the desired document over HTTPS, against a broker that withholds it; answers Polled when there is one."""
        self._control.put(self._poll)

    def renew_if_due(self) -> None:
        """Renews the certificate at two thirds of its life; answers Renewed when it did."""
        self._control.put(self._renew)

    def fetch(self, effect: StartFetch) -> None:
        """Answers Fetched or FetchFailed."""
        if not self._fetch.put(lambda: self._end(effect, self._fetched(effect))):
            self._give(Happened(effect.slot, FetchFailed(job=effect.job, refusal=Refusal.DOWNLOAD_FAILED, text="", shed=True)))

    def prove(self, effect: StartProof) -> None:
        """Answers Proved or ProofFailed."""
        if not self._prove.put(lambda: self._end(effect, self._proved(effect))):
            self._give(Happened(effect.slot, ProofFailed(job=effect.job, refusal=Refusal.PROBE_CRASHED, text="too many proofs wait")))

    def abandon(self, slot: str, job: int) -> None:
        """The job's answer is not wanted any more; it ends at its next look."""
        self._abandoned.add((slot, job))

    def tidy(self, needed: set[SlotContent], partials: bool) -> None:
        """Removes from disk what is not needed; in the fetch lane, so no download is under way meanwhile."""
        self._fetch.put(lambda: self._tidy(needed, partials))

    def stop(self, timeout_s: float) -> None:
        """Gives up what is under way; partial downloads stay to be resumed."""
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        for lane in (self._prove, self._fetch, self._control):
            lane.stop(max(0.05, deadline - time.monotonic()))

    def _end(self, effect: StartFetch | StartProof, answer: SlotEvent) -> None:
        self._abandoned.discard((effect.slot, effect.job))
        self._give(Happened(effect.slot, answer))

    # --- in the lanes ------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        try:
            self._give(MetadataVerified(self._repository.refresh()))
        except Refused as error:
            self._give(MetadataFailed(error.refusal, str(error)[:500]))
        except ArgosyError as error:
            self._give(MetadataFailed(None, str(error), getattr(error, "retry_after_s", None)))
        except OSError as error:
            self._give(MetadataFailed(None, f"the repository metadata could not be kept: {error}"))

    def _poll(self) -> None:
        url = f"{self._identity.enrolled.api_url.rstrip('/')}/device/v1/desired"
        try:
            self._give(Polled(self._http.request("GET", url).body(MAX_PACKET_BYTES + 1)))
        except NotFound:
            pass  # nothing was ever desired of this device
        except ArgosyError as error:
            _log.info("the desired document could not be read over HTTPS: %s", error)

    def _renew(self) -> None:
        try:
            begin, end = certificate_times(self._folder)
            if renewal_due(begin, end, self._clock.now()):
                renew(self._folder, self._http, self._clock)
                self._give(Renewed())
        except (ArgosyError, OSError, ValueError) as error:
            _log.warning("the certificate could not be renewed, to be tried again: %s", error)

    def _fetched(self, effect: StartFetch) -> Fetched | FetchFailed:
        spread = jitter(f"{self._identity.device} {effect.slot} {effect.job}")
        try:
            found = self._fetcher.fetch(effect.target.content, lambda: self._check(effect), self._progress(effect.slot))
            return Fetched(job=effect.job, folder=found.folder, runtime=found.runtime)
        except Refused as error:
            return FetchFailed(job=effect.job, refusal=error.refusal, text=str(error), jitter=spread)
        except Unavailable as error:
            shed = error.retry_after_s is not None
            return FetchFailed(
                job=effect.job,
                refusal=Refusal.DOWNLOAD_FAILED,
                text=str(error),
                shed=shed,
                retry_after_s=error.retry_after_s,
                jitter=spread,
            )
        except Abandoned:
            return FetchFailed(job=effect.job, refusal=Refusal.DOWNLOAD_FAILED, text="it is not wanted any more")
        except OSError as error:
            full = error.errno in (28, 122)  # ENOSPC, EDQUOT
            return FetchFailed(
                job=effect.job, refusal=Refusal.NO_SPACE if full else Refusal.DOWNLOAD_FAILED, text=str(error), jitter=spread
            )
        except ArgosyError as error:
            return FetchFailed(job=effect.job, refusal=Refusal.DOWNLOAD_FAILED, text=str(error), jitter=spread)

    def _proved(self, effect: StartProof) -> Proved | ProofFailed:
        result = prove(
            self._folder.variants.resolve() / effect.folder, effect.runtime, python=self._settings.python,
            timeout_s=self._settings.probe_timeout_s, wanted=lambda: self._is_wanted(effect),
        )  # fmt: skip
        if result.ok:
            return Proved(job=effect.job, runtime=effect.runtime)
        return ProofFailed(job=effect.job, refusal=refusal_of(result.code) or Refusal.PROBE_CRASHED, text=result.text)

    def _tidy(self, needed: set[SlotContent], partials: bool) -> None:
        try:
            Store(self._folder).tidy(needed, partials=partials)
        except OSError as error:
            _log.warning("what is not needed any more could not be removed: %s", error)

    def _is_wanted(self, effect: StartFetch | StartProof) -> bool:
        return not self._stopping.is_set() and (effect.slot, effect.job) not in self._abandoned

    def _check(self, effect: StartFetch) -> None:
        if not self._is_wanted(effect):
            raise Abandoned

    def _progress(self, slot: str) -> Callable[[int, int], None]:
        last = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _PROGRESS_EVERY_S or done == total:
                last = now
                self._give(Progressed(slot, done, total))

        return tell
