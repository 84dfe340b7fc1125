import gzip
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lbsim
from lbsim import InputError, Workload
from lbsim.workload.fields import requests_of
from lbsim.workload.tables import Table, csv_table

TIMES = st.floats(0.0, 1e6)


def read(tmp_path, text, name="trace.csv", **options):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return Workload.from_trace(path, **options)


# --- tables --------------------------------------------------------------------------------------


@given(st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=20), st.sampled_from(",;\t"))
def test_csv_gives_back_the_numbers_written(rows, mark):
    rows.sort()
    text = [f"service{mark}other{mark}arrival\n"] + [f"{s!r}{mark}x{mark}{a!r}\n" for a, s in rows]
    table = csv_table("trace.csv", text)
    values, bad, notes = requests_of("trace.csv", table, {}, {}, None, None)
    assert [*zip(values["arrival"].tolist(), values["service"].tolist(), strict=True)] == rows
    assert (bad, notes) == ([], ())


def test_every_column_of_a_csv(tmp_path):
    workload = read(
        tmp_path,
        "arrival,service,wait,key,kind,priority,size,payload\n"
        "0,1.5,0.5,ann,b,1,1.0,10\n"
        "1,2.5,,,a,,,\n",
        "trace.csv.gz",
    )
    assert workload.name == "trace.csv.gz"
    assert workload.service.tolist() == [2.0, 2.5]
    assert workload.key.tolist() == [lbsim.hash_string("ann"), -1]
    assert workload.kind_names == ("a", "b")
    assert workload.kind.tolist() == [1, 0]
    assert workload.priority.tolist() == [1, 0]
    assert workload.size.tolist() == [1.0, pytest.approx(math.nan, nan_ok=True)]
    assert workload.payload.tolist() == [10.0, 0.0]
    assert workload.parameters["source"] == "trace.csv.gz"


@pytest.mark.parametrize(
    ("header", "options", "unit"),
    [
        ("arrival_s,duration_ms", {}, 1e-3),
        ("Time,Runtime_us", {}, 1e-6),
        ("submit,elapsed_ns", {"time_unit": "s"}, 1e-9),
        ("start_s,service", {"time_unit": "ms"}, 1e-3),
        ("begun_s,took_ms", {"columns": {"arrival": "begun_s", "service": "took_ms"}}, 1e-3),
        ("timestamp_s,cpu", {}, 1.0),
    ],
)
def test_names_and_units(tmp_path, header, options, unit):
    workload = read(tmp_path, f"{header}\n0,7\n1,8\n", **options)
    assert workload.arrival.tolist() == [0.0, 1.0]
    assert workload.service.tolist() == pytest.approx([7 * unit, 8 * unit])


def test_the_first_alias_wins_and_a_chosen_column_is_not_used_twice(tmp_path):
    text = "time,arrival,user,session\n5,0,1,2\n"
    workload = read(tmp_path, text, columns={"service": "time"})
    assert (workload.arrival[0], workload.service[0], workload.key[0]) == (0.0, 5.0, 2)


def test_whole_numbers_as_keys_stay_numbers(tmp_path):
    assert read(tmp_path, "arrival,service,user\n0,1,7\n1,1,12\n").key.tolist() == [7, 12]
    assert read(tmp_path, "arrival,service,user\n0,1,7\n1,1,\n").key.tolist() == [7, -1]
    mixed = read(tmp_path, "arrival,service,user\n0,1,7\n1,1,x\n2,1,\n").key.tolist()
    assert mixed == [lbsim.hash_string("7"), lbsim.hash_string("x"), -1]


def test_kinds_of_a_file_are_numbered_from_0_however_large(tmp_path):
    workload = read(tmp_path, f"arrival,service,func\n0,1,{10**12}\n1,1,9\n")
    assert workload.kind.tolist() == [1, 0]
    assert workload.kind_names == ("9", "1000000000000")


@pytest.mark.parametrize(
    "stamps",
    [
        ("2023-11-16 18:17:03.5", "2023-11-16 18:17:05.0"),
        ("2023-11-16T18:17:03.500Z", "2023-11-16T19:17:05+01:00"),
        ("1700158623.5", "1700158625"),
    ],
)
def test_dates_begin_at_0(tmp_path, stamps):
    workload = read(tmp_path, f"timestamp,service\n{stamps[0]},1\n{stamps[1]},1\n")
    assert workload.arrival.tolist() == pytest.approx([0.0, 1.5])
    assert workload.notes == ("time 0 is 2023-11-16T18:17:03.500+00:00",)


def test_a_unit_of_time_is_not_for_dates(tmp_path):
    text = "time,service\n2023-11-16T18:17:03Z,5\n2023-11-16T18:17:05Z,7\n"
    workload = read(tmp_path, text, time_unit="ms")
    assert workload.arrival.tolist() == [0.0, 2.0]
    assert workload.service.tolist() == pytest.approx([0.005, 0.007])


def test_a_file_may_begin_with_a_byte_order_mark_and_blank_lines(tmp_path):
    text = "\ufeff\n\narrival,service\r\n0,1\r\n\r\nx,1\r\n"
    with pytest.raises(InputError, match=r"1 of 2 rows cannot be read .line 6: arrival = x is not"):
        read(tmp_path, text)
    assert len(read(tmp_path, text, skip_bad=True)) == 1


def test_a_model_of_the_service_time(tmp_path):
    text = "arrival_s,context_tokens,generated_tokens\n0,100,10\n1,200,20\n"
    model = {"context_tokens": 1e-4, "generated_tokens": 0.02}
    workload = read(tmp_path, text, seconds_per=model)
    assert workload.service.tolist() == pytest.approx([0.21, 0.42])
    assert workload.notes == (
        "service times are a model: 0.0001 s * context_tokens + 0.02 s * generated_tokens",
    )
    assert workload.parameters["seconds_per"] == model


@pytest.mark.parametrize("width", [1.0, 3.0])
def test_equal_stamps_are_spread_in_the_order_of_the_file(tmp_path, width):
    text = "arrival,service\n3,1\n0,2\n3,3\n3,4\n"
    workload = read(tmp_path, text, resolution=width)
    assert workload.arrival.tolist() == pytest.approx(
        [width / 2] + [3 + width * place for place in (1 / 6, 3 / 6, 5 / 6)]
    )
    assert workload.service.tolist() == [2.0, 1.0, 3.0, 4.0]
    assert f"spread evenly over {width:g} s" in workload.notes[0]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.floats(0.1, 1.0))
def test_spreading_keeps_every_request_in_its_interval(stamps, width):
    table = Table({"arrival": np.array(stamps), "service": np.ones(len(stamps))}, stamps)
    values, _, _ = requests_of("x", table, {}, {}, None, width)
    moved = values["arrival"] - np.array(stamps)
    assert (moved > 0.0).all()
    assert (moved < width).all()
    assert np.unique(values["arrival"]).size == len(stamps)


def test_parquet_equals_csv(tmp_path):
    import pandas as pd

    text = "arrival_s,service_s,user,func\n0,1.5,ann,b\n1,2.5,,a\n3,0.25,bob,b\n"
    frame = pd.DataFrame(
        {
            "arrival_s": pd.to_datetime([0, 1, 3], unit="s"),
            "service_s": pd.to_timedelta([1.5, 2.5, 0.25], unit="s"),
            "user": ["ann", None, "bob"],
            "func": pd.Categorical(["b", "a", "b"]),
        }
    )
    from_csv = read(tmp_path, text)
    for name in ("trace.parquet", "trace"):
        frame.to_parquet(tmp_path / name)
        workload = Workload.from_trace(tmp_path / name)
        for column, other in zip(workload.columns, from_csv.columns, strict=True):
            np.testing.assert_array_equal(column, other)
        assert workload.kind_names == ("a", "b")


def test_numbers_as_keys_in_parquet_may_be_missing(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"arrival": [0, 1], "service": [1, 1], "user": [7.0, None]})
    frame.to_parquet(tmp_path / "trace.parquet")
    assert Workload.from_trace(tmp_path / "trace.parquet").key.tolist() == [7, -1]


def test_standard_workload_format(tmp_path):
    text = (
        "; Version: 2.2\n;\n"
        " 1  10 -1  60 4 -1 -1 4  90 -1 1  7 1 1 2 -1 -1 -1\n"
        " 2  25 -1 120 4 -1 -1 4  -1 -1 1 -1 1 1 -1 -1 -1 -1\n"
        " 3  30 -1  -1 4 -1 -1 4 100 -1 5  8 1 1 2 -1 -1 -1\n"
    )
    with pytest.raises(InputError, match=r"1 of 3 rows cannot be read .line 5: run = -1 is not a"):
        read(tmp_path, text, "jobs.swf")
    for name in ("jobs.swf.gz", "jobs.txt"):
        workload = read(tmp_path, text, name, skip_bad=True)
        assert workload.arrival.tolist() == [10.0, 25.0]
        assert workload.service.tolist() == [60.0, 120.0]
        assert workload.size.tolist() == [90.0, pytest.approx(math.nan, nan_ok=True)]
        assert workload.key.tolist() == [7, -1]
        assert workload.kind_names == ("2", "none")


# --- access logs ---------------------------------------------------------------------------------


def log(rows, stamp="%d/%b/%Y:%H:%M:%S +0000", agent="curl/8.0", tail="{:.3f}"):
    """Write a log of (end in seconds, duration, client) as nginx or Apache would."""
    begin = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)
    return "".join(
        f"{client} - - [{(begin + timedelta(seconds=end)).strftime(stamp)}] "
        f'"GET /api/users?id=1 HTTP/1.1" 200 512 "-" "{agent}" {tail.format(duration)}\n'
        for end, duration, client in rows
    )


def test_an_nginx_log_of_a_known_workload(tmp_path):
    truth = Workload.synthetic(1000, service=lbsim.Exponential(2.0), rate=20.0, sessions=40, seed=1)
    ends = truth.arrival + truth.service
    order = np.argsort(ends, kind="stable")  # nginx writes a line when the answer is complete
    rows = [(ends[i], truth.service[i], f"10.0.0.{truth.key[i] % 200}") for i in order]
    workload = read(tmp_path, log(rows), "access.log.gz")
    assert len(workload) == 1000
    assert sorted(workload.service) == pytest.approx(sorted(truth.service.round(3).tolist()))
    # A stamp is cut off to the second, so an arrival is known to within a second.
    by_service = np.argsort(truth.service.round(3), kind="stable")
    mine = np.argsort(workload.service, kind="stable")
    unique = np.diff(truth.service.round(3)[by_service], prepend=-1, append=9e9).astype(bool)
    alone = unique[:-1] & unique[1:]
    shift = workload.arrival[mine][alone] - truth.arrival[by_service][alone]
    assert alone.sum() > 500
    assert np.ptp(shift) < 2.0
    assert np.unique(workload.key).size == np.unique([row[2] for row in rows]).size
    assert workload.notes[0].startswith("requests with the same stamp are spread evenly over 1 s")
    assert "a request arrives its duration earlier" in workload.notes[1]


def test_nginx_stamps_the_end_and_apache_the_beginning(tmp_path):
    rows = [(1, 0.5, "a"), (3, 0.25, "a"), (3, 1.5, "b")]
    nginx = read(tmp_path, log(rows), "access.log")
    # Spread over their seconds, the ends are 1.5, 3.25 and 3.75 s.
    assert nginx.arrival.tolist() == pytest.approx([0.0, 1.25, 2.0])
    assert nginx.service.tolist() == [0.5, 1.5, 0.25]
    assert nginx.key.tolist() == [lbsim.hash_string(client) for client in "aba"]
    assert not any("not in order" in note for note in nginx.notes)
    rows = [(second, duration * 1e6, client) for second, duration, client in rows]
    apache = read(tmp_path, log(rows, tail="{:.0f}"), "access.log")
    assert apache.arrival.tolist() == pytest.approx([0.0, 1.75, 2.25])
    assert apache.service.tolist() == pytest.approx([0.5, 0.25, 1.5])
    assert "durations read as microseconds (%D); the longest is 1.5 s" in apache.notes
    in_seconds = read(tmp_path, log(rows, tail="{:.0f}"), "access.log", time_unit="s")
    assert in_seconds.service.tolist() == pytest.approx([0.5e6, 0.25e6, 1.5e6])


@pytest.mark.parametrize(
    "stamp", ["%d/%b/%Y:%H:%M:%S.%f +0000", "%Y-%m-%dT%H:%M:%S.%f+00:00", "%s.%f"]
)
def test_stamps_with_a_fraction_are_exact(tmp_path, stamp):
    rows = [(1.25, 0.5, "a"), (1.75, 0.25, "a")]
    if stamp == "%s.%f":  # $msec; strftime's %s depends on the zone of this machine
        text = log(rows, stamp="{}")
        for end in ("1795514401.250", "1795514401.750"):
            text = text.replace("{}", end, 1)
    else:
        text = log(rows, stamp=stamp)
    workload = read(tmp_path, text, "access.log", format="nginx")
    assert workload.arrival.tolist() == pytest.approx([0.0, 0.75])
    assert not any("spread" in note for note in workload.notes)


def test_zones_are_understood(tmp_path):
    text = log([(1.0, 0.0, "a")]) + log([(1.0, 0.0, "b")]).replace(
        "10:00:01 +0000", "05:30:03 -0430"
    )
    assert read(tmp_path, text, "x.log").arrival.tolist() == pytest.approx([0.0, 2.0])


@pytest.mark.parametrize(
    ("tail", "format", "seconds"),
    [
        ("0.120", "nginx", 0.12),
        ("0.120 0.119 .", "nginx", 0.12),  # $upstream_response_time behind it
        ('"10.1.2.3, 10.9.9.9" 0.120', "nginx", 0.12),  # $http_x_forwarded_for before it
        ("512 0.120", "nginx", 0.12),  # $request_length before it
        ("10.0.0.7:8080 TLSv1.3 0.120 -", "nginx", 0.12),
        ('rt=0.120 uct="0.001" urt="0.119"', "nginx", 0.12),
        ('uct=0.001 request_time="0.120"', "nginx", 0.12),
        ("120000", "apache", 0.12),
        ("811 5321 120000", "apache", 0.12),  # mod_logio's bytes before it
        ("0/120000", "apache", 0.12),  # %T/%D
        ("duration=120000", "apache", 0.12),
    ],
)
def test_where_the_duration_is(tmp_path, tail, format, seconds):
    text = log([(1, 0, "a")], tail=tail)
    assert read(tmp_path, text, "x.log", format=format).service.tolist() == [pytest.approx(seconds)]
    assert read(tmp_path, text, "x.log").service[0] == pytest.approx(seconds)  # guessed


def test_odd_lines_of_logs(tmp_path):
    text = (
        # The common format, a quote in a request, a line separator of Unicode, no request at all.
        '::1 - bob smith [24/Nov/2026:10:00:01 +0000] "GET /a/b HTTP/1.1" 200 - 0.100\n'
        'host - - [24/Nov/2026:10:00:02 +0000] "GET /a\\"b HTTP/1.1" 404 7 "-" "x\\" 9.9" 0.2\r\n'
        'host - - [24/Nov/2026:10:00:03 +0000] "POST /é\u2028 HTTP/1.1" 200 7 "-" "x" 0.300\n'
        "\n"
        'host - - [24/Nov/2026:10:00:09 +0000] "-" 408 - "-" "-" 0.400\n'
    )
    workload = read(tmp_path, text, "x.log")
    assert workload.service.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert workload.kind_names == ("-", "GET", "POST")
    by_user = read(tmp_path, text, "x.log", columns={"key": "user", "kind": "path"})
    assert by_user.key.tolist() == [lbsim.hash_string("bob smith"), -1, -1, -1]
    assert by_user.kind_names == ("/", "/a", '/a\\"b', "/é\u2028")
    assert by_user.kind[0] == 1


def test_a_log_without_durations_needs_a_model(tmp_path):
    text = log([(1, 0, "a"), (2, 0, "b")], tail="")
    with pytest.raises(InputError, match=r"has the columns time, client.*%D \(Apache\)"):
        read(tmp_path, text, "x.log")
    workload = read(tmp_path, text, "x.log", seconds_per={"bytes": 1e-3})
    assert workload.service.tolist() == pytest.approx([0.512, 0.512])
    assert not any("earlier" in note for note in workload.notes)


# --- the shared traces ---------------------------------------------------------------------------


def trace(shared, name, **options):
    return Workload.from_trace(shared / "traces" / name, **options)


def test_grid_jobs(shared):
    workload = trace(shared, "lcg_grid_2005_day4.csv.gz")
    assert len(workload) == 16_939
    assert workload.cpu.var() / workload.cpu.mean() ** 2 == pytest.approx(8.5, abs=0.05)
    assert (workload.size >= 0).all()
    cluster = lbsim.Cluster(16)
    for keep in ("service", "arrival"):
        scaled = workload.scaled(0.8, cluster, keep=keep)
        assert scaled.offered_load(cluster) == pytest.approx(0.8)
        assert scaled.size.sum() > 0
    full = trace(shared, "lcg_grid_2005_full.parquet")
    assert len(full) == 188_041
    assert (full.service == 48 * 3600).mean() == pytest.approx(0.012, abs=0.001)


def test_supercomputer_jobs(shared):
    workload = trace(shared, "nasa_ipsc_1993.csv.gz", columns={"kind": "procs"})
    assert len(workload) == 18_066
    one = workload.service[workload.kind == workload.kind_names.index("1")]
    assert one.var() / one.mean() ** 2 == pytest.approx(31, abs=0.5)
    assert np.sort(one)[-len(one) // 100 :].sum() / one.sum() == pytest.approx(0.40, abs=0.01)


def test_functions(shared):
    workload = trace(shared, "azure_functions_2021_first199.csv.gz")
    assert len(workload) == 199
    assert workload.arrival[0] == 0.001491
    assert workload.service[0] == 0.078
    assert len(workload.kind_names) > 10


def test_tokens_need_a_model(shared):
    name = "azure_llm_2023_code.csv.gz"
    with pytest.raises(InputError, match=r"context_tokens, generated_tokens; none .* seconds_per="):
        trace(shared, name)
    workload = trace(shared, name, seconds_per={"generated_tokens": 0.02})
    assert len(workload) == 8_819
    assert workload.service[0] == pytest.approx(0.2)
    gaps = np.diff(workload.arrival)
    assert gaps.var() / gaps.mean() ** 2 == pytest.approx(173, abs=1)


def test_binned_arrivals_are_spread(shared):
    workload = trace(
        shared,
        "mooncake_conversation_2024.csv.gz",
        seconds_per={"input_tokens": 1e-4, "output_tokens": 0.01},
        resolution=3.0,
    )
    assert len(workload) == 12_031
    assert np.unique(workload.key).size == 7_373
    assert (np.diff(workload.arrival) > 0.0).mean() > 0.999


def test_counts_are_a_profile_and_sizes_have_no_clock(shared):
    with pytest.raises(InputError, match=r"requests_per_5min; .*RateProfile"):
        trace(shared, "aws_elb_requests_2014.csv.gz")
    with pytest.raises(InputError, match="none is known as a service time"):
        trace(shared, "elastic_apache_2015_sizes.csv.gz")
    with pytest.raises(InputError, match=r"no clock, give Workload\.from_arrays arrivals of your"):
        trace(shared, "elastic_apache_2015_sizes.csv.gz", seconds_per={"bytes": 1e-6})
