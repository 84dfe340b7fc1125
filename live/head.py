"""Read of a request's head what the dispatcher and the retry rule need, and no more.

The worker's HTTP protocol is the one that judges a request; this parser only finds the end of
the head, the method, and single fields, so it is lenient on purpose: it must never wait for a
head that cannot come, and never stumble over one.
"""

import functools
import math
import re
from collections.abc import Callable
from urllib.parse import unquote_plus

from lbsim.errors import InputError
from lbsim.hashing import hash_string

__all__ = ["LARGEST_BODY", "LARGEST_HEAD", "Head", "Malformed", "TooLarge", "key_source", "parse"]

LARGEST_HEAD = 65_536
"""Bytes of a head; a larger one is answered 431 (h11's own limit is the same)."""

LARGEST_BODY = 65_536
"""Bytes of a body that the master holds; a larger one cannot be replayed."""

_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"})
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_LONGEST_METHOD = 32
# Fields that most requests do not have: one search tells.
_UNUSUAL = re.compile(rb"\n(?:x-|content-length:|transfer-encoding:)", re.IGNORECASE)
_ADDRESSES = 4096  # whose hashes are remembered
MOST_PARAMETERS = 64  # of a query that are looked at

KeyOf = Callable[["Head", str], int]


class TooLarge(Exception):
    """The head is over the limit: answer 431 (RFC 6585, section 5)."""


class Malformed(Exception):
    """What came is not the beginning of a request line: answer 400."""


class Head:
    """What the master knows of a request.

    Attributes
    ----------
    method : bytes
    size : int
        Bytes of the head, with the empty line.
    total : int
        Bytes of head and body; -1 if the body's end cannot be told from the head (chunked).
    is_plain : bool
        It has no query and no ``X-`` fields, so nothing in it is meant for the dispatcher.
    """

    __slots__ = ("_has_x", "_lower", "_query", "_raw", "is_plain", "method", "size", "total")

    def __init__(self, raw: bytes, method: bytes, size: int) -> None:
        self._raw = raw
        self._lower: bytes | None = None
        self._query: dict[bytes, bytes] | None = None
        self.method = method
        self.size = size
        self.total = size
        self._has_x = False
        if _UNUSUAL.search(raw) is not None:
            self._has_x = self._find(b"x-") >= 0
            self.total = self._whole()
        self.is_plain = not self._has_x and raw.find(b"?") < 0

    def _whole(self) -> int:
        """Return `total`."""
        length = self.field(b"content-length") or "0"
        known = (
            self.field(b"transfer-encoding") is None
            and length.isascii()
            and length.isdecimal()
            and len(length) < 16
        )
        return self.size + int(length) if known else -1

    def _find(self, beginning: bytes) -> int:
        """Return where the first line that begins so (in lower case) does, -1 if none does."""
        if self._lower is None:
            self._lower = self._raw.lower()
        return self._lower.find(b"\n" + beginning)

    @property
    def idempotent(self) -> bool:
        """Whether it may be sent twice without being asked (RFC 9110, section 9.2.2)."""
        return self.method in _IDEMPOTENT

    @property
    def expects(self) -> bool:
        """Whether the client waits for a 100 Continue before it sends the body."""
        return self._find(b"expect:") >= 0

    def field(self, name: bytes) -> str | None:
        """Return the value of a header field (`name` in lower case), None if it is absent."""
        start = self._find(name + b":")
        if start < 0:
            return None
        start += len(name) + 2
        end = self._raw.find(b"\n", start)
        return self._raw[start : end if end >= 0 else None].decode("latin-1").strip()

    def query(self, name: bytes) -> str | None:
        """Return the first value of a parameter of the target's query, None if absent."""
        if self._query is None:
            start = len(self.method) + 1
            end = self._raw.find(b" ", start)
            target = self._raw[start : end if end >= 0 else None]
            self._query = {}
            for part in target.partition(b"?")[2].split(b"&", MOST_PARAMETERS):
                key, _, value = part.partition(b"=")
                self._query.setdefault(key, value)
        found = self._query.get(name)
        if found is None:
            return None
        text = found.decode("latin-1")
        return unquote_plus(text) if "%" in text or "+" in text else text

    def cookie(self, name: str) -> str | None:
        """Return a cookie's value, None if it is absent."""
        for pair in (self.field(b"cookie") or "").split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                return value
        return None

    def named(self, name: bytes) -> str | None:
        """Return the header ``X-Name``, or else the query's ``name``."""
        if self._has_x:
            text = self.field(b"x-" + name)
            if text is not None:
                return text
        return self.query(name)

    def number(self, name: bytes, otherwise: float) -> float:
        """Return a number from the header ``X-Name`` or the query's ``name``."""
        text = self.named(name)
        if text is None:
            return otherwise
        try:
            value = float(text)
        except ValueError:
            return otherwise
        # What a client sends must not be able to stop the master: NaN and 1e300 are no kinds.
        return value if math.isfinite(value) and abs(value) < 2**31 else otherwise

    def integer(self, name: bytes) -> int:
        """Return a decimal integer of 0 to 2**63 - 1, exactly; -1 if there is none."""
        text = self.named(name)
        if text is None or not (text.isascii() and text.isdecimal()) or len(text) > 19:
            return -1
        value = int(text)
        return value if value < 1 << 63 else -1


def parse(data: bytes) -> Head | None:
    """Return the head at the start of `data`, or None if it is not complete.

    Bare line feeds end lines too, and empty lines may come first (RFC 9112, section 2.2).

    Raises
    ------
    TooLarge
        No end within `LARGEST_HEAD` bytes.
    Malformed
        This can become no request line.
    """
    skipped = 0
    if data[:1] in (b"\r", b"\n"):
        stripped = data.lstrip(b"\r\n")
        skipped = len(data) - len(stripped)
        data = stripped
    end = data.find(b"\n\r\n")
    size = end + 3
    if end < 0:
        end = data.find(b"\n\n")
        size = end + 2
    if end < 0 or end > LARGEST_HEAD:
        _check_first_line(data)
        if len(data) > LARGEST_HEAD:
            raise TooLarge
        return None
    raw = data[:end]
    method = raw[: max(0, raw.find(b" ", 0, _LONGEST_METHOD + 1))]
    if method not in _IDEMPOTENT:  # else nothing is wrong with it
        _check_first_line(raw)
    return Head(raw, method, size + skipped)


def _check_first_line(data: bytes) -> None:
    """Refuse what begins with no method: a TLS handshake, say, would never end its head."""
    space = data.find(b" ", 0, _LONGEST_METHOD + 1)
    method = data[: space if space >= 0 else _LONGEST_METHOD + 1]
    if space == 0 or len(method) > _LONGEST_METHOD or not _TOKEN.issuperset(method):
        raise Malformed


def key_source(source: str) -> KeyOf:
    """Return the function that finds a request's session key, given its head and address.

    Parameters
    ----------
    source : str
        ``none``; ``ip``; ``cookie:NAME``, ``header:NAME`` or ``query:NAME`` for the hash of a
        text; ``number:NAME`` for the header ``X-NAME`` or the query's ``NAME`` itself.
    """
    kind, _, name = source.partition(":")
    if kind == "none" and not name:
        return lambda _head, _address: -1
    if kind == "ip" and not name:
        of_address = functools.lru_cache(_ADDRESSES)(hash_string)
        return lambda _, address: of_address(address)
    lower = name.lower().encode("utf-8", "surrogateescape")
    exact = name.encode("utf-8", "surrogateescape")
    if kind == "cookie" and name:
        return lambda head, _: _hash(head.cookie(name))
    if kind == "header" and name:
        return lambda head, _: _hash(head.field(lower))
    if kind == "query" and name:
        return lambda head, _: _hash(head.query(exact))
    if kind == "number" and name:
        return lambda head, _: head.integer(lower)
    raise InputError(
        f"key = {source!r} is not a source of session keys; "
        "give none, ip, cookie:NAME, header:NAME, query:NAME or number:NAME"
    )


def _hash(text: str | None) -> int:
    return -1 if text is None else hash_string(text)
