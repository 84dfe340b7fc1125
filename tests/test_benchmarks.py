"""The benchmarks run, and their C programs agree with the lab in every bit of every row."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).resolve().parents[1] / "benchmarks" / "engines.py"


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_c_programs_agree_with_the_lab():
    done = subprocess.run(
        [sys.executable, COMMAND, "--quick", "--only", "plain", "features", "many"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for rival in ("C, no event heap", "C, event heap", "C, indexed", "SimPy", "readable"):
        assert f"| {rival} " in done.stdout
