"""HdrHistogram's formats: the percentile text that its plotter reads, and the V2 encoding.

Formats as in the Java implementation, which defines them: `AbstractHistogram`
(outputPercentileDistribution, encodeIntoCompressedByteBuffer), `PercentileIterator` and
`ZigZagEncoding`.
"""

import base64
import binascii
import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from lbsim import checks
from lbsim.errors import InputError
from lbsim.stats.buckets import highest_in, lowest_in, n_buckets
from lbsim.stats.histogram import Histogram

__all__ = ["decode", "encode", "hgrm"]

_COOKIE = 0x1C849313
_COMPRESSED_COOKIE = 0x1C849314
# Cookie, payload bytes, index offset, digits, lowest and highest value, conversion ratio.
_HEADER = struct.Struct(">iiiiqqd")
_WRAPPER = struct.Struct(">ii")
_LONGEST_WORD = 9


def hgrm(histogram: Histogram, unit_s: float = 1e-3, ticks_per_half_distance: int = 5) -> str:
    """Return the percentile distribution as text, as an ``.hgrm`` file holds it.

    Parameters
    ----------
    histogram : Histogram
        Not empty.
    unit_s : float, default 1e-3
        Unit of the values written, in seconds: milliseconds by default.
    ticks_per_half_distance : int, default 5
        Lines for each halving of the distance to 100 %.

    Returns
    -------
    str

    Notes
    -----
    Mean and standard deviation are those of the counters' middles.
    """
    ticks = checks.count("hgrm", "ticks_per_half_distance", ticks_per_half_distance)
    used = np.flatnonzero(histogram.counts)
    if used.size == 0:
        raise InputError("hgrm: nothing was counted, so there is no distribution to write")
    counts = histogram.counts[used]
    seen = np.cumsum(counts)
    total = int(seen[-1])
    half_bits = histogram.half_bits
    ratio = unit_s / histogram.unit_s
    low = np.array([lowest_in(int(bucket), half_bits) for bucket in used])
    high = np.array([highest_in(int(bucket), half_bits) for bucket in used])
    top = high / ratio
    middle = (low + (high - low + 1) // 2) / ratio
    percent = 100.0 * seen / total

    digits = histogram.digits
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    for level in _levels(ticks):
        i = int(np.searchsorted(percent, level, "left"))
        lines.append(
            f"{top[i]:12.{digits}f} {level / 100.0:2.12f} {seen[i]:10d} "
            f"{1.0 / (1.0 - level / 100.0):14.2f}"
        )
        if seen[i] == total:
            break
    lines.append(f"{top[-1]:12.{digits}f} {1.0:2.12f} {total:10d}")

    mean = float((counts * middle).sum()) / total
    deviation = math.sqrt(float((counts * (middle - mean) ** 2).sum()) / total)
    octaves = (n_buckets(half_bits) >> half_bits) - 1
    lines += [
        f"#[Mean    = {mean:12.{digits}f}, StdDeviation   = {deviation:12.{digits}f}]",
        f"#[Max     = {top[-1]:12.{digits}f}, Total count    = {total:12d}]",
        f"#[Buckets = {octaves:12d}, SubBuckets     = {2 << half_bits:12d}]",
        "",
    ]
    return "\n".join(lines)


def _levels(ticks_per_half_distance: int) -> Iterator[float]:
    """Yield percentages from 0 on: so many to 50, as many from there to 75, and so on."""
    level = 0.0
    while level < 100.0:
        yield level
        halvings = int(math.log(100.0 / (100.0 - level)) / math.log(2.0)) + 1
        level += 100.0 / (ticks_per_half_distance * 2**halvings)


def encode(histogram: Histogram) -> str:
    """Return the histogram in HdrHistogram's V2 encoding, compressed, in base64.

    This is what the lines of a histogram log hold. Values are in ticks; the format has no
    place for the unit.

    Examples
    --------
    >>> histogram = Histogram()
    >>> histogram.add([0.001, 0.002])
    >>> decode(encode(histogram)).total
    2
    """
    words = bytearray()
    following = 0
    for bucket in np.flatnonzero(histogram.counts).tolist():
        zeros = bucket - following
        if zeros:
            words += _word(-zeros if zeros > 1 else 0)
        words += _word(int(histogram.counts[bucket]))
        following = bucket + 1
    payload = _HEADER.pack(_COOKIE, len(words), 0, histogram.digits, 1, 2**63 - 1, 1.0) + words
    compressed = zlib.compress(payload)
    wrapped = _WRAPPER.pack(_COMPRESSED_COOKIE, len(compressed)) + compressed
    return base64.b64encode(wrapped).decode("ascii")


def decode(text: str, unit_s: float = 1e-9) -> Histogram:
    """Return the histogram that `encode`, or another HdrHistogram, wrote.

    Parameters
    ----------
    text : str
        V2, compressed, base64.
    unit_s : float, default 1e-9
        What one tick is, in seconds; the text does not say.

    Raises
    ------
    InputError
        If the text is something else, is damaged, or has a coarsest unit above one tick.
    """
    try:
        wrapped = base64.b64decode(text, validate=True)
        cookie, size = _WRAPPER.unpack_from(wrapped)
        if cookie != _COMPRESSED_COOKIE or size != len(wrapped) - _WRAPPER.size:
            raise InputError(
                f"decode: cookie {cookie:#x} with {len(wrapped)} bytes is not a whole compressed "
                "V2 histogram; export it as compressed V2"
            )
        # Never unpack more than the largest histogram of the format can be.
        payload = zlib.decompressobj().decompress(
            wrapped[_WRAPPER.size :], _HEADER.size + _LONGEST_WORD * n_buckets(17)
        )
        cookie, length, offset, digits, lowest, _, _ = _HEADER.unpack_from(payload)
    except (binascii.Error, struct.error, zlib.error) as error:
        raise InputError(f"decode: the text is damaged ({error}); export it again") from None
    if cookie != _COOKIE or offset != 0 or lowest != 1 or length != len(payload) - _HEADER.size:
        raise InputError(
            f"decode: cookie {cookie:#x}, index offset {offset}, lowest value {lowest}, {length} "
            "bytes: only whole V2 histograms with offset 0 and a lowest value of 1 can be read; "
            "record with the unit 1"
        )
    histogram = Histogram(unit_s, digits)
    place = 0
    for word in _words(payload[_HEADER.size :]):
        if word < 0:
            place -= word
        elif place < len(histogram.counts):
            histogram.counts[place] = word
            place += 1
        else:
            raise InputError("decode: more counters than the format has; export it again")
    return histogram


def _word(value: int) -> bytes:
    """Return a signed number in 1 to 9 bytes of 7 bits, lowest first; the ninth holds 8."""
    rest = (value << 1) ^ (value >> 63)  # small negative numbers become small positive ones
    word = bytearray()
    while rest > 0x7F and len(word) < _LONGEST_WORD - 1:
        word.append(rest & 0x7F | 0x80)
        rest >>= 7
    word.append(rest)
    return bytes(word)


def _words(data: bytes) -> Iterator[int]:
    value = bits = 0
    for byte in data:
        last = bits == 7 * (_LONGEST_WORD - 1)
        value |= (byte if last else byte & 0x7F) << bits
        bits += 7
        if last or byte < 0x80:
            yield (value >> 1) ^ -(value & 1)
            value = bits = 0
    if bits:
        raise InputError("decode: the last counter is cut off; export it again")
