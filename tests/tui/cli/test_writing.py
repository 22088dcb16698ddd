"""Commands write whole files or none, through no planted link, and say in one line what failed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from planner.evidence.page import write as page
from planner.inputs import files
from tui.cli.main import main
from tui.cli.terminal import writing

DATA = Path(__file__).parents[2] / "planner" / "evidence" / "data"
CONFIG = """{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
"num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256}"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))
    monkeypatch.setattr(page, "write", lambda *_: "# a page\n")  # its contents have tests of their own
    (tmp_path / "config.json").write_text(CONFIG)
    return tmp_path


def commands(own: Path, out: Path) -> dict[str, tuple[list[str], Path]]:
    """A command that writes, and the first file that it writes."""
    return {
        "import-model": (
            ["import-model", str(own / "config.json"), "--name", "m"],
            own / "own" / "models" / "m.toml",
        ),
        "validate": (["validate", str(DATA / "runs.csv"), "--write", str(out / "page.md")], out / "page.md"),
        "calibrate": (
            ["calibrate", str(DATA / "kernels"), "--system", "h200", "--operator", "gemm", "--out", str(out)],
            out / "kernels" / "h200.toml",
        ),
        "paper": (["paper", "--figure", "1", "--out", str(out)], out / "paper" / "fig-1.csv"),
    }


WRITERS = ("import-model", "validate", "calibrate", "paper")


@pytest.mark.parametrize("command", WRITERS)
def test_a_full_disk_is_one_line_and_leaves_nothing_half(
    command: str, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, target = commands(own, own / "out")[command]
    target.parent.mkdir(parents=True)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "no space left on device" in said
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("command", WRITERS[:-1])  # that of `paper` is test_paper.py's
def test_a_folder_that_cannot_be_is_one_line(
    command: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "own").write_text("a file where a folder should be")
    (own / "out").write_text("the same")
    assert main(commands(own, own / "out")[command][0]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "internal" not in said
    assert (own / "own").read_text() == "a file where a folder should be"


@pytest.mark.parametrize("command", WRITERS)
def test_a_planted_link_is_not_written_through(command: str, own: Path) -> None:
    arguments, target = commands(own, own / "out")[command]
    target.parent.mkdir(parents=True)
    for name in (target.with_suffix(".tmp"), target.with_name(f".{target.name}.{os.getpid()}")):
        name.symlink_to(own / "made-through-a-link")
    assert main(arguments) < 2  # 1: these few rows support no fit, but the file to fit is there
    assert target.is_file() and not (own / "made-through-a-link").exists()


def test_a_reader_that_has_gone_is_no_fault_of_the_place(own: Path) -> None:
    with pytest.raises(BrokenPipeError), writing("out", own):
        raise BrokenPipeError(errno.EPIPE, "broken pipe")


@pytest.mark.parametrize(
    "place", ["/", ".", "..", "/dev/null/x", "x" * 300, "/proc/nothing", "pipe", "device", "folder"]
)
def test_places_that_take_no_file(
    place: str, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(own)
    os.mkfifo("pipe")
    Path("device").symlink_to("/dev/null")
    Path("folder").mkdir()
    assert main(["validate", str(DATA / "runs.csv"), "--write", place]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ratematch: write: ") and said.count("\n") == 1
    assert Path("pipe").is_fifo() and Path("device").is_symlink() and Path("folder").is_dir()


def test_a_log_that_is_a_pipe_or_a_link_is_not_waited_for_nor_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("pipe", "link"):
        with pytest.raises(OSError):
            files.append(tmp_path / name, "x")
    assert not (tmp_path / "elsewhere").exists()
    for _ in range(2):
        files.append(tmp_path / "errors.log", "\ud800x\n")
    assert (tmp_path / "errors.log").read_text() == "\\ud800x\n" * 2
