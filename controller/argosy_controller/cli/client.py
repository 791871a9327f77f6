"""The controller's API as commands use it; problems become argosy.errors again, with their exit codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from argosy import errors
from argosy_controller.accounts.roles import Forbidden
from argosy_controller.folder import read_endpoints
from argosy_controller.web.problems import TYPE_PREFIX

_KINDS: dict[str, type[errors.ArgosyError]] = {
    kind.kind: kind
    for kind in (
        errors.InvalidInput,
        errors.NotFound,
        errors.Conflict,
        errors.NotAllowed,
        errors.Unavailable,
        errors.Untrusted,
        errors.IncompatibleData,
        errors.GoalsNotMet,
        Forbidden,
    )
}
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
#: Registering a large bundle hashes, compresses and signs it before the answer comes.
_UPLOAD_TIMEOUT = httpx.Timeout(600.0, connect=5.0)


class Client:
    """One controller's API. Use it in a `with` block."""

    def __init__(self, url: str, token: str, where: str) -> None:
        self.where = where
        # Proxies of the environment are for other hosts: a token must not travel to one.
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int | float | None) -> Any:
        """GET; None values are left out of the query.

        Raises:
            ArgosyError: as the controller said, or Unavailable when it does not answer.
        """
        return self._send("GET", path, params={key: value for key, value in query.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST with a JSON body; errors as for `get`."""
        return self._send("POST", path, json=dict(body or {}))

    def upload(self, path: str, files: Mapping[str, Path], on_bytes: Callable[[int], None]) -> Any:
        """POST of files as multipart/form-data, streamed; `on_bytes` hears how many more were sent. Errors as for `get`."""
        from argosy_controller.cli.multipart import Multipart

        body = Multipart(files)
        headers = {"Content-Type": body.content_type, "Content-Length": str(body.length)}
        return self._send("POST", path, content=body.pieces(on_bytes), headers=headers, timeout=_UPLOAD_TIMEOUT)

    def download(self, path: str, into: Path, length: int) -> None:
        """GET of a file, streamed to `into`, whose folders are made.

        Raises:
            ArgosyError: as for `get`, or more than `length` bytes came.
        """
        into.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._http.stream("GET", path, timeout=_UPLOAD_TIMEOUT) as answer, into.open("xb") as file:
                if not answer.is_success:
                    answer.read()
                    raise _error_of(answer, self.where)
                for piece in answer.iter_bytes():
                    file.write(piece)
                    if file.tell() > length:
                        raise errors.ArgosyError(f"{self.where} sent more than the {length} bytes of {into.name} that it told of")
        except httpx.TransportError as error:
            raise errors.Unavailable(f"the controller at {self.where} broke off ({error}): try again") from error

    def _send(self, method: str, path: str, **rest: Any) -> Any:
        try:
            answer = self._http.request(method, path, **rest)
        except httpx.TransportError as error:
            raise errors.Unavailable(
                f"the controller at {self.where} does not answer ({error}): check that 'controller up' runs"
            ) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _error_of(answer, self.where)


def find_controller(data: Path | None, environment: Mapping[str, str]) -> Client:
    """The controller that a command is for: --data, else ARGOSY_DATA, else ARGOSY_URL with ARGOSY_TOKEN, else ./fleet.

    Raises:
        Unavailable: none runs there.
        NotAllowed: ARGOSY_URL is set and ARGOSY_TOKEN is not.
    """
    if data is None and environment.get("ARGOSY_DATA"):
        data = Path(environment["ARGOSY_DATA"])
    url = environment.get("ARGOSY_URL", "")
    if data is None and url:
        token = environment.get("ARGOSY_TOKEN", "")
        if not token:
            raise errors.NotAllowed(f"ARGOSY_URL names {url} and ARGOSY_TOKEN is empty: set it to an API token of that controller")
        return Client(url.rstrip("/") + ("" if url.rstrip("/").endswith("/api/v1") else "/api/v1"), token, url)
    return _by_folder(data or Path("fleet"))


def _by_folder(data: Path) -> Client:
    endpoints = read_endpoints(data)
    try:
        token = (data / "admin-token").read_text().strip()
    except OSError as error:
        raise errors.NotAllowed(f"{data / 'admin-token'} cannot be read ({error.strerror}): run this as the controller's user") from error
    return Client(endpoints.api, token, endpoints.api)


def _error_of(answer: httpx.Response, where: str) -> errors.ArgosyError:
    try:
        problem = answer.json()
        kind, detail = str(problem["type"]).removeprefix(TYPE_PREFIX), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return errors.ArgosyError(f"{where} answered {answer.status_code} and no problem document: is it an Argosy controller?")
    error_type = _KINDS.get(kind) or (errors.InvalidInput if answer.status_code < 500 else errors.ArgosyError)
    return error_type(detail)
