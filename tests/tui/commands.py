"""The command line as tests call it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE_S = 120.0  # for a program that never ends, not a measurement
ROOT = Path(__file__).parents[2]
SMALL = ["--model", "llama-3.1-8b", "--system", "h100", "--gpus", "8", "--isl", "2k", "--osl", "256"]
IMPOSSIBLE = [*SMALL, "--ttl", "0.1ms"]


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line of the run, on standard error."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n") and err.count("\n") == 1
    assert err.startswith("ratematch: ")
    return err.strip()


def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_S,
        cwd=ROOT,
        **options,
    )
