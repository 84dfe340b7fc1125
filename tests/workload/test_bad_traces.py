"""What is wrong with a file is said, and nothing is lost in silence."""

import gzip

import pytest

from lbsim import InputError, Workload

GOOD = "arrival,service\n0.0,1.0\n1.0,2.0\n2.5,0.5\n"
NGINX = '10.0.0.1 - - [24/Nov/2026:10:00:0{s} +0000] "GET / HTTP/1.1" 200 5 "-" "x" {d}\n'


def test_good_rows_are_read(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(GOOD)
    workload = Workload.from_trace(path)
    assert workload.arrival.tolist() == [0.0, 1.0, 2.5]
    assert workload.service.tolist() == [1.0, 2.0, 0.5]
    assert workload.notes == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"is empty"),
        ("a.csv", b"\n\n", r"is empty"),
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-12], r"cut off or damaged"),
        ("a.csv", b"arrival,service\n", r"no request"),
        ("a.csv", b"when,howlong\n1,2\n", r"has the columns when, howlong; none is known as"),
        ("a.bin", b"hello world\n", r"format cannot be told"),
        (
            "a",
            b"\x01,\x02\r\x03,4\n5,6\n",
            r"line 1: new-line character seen in unquoted field.*CSV",
        ),
        ("a.parquet", b"PAR1 but not really", r"not a Parquet file"),
        ("a.csv", b"arrival,service\n0,1\n1,x\n2,-3\n3\n", r"3 of 4 rows .*line 3.*line 4.*line 5"),
        ("a.csv", b"arrival,service\n0,nan\n", r"1 of 1 rows .*line 2"),
        ("a.log", b"10.0.0.1 - - [x] nonsense\n", r"format cannot be told"),
        ("a.tsv", b"arrival\tservice\n0\n", r"1 of 1 rows .*line 2: 1 fields instead of 2"),
        ("a.csv", b'arrival,service\n0,"1\n' + b"x" * 140_000, r"field larger than .*; is it CSV"),
        ("a.csv", b"service_s\n1\n", r"none is known as an arrival time.*from_arrays"),
        ("a.csv", b"time_s,requests_per_5min\n0,9\n", r"columns=.*seconds_per=.*RateProfile"),
        ("a.csv", b"arrival,service\n0,\n", r"line 2: service is missing"),
        ("a.csv", b"arrival,service\n0,inf\n", r"line 2: service = inf is not a number >= 0"),
        ("a.csv", b"arrival,service\n0,2026-11-24\n", r"service = 2026-11-24 is not a number"),
        ("a.csv", b"arrival,service,size\n0,1,-4\n", r"line 2: size = -4 is not a number"),
        ("a.csv", b"arrival,service,priority\n0,1,0.5\n", r"priority\[0\] = 0.5 must be a whole"),
        ("a.swf", b"; MaxNodes: 4\n", r"no requests, only a header"),
        ("a.swf", b"1 0 0 5\n", r"line 1: 4 fields instead of 18"),
        ("a.swf", b"1 0 0 -1 1 -1 -1 1 -1 -1 0 3 1 1 1 -1 -1 -1\n", r"line 1: run = -1 is not"),
        ("a.log", NGINX.format(s=1, d="").encode(), r"none is known as a service.*request_time"),
        (
            "a.log",
            (NGINX.format(s=1, d="0.1") + NGINX.format(s=2, d="") + "x\n").encode(),
            r"2 of 3 rows cannot be read \(line 2: duration is missing; line 3: not of the comb",
        ),
        (
            "a.log",
            (NGINX.format(s=1, d="0.1") + NGINX.format(s="x", d="0.1")).encode(),
            r"line 2: time '24/Nov/2026:10:00:0x \+0000' is not like",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        Workload.from_trace(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.csv does not exist"):
        Workload.from_trace(tmp_path / "nowhere.csv")


def test_bad_rows_are_left_out_only_if_asked_and_noted(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(GOOD + "oops,1\n")
    workload = Workload.from_trace(path, skip_bad=True)
    assert len(workload) == 3
    assert any("1 of 4 rows" in note and "line 5" in note for note in workload.notes)


def test_only_a_few_bad_rows_are_named(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(GOOD + "x,1\n" * 9)
    with pytest.raises(InputError, match=r"9 of 12 rows .*line 9: [^;]*; and 4 more\)") as caught:
        Workload.from_trace(path)
    assert "line 10" not in str(caught.value)
    assert "pass skip_bad=True (--skip-bad)" in str(caught.value)


def test_nothing_left_is_an_error_even_if_asked(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("arrival,service\nx,1\n")
    with pytest.raises(InputError, match=r"1 of 1 rows cannot be read"):
        Workload.from_trace(path, skip_bad=True)


def test_bad_parquet_rows_are_counted_in_rows(tmp_path):
    import pandas as pd

    path = tmp_path / "trace.parquet"
    table = pd.DataFrame({"arrival": [0.0, None, 2.0], "service": [1.0, 1.0, -1.0]})
    table.to_parquet(path)
    with pytest.raises(InputError, match=r"row 2: arrival is missing; row 3: service = -1\.0 is"):
        Workload.from_trace(path)
    assert Workload.from_trace(path, skip_bad=True).arrival.tolist() == [0.0]


def test_a_date_is_no_service_time(tmp_path):
    import pandas as pd

    path = tmp_path / "trace.parquet"
    pd.DataFrame({"arrival": [0.0], "service": pd.to_datetime(["2026-11-24"])}).to_parquet(path)
    with pytest.raises(InputError, match=r"row 1: service = 2026-11-24.* is not a number"):
        Workload.from_trace(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "json"}, r"format = 'json' is not known; give one of csv, parquet"),
        ({"time_unit": "h"}, r"time_unit = 'h' is not known; give one of s, ms, us, ns"),
        ({"resolution": 0}, r"resolution = 0 must be finite and above 0"),
        ({"columns": {"service": "none"}}, r"columns: 'none' is not in the file"),
        ({"columns": {"colour": "service"}}, r"columns: 'colour' is not one of ours, arrival"),
        ({"seconds_per": {"bytes": 1.0}}, r"seconds_per: 'bytes' is not in the file"),
        ({"seconds_per": {"service": -1.0}}, r"service = -1 must be finite and not negative"),
        (
            {"seconds_per": {"arrival": 1.0}, "columns": {"service": "service"}},
            r"give one of the two",
        ),
    ],
)
def test_bad_options(tmp_path, options, message):
    path = tmp_path / "trace.csv"
    path.write_text(GOOD)
    with pytest.raises(InputError, match=message):
        Workload.from_trace(path, **options)
