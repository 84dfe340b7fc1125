"""The cookie that names a session, where the server itself has to give it out.

The master places a request that brings no cookie, so it must know which cookie the answer will
set; but only the worker can put it into the answer. Both compute it from the connection's
serial number and a secret, so nothing has to be sent along. It cannot be guessed from others.
"""

import hashlib
from typing import Any, NamedTuple

from live.head import Head

__all__ = ["Cookie"]


class Cookie(NamedTuple):
    """A cookie's name, and the secret of this server's life (32 bytes)."""

    name: str
    secret: bytes

    def new(self, serial: int) -> str:
        """Return the value that a connection is given."""
        digest = hashlib.blake2b(serial.to_bytes(8, "little"), digest_size=16, key=self.secret)
        return digest.hexdigest()

    def sent(self, scope: Any) -> str | None:
        """Return the value that an ASGI request brings, None if it brings none."""
        lines = [value for name, value in scope["headers"] if name == b"cookie"]
        return Head(b" \ncookie:" + b";".join(lines), b"", 0).cookie(self.name)

    def header(self, value: str) -> tuple[bytes, bytes]:
        """Return the field that sets it: for the whole site, out of scripts' reach."""
        text = f"{self.name}={value}; Path=/; HttpOnly; SameSite=Lax"
        return b"set-cookie", text.encode("latin-1")
