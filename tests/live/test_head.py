import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lbsim.errors import InputError
from lbsim.hashing import hash_string
from live import head


def key(request, source):
    return head.key_source(source)(request, "1.2.3.4")


def test_reads_what_the_dispatcher_needs():
    got = head.parse(
        b"POST /a?kind=2&u=x%20y HTTP/1.1\r\nContent-Length: 5\r\nCookie: a=1; s=me\r\n\r\nhello"
    )
    assert (got.method, got.idempotent, got.number(b"kind", 0)) == (b"POST", False, 2)
    assert got.total == got.size + 5
    assert key(got, "cookie:s") == hash_string("me")
    assert key(got, "query:u") == hash_string("x y")
    assert key(got, "ip") == hash_string("1.2.3.4")
    assert key(got, "header:cookie") == hash_string("a=1; s=me")
    assert key(got, "header:absent") == key(got, "cookie:absent") == key(got, "none") == -1


def test_header_goes_before_query():
    got = head.parse(b"GET /?kind=2&size=0.5 HTTP/1.1\r\nX-Kind: 7\r\n\r\n")
    assert got.number(b"kind", 0) == 7
    assert got.number(b"size", math.nan) == 0.5


@pytest.mark.parametrize("value", ["nan", "inf", "1e300", "x", "-99999999999", ""])
def test_numbers_that_would_hurt_are_ignored(value):
    assert head.parse(f"GET /?kind={value} HTTP/1.1\r\n\r\n".encode()).number(b"kind", 7) == 7


def test_integer_keys_are_exact():
    got = head.parse(b"GET /?key=9223372036854775807&id=-1&big=9223372036854775808 HTTP/1.1\n\n")
    assert key(got, "number:key") == 2**63 - 1
    assert key(got, "number:id") == key(got, "number:big") == key(got, "number:absent") == -1


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\nA: b\n\n",
        b"\r\n\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n",
    ],
)
def test_every_end_of_head_is_found(data):
    got = head.parse(data + b"next")
    assert (got.method, got.size, got.total) == (b"GET", len(data), len(data))
    assert got.field(b"a") == "b"


@pytest.mark.parametrize(
    "fields", ["Transfer-Encoding: chunked", "Content-Length: x", "Content-Length: 1\u00b2"]
)
def test_body_whose_end_is_not_known(fields):
    assert head.parse(f"POST / HTTP/1.1\r\n{fields}\r\n\r\n".encode("latin-1")).total == -1


@given(st.binary(max_size=300))
@example(b"GET /?id")
@example(b"G ?=&&id=\r\nx-id")
def test_any_bytes_are_a_head_or_not_yet_or_malformed(data):
    try:
        got = head.parse(data + b"\r\n\r\n")
    except head.Malformed:
        return
    if got is None:  # nothing but empty lines
        assert not data.strip(b"\r\n")
        return
    for source in ("cookie:s", "header:a", "query:q", "number:id"):
        key(got, source)
    assert got.total == -1 or got.total >= got.size >= 2
    assert got.idempotent in (True, False)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_a_head_that_comes_in_pieces_is_judged_the_same(data, cut):
    def judged(part):
        try:
            got = head.parse(part)
        except head.Malformed:
            return "malformed"
        return got and (got.method, got.size, got.total)

    whole = judged(data)
    part = judged(data[:cut])
    assert part is None or whole == "malformed" or part == whole or whole[1] < part[1]


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b" GET / HTTP/1.1", b"a" * 40, b"{}"])
def test_what_begins_no_request_is_refused_at_once(data):
    with pytest.raises(head.Malformed):
        head.parse(data)


def test_limit():
    begin = b"GET / HTTP/1.1\r\nA: "
    with pytest.raises(head.TooLarge):
        head.parse(begin + b"a" * head.LARGEST_HEAD)
    assert head.parse(begin + b"a" * (head.LARGEST_HEAD - len(begin))) is None


def test_key_source():
    with pytest.raises(InputError, match="give none, ip, cookie:NAME"):
        head.key_source("cookie")
