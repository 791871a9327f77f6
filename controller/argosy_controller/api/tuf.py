"""The plain TUF repository, for a stock client on this machine: signed, so it needs no token, but not offered to others."""

from __future__ import annotations

import ipaddress

from fastapi import APIRouter, Request
from fastapi.responses import Response

from argosy.errors import NotFound
from argosy_controller.api.deps import PartsDep
from argosy_controller.registry.download import find_download
from argosy_controller.web.files import metadata_answer, target_answer

router = APIRouter(prefix="/tuf", include_in_schema=False)


@router.get("/metadata/{name:path}")
def metadata(parts: PartsDep, request: Request, name: str) -> Response:
    """A metadata file."""
    _only_here(request)
    return metadata_answer(parts.repository.metadata(name), request.headers.get("accept-encoding", ""))


@router.get("/targets/{path:path}")
def target(parts: PartsDep, request: Request, path: str) -> Response:
    """A target file of a consistent snapshot."""
    _only_here(request)
    return target_answer(find_download(parts.repository, parts.store, path), "")


def is_loopback(address: str) -> bool:
    """Whether a peer is on this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _only_here(request: Request) -> None:
    if request.client is None or not is_loopback(request.client.host):
        raise NotFound("the plain repository is offered on this machine only: devices use the device API")
