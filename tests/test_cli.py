import gzip
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import lbsim
from lbsim.cli import main


def write_nginx_log(path, n=400, seed=3):
    """Write an nginx access log whose durations are known; return those."""
    rng = np.random.default_rng(seed)
    end = np.sort(rng.uniform(0, 60, n))
    duration = np.round(rng.exponential(0.05, n), 3)
    with gzip.open(path, "wt") as log:
        for t, d in zip(end, duration, strict=True):
            client = f"10.0.0.{rng.integers(1, 30)}"
            log.write(
                f"{client} - - [24/Nov/2026:10:{int(t) // 60:02d}:{int(t) % 60:02d} +0000] "
                f'"GET /page HTTP/1.1" 200 512 "-" "test \\"agent\\"" {d:.3f}\n'
            )
    return duration


SMALL = ["--policy", "RoundRobin", "--policy", "CentralQueue", "--quiet"]


def test_compare_without_a_trace(tmp_path, capsys):
    out = tmp_path / "report"
    arguments = ["--requests", "400", "--replications", "3", "--workers", "4", "--out", str(out)]
    assert main(["compare", *SMALL, *arguments]) == 0
    printed = capsys.readouterr().out
    assert "CentralQueue" in printed
    assert "p99.9 [ms]" in printed
    assert "95 % t intervals over 3 independent replications" in printed
    page = (out / "report.html").read_text()
    assert "Which worker should get the next request?" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert 'src="data:image/png;base64,' in page
    names = {path.name for path in out.iterdir()}
    assert {"summary.csv", "summary.parquet", "replications.csv", "requests.parquet"} <= names
    plots = {path.name for path in (out / "plots").iterdir()}
    assert {"latency.png", "latency.svg", "queues-best.svg", "timeline-worst.png"} <= plots
    summary = pd.read_parquet(out / "summary.parquet")
    row = summary[(summary["policy"] == "RoundRobin") & (summary["measure"] == "p99")].iloc[0]
    assert row["low"] <= row["estimate"] <= row["high"]
    assert len(pd.read_parquet(out / "requests.parquet")) == 2 * 400
    assert list(tmp_path.iterdir()) == [out], "something temporary was left behind"


def test_compare_an_nginx_log(tmp_path, capsys):
    log = tmp_path / "access.log.gz"
    write_nginx_log(log)
    out = tmp_path / "report"
    arguments = [str(log), "--load", "0.8", "--replications", "3", "--out", str(out)]
    assert main(["compare", *arguments, *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "standard error of 3 moving-block resamples" in printed
    assert "rescaled to load 0.8" in printed
    assert (out / "report.html").exists()


def test_a_second_report_replaces_the_first(tmp_path, capsys):
    out = tmp_path / "report"
    arguments = ["compare", *SMALL, "--requests", "100", "--replications", "2", "--out", str(out)]
    assert main(arguments) == 0
    (out / "plots" / "old.png").write_text("left over")
    assert main(arguments) == 0
    assert not (out / "plots" / "old.png").exists()
    capsys.readouterr()


def test_a_directory_of_others_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("three years of work")
    arguments = ["--requests", "100", "--replications", "2", "--out", str(tmp_path)]
    assert main(["compare", *SMALL, *arguments]) == 2
    assert "is not a result of this command" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--load", "1.08"], "load = 1.08 is not below 1: the queue grows without bound"),
        (["--workers", "0"], "workers = 0 must be a whole number of at least 1"),
        (["--policy", "Robin"], "policy 'Robin' is not known; did you mean: ByKind, RoundRobin"),
        (["--replications", "0"], "replications = 0 must be a whole number of at least 1"),
        (["nowhere.csv"], "nowhere.csv does not exist"),
        (["--workers", "1.5"], "argument --workers: invalid int value: '1.5'; see lbsim compare"),
        (["--policy", "PowerOfD:x=2"], "parameter 'x' of PowerOfD is not known; there is d, disti"),
        (["--policy", "ByKind"], "ByKind needs groups; give ByKind:groups=VALUE"),
        (["--out", "/proc/nowhere/report"], "cannot be written to (No such file or directory)"),
        (["--out", "/dev/null"], "/dev/null is a file; give a directory (--out)"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["compare", "--quiet", "--requests", "50", *arguments])
    except SystemExit as stop:  # of the argument parser
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [], "nothing half-written"


def test_describe(tmp_path, capsys):
    log = tmp_path / "access.log.gz"
    write_nginx_log(log)
    assert main(["describe", str(log)]) == 0
    printed = capsys.readouterr().out
    assert "400 requests" in printed
    assert "index of dispersion" in printed


def test_describe_a_trace_of_a_grid(shared, capsys):
    assert main(["describe", str(shared / "traces" / "lcg_grid_2005_day4.csv.gz")]) == 0
    printed = capsys.readouterr().out
    assert "16,939 requests" in printed
    assert "C² = 8.53" in printed  # 8.5 by the description of the trace


def test_a_trace_with_sizes_in_place_of_durations(tmp_path, capsys):
    trace = tmp_path / "sizes.csv"
    rows = "".join(f"{i},{1000 * (1 + i % 7)}\n" for i in range(50))
    trace.write_text("when,bytes\n" + rows)
    assert main(["describe", str(trace)]) == 2
    assert "--seconds-per" in capsys.readouterr().err
    given = ["--column", "arrival=when", "--seconds-per", "bytes=1e-6"]
    assert main(["describe", str(trace), *given]) == 0
    assert "service: mean 3.94 ms" in capsys.readouterr().out
    assert main(["describe", str(trace), "--column", "arrival"]) == 2
    assert "--column 'arrival' is not of the form NAME=VALUE" in capsys.readouterr().err


def test_importing_is_light():
    """Heavy libraries are loaded when they are used, not by ``import lbsim``."""
    code = (
        "import sys, lbsim; "
        "print([m for m in ('numba', 'matplotlib', 'pandas', 'scipy', 'pyarrow', 'jinja2', "
        "'simpy', 'live') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert found.stderr == ""


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "lbsim", "--version"], capture_output=True, text=True, check=True
    )
    assert lbsim.__version__ in done.stdout
