"""What is wrong with a file is said, and nothing is lost in silence."""

import gzip

import numpy as np
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
        ("a.csv.gz", gzip.compress(GOOD.encode())[:-12], r"cut off or damaged"),
        ("a.csv", b"arrival,service\n", r"no request"),
        ("a.csv", b"when,howlong\n1,2\n", r"has the columns when, howlong; none is known as"),
        ("a.bin", b"hello world\n", r"format cannot be told"),
        ("a.parquet", b"PAR1 but not really", r"not a Parquet file"),
        ("a.csv", b"arrival,service\n0,1\n1,x\n2,-3\n3\n", r"3 of 4 rows .*line 3.*line 4.*line 5"),
        ("a.csv", b"arrival,service\n0,nan\n", r"1 of 1 rows .*line 2"),
        ("a.log", b"10.0.0.1 - - [x] nonsense\n", r"1 of 1 rows cannot be read|format cannot be told"),
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


def test_unsorted_arrivals_are_sorted_with_a_note(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("arrival,service\n2,1\n1,5\n")
    workload = Workload.from_trace(path)
    assert workload.service.tolist() == [5.0, 1.0]
    assert any("sorted" in note for note in workload.notes)


def test_nginx_stamps_the_end_and_apache_the_beginning(tmp_path):
    nginx = tmp_path / "nginx.log"
    nginx.write_text(NGINX.format(s=1, d="0.500") + NGINX.format(s=2, d="0.100"))
    workload = Workload.from_trace(nginx)
    assert workload.service.tolist() == [0.5, 0.1]
    # Ends at 1.5 and 2.5, in the middle of their seconds.
    assert np.diff(workload.arrival).tolist() == [pytest.approx(1.4)]
    apache = tmp_path / "apache.log"
    apache.write_text(NGINX.format(s=1, d="500000") + NGINX.format(s=2, d="100000"))
    workload = Workload.from_trace(apache)
    assert workload.service.tolist() == pytest.approx([0.5, 0.1])
    assert np.diff(workload.arrival).tolist() == [pytest.approx(1.0)]
    assert len(set(workload.key.tolist())) == 1


@pytest.mark.parametrize(
    ("arrival", "service", "message"),
    [
        ([0.0, np.nan], [1.0, 1.0], r"arrival\[1\] = nan must be finite and not negative"),
        ([0.0, 1.0], [1.0, -1.0], r"service\[1\] = -1 must be finite and not negative"),
        ([0.0, 1.0], [1.0], r"service has 1 values for 2 arrivals"),
        ([], [], r"empty"),
    ],
)
def test_bad_arrays(arrival, service, message):
    with pytest.raises(InputError, match=message):
        Workload.from_arrays(arrival, service)


def test_saved_and_loaded(tmp_path):
    import lbsim

    workload = Workload.synthetic(
        300, service=lbsim.Exponential(1.0), rate=2.0, sessions=5, size_error=0.5, seed=7
    )
    path = tmp_path / "w.parquet"
    workload.save(path)
    again = Workload.load(path)
    for name in ("arrival", "cpu", "key", "size"):
        assert np.array_equal(getattr(again, name), getattr(workload, name), equal_nan=True)
    assert dict(again.parameters)["seed"] == 7
    assert [p.name for p in tmp_path.iterdir()] == ["w.parquet"]


def test_pieces_equal_the_whole():
    import lbsim

    n = 150_000
    kinds = {
        "a": lbsim.Kind(0.5, lbsim.Exponential(1.0), priority=1),
        "b": lbsim.Kind(0.5, lbsim.Gamma(1.0, shape=2.0), wait=0.5),
    }
    workload = Workload.synthetic(n, kinds=kinds, rate=1.0, sessions=50, size_error=0.1, seed=3)
    pieces = list(workload.chunks())
    assert len(pieces) > 1
    for name in ("arrival", "cpu", "wait", "key", "kind", "priority", "size"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        assert np.array_equal(joined, getattr(workload, name), equal_nan=True)
    shorter = Workload.synthetic(1000, kinds=kinds, rate=1.0, sessions=50, size_error=0.1, seed=3)
    assert np.array_equal(shorter.cpu, workload.cpu[:1000])


def test_another_component_changes_no_other():
    import lbsim

    plain = Workload.synthetic(500, service=lbsim.Exponential(1.0), rate=1.0, seed=3)
    rich = Workload.synthetic(
        500, service=lbsim.Exponential(1.0), rate=1.0, seed=3, sessions=9, priorities=[0.5, 0.5]
    )
    assert np.array_equal(plain.arrival, rich.arrival)
    assert np.array_equal(plain.cpu, rich.cpu)
