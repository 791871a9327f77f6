"""Limits that hold before any handler runs: body size, time to send it, requests at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from argosy_controller.web.problems import problem

_TOO_LARGE = "the request body is over {} bytes: send less"


@dataclass
class BodyLimit:
    """Refuses bodies over a limit, also those without a Content-Length, and those that trickle in too slowly.

    Attributes:
        limit_for: the largest body in bytes for a path.
        timeout_s: the longest pause between two pieces of a body.
    """

    app: ASGIApp
    limit_for: Callable[[str], int]
    timeout_s: float = 20.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        limit = self.limit_for(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdigit() or int(declared) > limit:
            return await problem("too-large", 413, _TOO_LARGE.format(limit))(scope, receive, send)
        await self.app(scope, self._bounded(receive, limit), send)

    def _bounded(self, receive: Receive, limit: int) -> Receive:
        seen, complete = 0, False

        async def bounded() -> Message:
            nonlocal seen, complete
            try:
                # After the body only a disconnect can come; waiting for that has no time limit.
                message = await (receive() if complete else asyncio.wait_for(receive(), self.timeout_s))
            except TimeoutError as error:
                raise HTTPException(408, f"nothing of the request body arrived for {self.timeout_s:.0f} s") from error
            seen += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if seen > limit:
                raise HTTPException(413, _TOO_LARGE.format(limit))
            return message

        return bounded


@dataclass
class Shedding:
    """Answers 503 with Retry-After once too many requests are under way, so that those under way finish.

    Devices are told to come back after a random time, so that they do not return together.

    Attributes:
        most: requests at once over all paths.
        most_large: of these, requests whose path begins with `large_prefix` (downloads hold their place for long).
    """

    app: ASGIApp
    most: int
    most_large: int
    large_prefix: str
    spread_s: float = 8.0
    active: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        large = scope["path"].startswith(self.large_prefix)
        if self.active[large] >= (self.most_large if large else self.most):
            wait = str(1 + round(random.random() * self.spread_s))  # noqa: S311 - spreading load, no secret
            return await problem("unavailable", 503, f"the controller is busy: try again in {wait} s", {"Retry-After": wait})(
                scope, receive, send
            )
        self.active[large] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.active[large] -= 1


@dataclass
class Bucket:
    """A token bucket; used from one event loop.

    Attributes:
        rate: how many pass a second, in the long run.
        burst: how many pass at once after a pause.
        clock: monotonic seconds.
    """

    rate: float
    burst: float
    clock: Callable[[], float]
    _level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._level, self._at = self.burst, self.clock()

    def take(self) -> float:
        """Takes one; returns 0 when it may pass, else how many seconds to wait (spread, so that not all return together)."""
        now = self.clock()
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return 1.0 + random.random() * 4.0  # noqa: S311 - spreading load, no secret
