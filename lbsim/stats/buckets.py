"""Log-linear buckets: which counter of a histogram a whole number belongs to.

The layout is HdrHistogram's. With h = 2^half_bits, the values 0 .. 2h - 1 have a counter each;
the values of every further octave, 2h 2^(s-1) .. 2h 2^s - 1, share h counters of width 2^s:

    value     0 .. 2h-1     2h .. 4h-1     4h .. 8h-1    ...
    width         1              2              4
    counter   0 .. 2h-1     2h .. 3h-1     3h .. 4h-1    ...

So the width of a counter is at most 1/h of any value in it. These functions are plain integer
arithmetic that compiles as it stands: an engine's loop calls `bucket_of` once a request.
"""

__all__ = ["bucket_of", "half_bits_for", "highest_in", "lowest_in", "n_buckets"]

_WORD = 63  # bits of a non-negative int64


def half_bits_for(digits: int) -> int:
    """Return the least `half_bits` with 2^half_bits >= 10^digits, for that many digits.

    Examples
    --------
    >>> half_bits_for(3)
    10
    """
    return (10**digits - 1).bit_length()


def n_buckets(half_bits: int) -> int:
    """Return how many counters cover every value up to 2^63 - 1."""
    return (_WORD - half_bits + 1) << half_bits


def bucket_of(value: int, half_bits: int) -> int:
    """Return the counter of a value, 0 <= value < 2^63.

    Examples
    --------
    >>> bucket_of(2047, 10), bucket_of(2048, 10), bucket_of(2049, 10), bucket_of(2050, 10)
    (2047, 2048, 2048, 2049)
    """
    # The shift is the number of binary digits beyond the half_bits + 1 leading ones, found by
    # halving: six comparisons however large the value is.
    rest = value >> (half_bits + 1)
    shift = 0
    if rest >= 4294967296:
        shift += 32
        rest >>= 32
    if rest >= 65536:
        shift += 16
        rest >>= 16
    if rest >= 256:
        shift += 8
        rest >>= 8
    if rest >= 16:
        shift += 4
        rest >>= 4
    if rest >= 4:
        shift += 2
        rest >>= 2
    if rest >= 2:
        shift += 1
        rest >>= 1
    shift += rest
    return (shift << half_bits) + (value >> shift)


def lowest_in(bucket: int, half_bits: int) -> int:
    """Return the smallest value of a counter.

    Examples
    --------
    >>> lowest_in(2049, 10), highest_in(2049, 10)
    (2050, 2051)
    """
    octave = bucket >> half_bits
    if octave < 2:
        return bucket
    return (bucket - ((octave - 1) << half_bits)) << (octave - 1)


def highest_in(bucket: int, half_bits: int) -> int:
    """Return the largest value of a counter."""
    octave = bucket >> half_bits
    if octave < 2:
        return bucket
    return lowest_in(bucket, half_bits) + ((1 << (octave - 1)) - 1)
