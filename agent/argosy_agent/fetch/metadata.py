"""The signed repository metadata, by python-tuf's client: what the publishers signed, and who the director is."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator

from securesystemslib.signer import Key
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError, SlowRetrievalError
from tuf.ngclient import FetcherInterface, TargetFile, Updater

from argosy.errors import NotFound, Unavailable
from argosy.protocol.refusals import Refusal
from argosy.trust import Refused
from argosy_agent.clock import Clock
from argosy_agent.fetch.trusted import Trusted
from argosy_agent.folder import StateFolder
from argosy_agent.http import DeviceHttp
from argosy_agent.identity import Identity

#: The TUF role whose key signs desired documents; it delegates no path.
DIRECTOR = "director"


class _Fetcher(FetcherInterface):
    """Metadata over the device API; python-tuf bounds the size, `Answer.chunks` the time."""

    def __init__(self, http: DeviceHttp) -> None:
        self._http = http

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return self._http.request("GET", url).chunks()
        except NotFound as error:
            raise DownloadHTTPError(str(error), 404) from error


class Repository:
    """The TUF repository as this device sees it. One thread refreshes and asks at a time; the others wait.

    Args:
        folder: where metadata is kept; `tuf/root_history/1.root.json` was pinned at enrolment.
        http: for this object alone.
        clock: metadata times are judged by it, so a clock below the floor neither accepts old metadata nor is stuck.
    """

    def __init__(self, identity: Identity, folder: StateFolder, http: DeviceHttp, clock: Clock) -> None:
        self._identity = identity
        self._folder = folder
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._updater: Updater | None = None

    def refresh(self) -> Trusted:
        """Fetches and verifies what is new: root, timestamp, snapshot, targets.

        Raises:
            Unavailable: the controller does not answer, or sheds load.
            Refused: UNTRUSTED_METADATA, and everything known before stays.
        """
        with self._lock:
            return self._refresh()

    def find(self, paths: list[str]) -> dict[str, TargetFile | None]:
        """What the publishers signed under each path; None where nobody did.

        Raises:
            Unavailable, Refused: as `refresh`.
        """
        with self._lock:
            if self._updater is None:
                self._refresh()
            assert self._updater is not None
            with _translated():
                return {path: self._updater.get_targetinfo(path) for path in paths}

    def _refresh(self) -> Trusted:
        root = (self._folder.tuf / "root_history" / "1.root.json").read_bytes()
        with _translated():
            updater = Updater(
                str(self._folder.tuf), self._identity.enrolled.metadata_url, fetcher=_Fetcher(self._http), bootstrap=root,
            )  # fmt: skip
            known = updater._trusted_set
            # python-tuf reads the system's clock here; below the time floor that clock is wrong.
            known.reference_time = datetime.datetime.fromtimestamp(self._clock.now(), datetime.timezone.utc)
            updater.refresh()
        self._updater = updater
        return Trusted(_director_keys(known), known.timestamp.version)


def _director_keys(known: object) -> tuple[Key, ...]:
    targets = known.targets  # type: ignore[attr-defined]
    roles = targets.delegations.roles if targets.delegations and targets.delegations.roles else {}
    role = roles.get(DIRECTOR)
    return tuple(targets.delegations.keys[keyid] for keyid in role.keyids) if role else ()


class _translated:
    """Turns python-tuf's errors into ours: a transfer that failed is to be tried again, a bad signature is a refusal."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SlowRetrievalError):
            raise Unavailable("the repository metadata came too slowly and was cut off, to be tried again") from error
        if isinstance(error, DownloadError):
            cause = error.__cause__
            if isinstance(cause, Unavailable):
                raise cause
            raise Unavailable(f"the repository metadata could not be fetched: {cause or error}") from error
        if isinstance(error, (RepositoryError, ValueError)):
            raise Refused(Refusal.UNTRUSTED_METADATA, str(error)) from error
