"""The README tells the truth: its Python runs, its commands exist, its files are there."""

import re
from pathlib import Path

import pytest

import lbsim.cli
import live.cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^    (?:.venv/bin/)?((?:lbsim|live) .*)$", README, re.MULTILINE)


def test_the_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        # The same statements on fewer requests.
        exec(block.replace("20_000", "1_000").replace("replications=10", "replications=2"), names)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "latency mean" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command, capsys):
    program, *words = command.partition("#")[0].split()
    if "--help" in words:
        return
    parser = {"lbsim": lbsim.cli._parser, "live": live.cli._parser}[program]()
    assert parser.parse_args(words).run


def test_there_are_commands_and_code():
    assert len(BLOCKS) >= 2
    assert len(COMMANDS) >= 4


def test_what_is_named_is_there():
    table = README[README.index("## What is where") :]
    for name in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        paths = re.findall(r"`([^`]+)`", name)
        parent = Path(paths[0]).parts[0]
        for path in paths:
            assert (ROOT / path).exists() or (ROOT / parent / path).exists(), path
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert link.startswith("http") or (ROOT / link).exists(), link
