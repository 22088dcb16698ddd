"""Files that are no files, too large, or not text: one line each, and none is waited for."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from planner.errors import LONGEST_LINE, InputError, printable, unknown
from planner.inputs.files import MOST_BYTES, read_text


def refused(path: Path) -> str:
    """The one line that a file gets."""
    with pytest.raises(InputError) as caught:
        read_text(path)
    line = str(caught.value)
    assert line.isprintable() and len(line) <= LONGEST_LINE
    return line


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    assert "not a regular file" in refused(tmp_path / "pipe.toml")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_refused(device: str) -> None:
    assert "cannot be read" in refused(Path(device))


def test_folders_links_in_circles_and_names_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for path in (
        tmp_path,
        tmp_path / "circle",
        tmp_path / ("x" * 5000),
        tmp_path / "a\0b",
        tmp_path / "gone",
    ):
        assert "is not accepted" in refused(path)


def test_what_is_too_large_is_not_taken_in(tmp_path: Path) -> None:
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    assert "at most 8 MiB" in refused(tmp_path / "large.toml")
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(bytes(MOST_BYTES + 1)))
    assert "at most 8 MiB" in refused(tmp_path / "bomb.csv.gz")


def test_what_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "y.gz").write_bytes(b"not gzip")
    assert "UTF-8" in refused(tmp_path / "x.toml")
    assert "cannot be read" in refused(tmp_path / "y.gz")


def test_an_error_is_one_line_of_bounded_length_that_no_terminal_obeys() -> None:
    evil = "x\x1b]52;c;cm0=\x07\x9b2J\u202e\ud800\r\n" * 1000
    many = unknown("f", "zzz", map(str, range(99)))
    for error in (InputError(evil, evil, evil), unknown(evil, evil, [evil]), many):
        assert str(error).isprintable() and len(str(error)) <= LONGEST_LINE
        str(error).encode()
    assert "and 48 more" in str(many)


def test_printable_leaves_what_can_be_drawn() -> None:
    assert printable("Llama 3.1 · 70B, 10 µs, 模型") == "Llama 3.1 · 70B, 10 µs, 模型"
