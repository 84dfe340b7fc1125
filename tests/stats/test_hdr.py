"""HdrHistogram's formats: against texts that its other implementations wrote, and round trips."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbsim.errors import InputError
from lbsim.stats.hdr import _word, _words, decode, encode, hgrm
from lbsim.stats.histogram import Histogram

# Written by the Python package hdrhistogram 0.10.8 for these values, 3 digits.
VALUES = [0, 1, 1, 2047, 2048, 2049, 4095, 4096, 1000000, 1000001, 123456789, 987654321987]
VALUES += [5, 5, 5, 7, 7]
TEXT = "HISTFAAAADV4nJNpmSzMwMAgwQABzFCa0QHKsP8AoZlYWNkYWd7KM7H85mdi2l/H8jGPael5RiYAwrcJIQ=="


def histogram_of(ticks, digits=3):
    histogram = Histogram(digits=digits)
    histogram.add_ticks(np.array(ticks, np.int64))
    return histogram


def test_reads_what_another_implementation_wrote():
    assert np.array_equal(decode(TEXT).counts, histogram_of(VALUES).counts)


def test_writes_the_same_counters():
    # Apart from the header's highest value and from a single zero, which Java writes as 0 and
    # that package as "one zero", -1, the bytes are the same.
    ours, theirs = (
        zlib.decompress(base64.b64decode(text)[8:]) for text in (encode(histogram_of(VALUES)), TEXT)
    )
    assert list(_words(ours[40:])) == [0 if w == -1 else w for w in _words(theirs[40:])]
    assert struct.unpack(">iiiiqqd", ours[:40]) == (
        0x1C849313,
        len(ours) - 40,
        0,
        3,
        1,
        2**63 - 1,
        1.0,
    )


@given(
    st.lists(st.integers(0, 63).flatmap(lambda b: st.integers(0, (1 << b) - 1)), max_size=20),
    st.integers(1, 4),
)
def test_round_trip(ticks, digits):
    histogram = histogram_of(ticks, digits)
    back = decode(encode(histogram))
    assert np.array_equal(back.counts, histogram.counts)
    assert back.digits == digits


def test_large_counts_survive():
    histogram = Histogram()
    histogram.counts[[3, 4, 6, 20_000]] = [2**63 - 1, 1, 2**40, 10**15]
    assert np.array_equal(decode(encode(histogram)).counts, histogram.counts)


def test_words_are_zigzag_leb128_of_at_most_nine_bytes():
    assert [_word(v).hex() for v in (0, -1, 1, -2, 63, 64, 300)] == [
        "00",
        "01",
        "02",
        "03",
        "7e",
        "8001",
        "d804",
    ]
    for value in (2**62, 2**63 - 1, -(2**63)):
        assert len(_word(value)) == 9
        assert list(_words(_word(value) + _word(5))) == [value, 5]


def test_against_the_python_package():
    peer = pytest.importorskip("hdrh.histogram")
    ticks = np.rint(np.random.default_rng(1).pareto(1.1, 2000) * 1e6).astype(np.int64)
    other = peer.HdrHistogram(1, 2**62, 3)
    for tick in ticks:
        other.record_value(int(tick))
    ours = histogram_of(ticks)
    assert np.array_equal(decode(other.encode().decode()).counts, ours.counts)
    read = peer.HdrHistogram.decode(encode(ours))
    assert read.get_total_count() == 2000
    for q in (0.5, 0.9, 0.99, 0.999):
        assert ours.quantile(q)[0] == pytest.approx(read.get_value_at_percentile(100 * q) * 1e-9)
    text = io.BytesIO()
    read.output_percentile_distribution(text, 1e6)
    assert hgrm(ours).split()[:4] == text.getvalue().decode().split()[:4]


def test_percentile_text_line_by_line():
    # 1 .. 8 ms, one of each; ticks of 1 ms. Worked out by hand from the Java iterator's rules.
    histogram = Histogram(unit_s=1e-3)
    histogram.add(np.arange(1, 9) * 1e-3)
    assert hgrm(histogram, ticks_per_half_distance=2) == (
        "       Value     Percentile TotalCount 1/(1-Percentile)\n"
        "\n"
        "       1.000 0.000000000000          1           1.00\n"
        "       2.000 0.250000000000          2           1.33\n"
        "       4.000 0.500000000000          4           2.00\n"
        "       5.000 0.625000000000          5           2.67\n"
        "       6.000 0.750000000000          6           4.00\n"
        "       7.000 0.812500000000          7           5.33\n"
        "       7.000 0.875000000000          7           8.00\n"
        "       8.000 0.906250000000          8          10.67\n"
        "       8.000 1.000000000000          8\n"
        "#[Mean    =        4.500, StdDeviation   =        2.291]\n"
        "#[Max     =        8.000, Total count    =            8]\n"
        "#[Buckets =           53, SubBuckets     =         2048]\n"
    )


def test_percentile_text_agrees_with_quantiles():
    seconds = np.random.default_rng(1).exponential(0.010, 5000)
    histogram = Histogram()
    histogram.add(seconds)
    rows = [line.split() for line in hgrm(histogram).splitlines()[2:-3]]
    for value, percentile, count, *_ in rows[1:-1]:
        assert float(value) == pytest.approx(
            1e3 * histogram.quantile(float(percentile))[0], abs=6e-4
        )
        assert int(count) >= 5000 * float(percentile)
    counts = [int(row[2]) for row in rows]
    assert counts == sorted(counts)
    assert rows[-1] == [rows[-2][0], "1.000000000000", "5000"]
    assert float(rows[-1][0]) == pytest.approx(1e3 * seconds.max(), rel=1e-3)


def test_mean_and_deviation_are_those_of_the_data():
    seconds = np.random.default_rng(1).exponential(0.010, 5000)
    histogram = Histogram()
    histogram.add(seconds)
    line = hgrm(histogram).splitlines()[-3]
    mean, deviation = (float(part.strip(" ]")) for part in line.replace(",", "=").split("=")[1::2])
    assert mean == pytest.approx(1e3 * seconds.mean(), rel=1e-3)
    assert deviation == pytest.approx(1e3 * seconds.std(), rel=1e-3)


def test_nothing_to_write():
    with pytest.raises(InputError, match="nothing was counted"):
        hgrm(Histogram())
    with pytest.raises(InputError, match="ticks_per_half_distance = 0 must be"):
        hgrm(histogram_of([1]), ticks_per_half_distance=0)
    assert decode(encode(Histogram())).total == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not base64!", "the text is damaged"),
        ("", "the text is damaged"),
        (TEXT[:-8], "is not a whole compressed V2 histogram"),
        (base64.b64encode(struct.pack(">ii", 0x1C849314, 3) + b"abc").decode(), "damaged"),
        (base64.b64encode(struct.pack(">ii", 7, 0)).decode(), "cookie 0x7"),
    ],
)
def test_damaged_texts_are_explained(text, message):
    with pytest.raises(InputError, match=message):
        decode(text)


@pytest.mark.parametrize(
    ("header", "words", "message"),
    [
        ((0x1C849303, 0, 0, 3, 1, 2**62, 1.0), b"", "only whole V2"),
        ((0x1C849313, 1, 0, 3, 1000, 2**62, 1.0), b"\0", "lowest value 1000"),
        ((0x1C849313, 9, 0, 3, 1, 2**62, 1.0), b"\0", "9 bytes"),
        ((0x1C849313, 1, 0, 3, 1, 2**62, 1.0), b"\x80", "cut off"),
        ((0x1C849313, 4, 0, 3, 1, 2**62, 1.0), _word(-(10**6)) + b"\2", "more counters"),
        ((0x1C849313, 0, 0, 9, 1, 2**62, 1.0), b"", "digits = 9"),
    ],
)
def test_foreign_histograms_are_explained(header, words, message):
    packed = zlib.compress(struct.pack(">iiiiqqd", *header) + words)
    text = base64.b64encode(struct.pack(">ii", 0x1C849314, len(packed)) + packed).decode()
    with pytest.raises(InputError, match=message):
        decode(text)
