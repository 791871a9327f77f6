"""Throwaway identities and addresses for `controller broker check`: out of the data folder, where the device CA is."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from argosy.errors import InvalidInput, NotFound
from argosy_controller.broker.attacks import ClientFiles, check_broker
from argosy_controller.enrolment.authority import DeviceAuthority
from argosy_controller.folder import Folder, read_endpoints

_DEFAULT_PORT = 8883


def check_from_folder(data: Path | None, url: str | None) -> list[dict[str, Any]]:
    """Tries all attacks; each finding as `controller broker check --json` prints it.

    Args:
        data: the controller's folder; None takes ARGOSY_DATA, else ./fleet.
        url: `mqtts://HOST:PORT`; None takes the broker of the running controller.

    Raises:
        NotFound: the folder holds no CA.
        InvalidInput: the URL is none.
        Unavailable: no URL is given and no controller runs.
    """
    folder = Folder(data or Path(os.environ.get("ARGOSY_DATA") or "fleet"))
    if not (folder.ca / "ca.crt").is_file():
        raise NotFound(f"folder {folder.root} holds no device CA: name the controller's data folder with --data, after its first start")
    address = parse_broker_url(url if url is not None else read_endpoints(folder.root).mqtt)
    # A copy: the running controller owns its CA's folder, and the throwaway certificates must not stay there.
    with tempfile.TemporaryDirectory(prefix="argosy-check-") as temporary:
        shutil.copytree(folder.ca, Path(temporary) / "ca")
        authority = DeviceAuthority.open(Path(temporary) / "ca", [], time.time)
        findings = check_broker(address, authority.trusted_path, _issuer(authority))
    return [{"attack": one.attack, "held": one.held, "detail": one.detail} for one in findings]


def parse_broker_url(url: str) -> tuple[str, int]:
    """Host and port of a `mqtts://` URL.

    Raises:
        InvalidInput: it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORT
    except ValueError as error:
        raise InvalidInput(f"{url!r:.120} is no broker address: write mqtts://HOST:PORT") from error
    if parts.scheme != "mqtts" or not parts.hostname:
        raise InvalidInput(f"{url!r:.120} is no broker address: write mqtts://HOST:PORT")
    return parts.hostname, port


def _issuer(authority: DeviceAuthority) -> Callable[[str], ClientFiles]:
    def issue(name: str) -> ClientFiles:
        files = authority.client_files(name)
        return ClientFiles(files.certificate, files.key)

    return issue
