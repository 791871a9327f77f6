"""Server nonces that stand in for a clock (RFC 9449, section 8): unforgeable, short-lived, good for one request."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock

LIFETIME_S = 120.0
_MOST_USED = 100_000
_FORM = struct.Struct(">d12s32s")


@dataclass
class Nonces:
    """Gives out nonces and accepts each once. Nothing is stored until one is used, so asking for nonces costs no memory.

    Attributes:
        clock: monotonic seconds.
    """

    clock: Callable[[], float]
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _used: OrderedDict[bytes, float] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def fresh(self) -> str:
        """A new nonce."""
        at, salt = self.clock(), secrets.token_bytes(12)
        return base64.urlsafe_b64encode(_FORM.pack(at, salt, self._mac(at, salt))).decode().rstrip("=")

    def accept(self, nonce: str) -> bool:
        """Whether this nonce was given out by this process lately and not used before; it is used up by asking."""
        try:
            raw = base64.urlsafe_b64decode(nonce[:100] + "=" * (-len(nonce) % 4))
            at, salt, mac = _FORM.unpack(raw)
        except (binascii.Error, ValueError, struct.error):
            return False
        if not hmac.compare_digest(mac, self._mac(at, salt)) or not 0 <= self.clock() - at <= LIFETIME_S:
            return False
        with self._lock:
            return self._use(salt)

    def _use(self, salt: bytes) -> bool:
        if salt in self._used:
            return False
        now = self.clock()
        self._used[salt] = now
        while self._used and next(iter(self._used.values())) < now - LIFETIME_S:
            self._used.popitem(last=False)
        if len(self._used) > _MOST_USED:
            # Forgetting used nonces would let them be replayed; a new key makes all of them worthless instead.
            self._key = secrets.token_bytes(32)
            self._used.clear()
        return True

    def _mac(self, at: float, salt: bytes) -> bytes:
        return hmac.new(self._key, _FORM.pack(at, salt, b""), sha256).digest()
