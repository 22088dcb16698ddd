"""The session: what it holds, what a damaged one does, and how files are written."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fakes
import pytest

from planner.inputs import files
from tui.files import storage

# The session


def test_a_session_remembers_its_name_and_the_recent() -> None:
    session = storage.Session(scenario=fakes.SCENARIO, theme="x", name="chat", recent=("b", "a"))
    storage.save(session)
    assert storage.load() == session


@pytest.mark.parametrize("recent", [None, 5, [1, "a", None], {"a": 1}])
def test_a_session_written_by_hand_does_no_harm(recent: Any) -> None:
    storage.save(storage.Session(scenario=fakes.SCENARIO))
    path = storage.session_path()
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "recent": recent, "name": 3}), encoding="utf-8")
    session = storage.load()
    assert session is not None and session.name == "" and set(session.recent) <= {"a"}


# Writing


def test_a_planted_link_is_never_written_through(tmp_path: Path) -> None:
    """Neither one under the name that is written, nor one that leads to nothing."""
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    folder = tmp_path / "shared"
    folder.mkdir()
    for name in ("plan.json", f".plan.json.{os.getpid()}"):
        (folder / name).symlink_to(tmp_path / "made-through-a-link")
    with pytest.raises(FileExistsError):
        files.write_file(folder / "plan.json", "{}")
    files.write_file(folder / "plan.json", "{}", replace=True)
    assert not (tmp_path / "made-through-a-link").exists()
    assert not (folder / "plan.json").is_symlink() and (folder / "plan.json").read_text() == "{}"
    assert victim.read_text() == "precious"


def test_what_is_written_is_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power cut would leave an empty file where a whole one was; then the move itself."""
    done: list[str] = []
    fsync, move = os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def moved(self: Path, target: Path) -> Path:
        done.append("move")
        return move(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", moved)
    files.write_file(tmp_path / "plan.json", "{}")
    assert done == ["file", "move", "folder"]


def test_a_link_of_ones_own_to_a_file_leads_there(tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.json"
    kept.write_text("old")
    link = tmp_path / "session.json"
    link.symlink_to(kept)
    files.write_atomically(link, "new")
    assert link.is_symlink() and kept.read_text() == "new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_the_mode_of_what_is_replaced_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    path.chmod(mode)
    files.write_file(path, "new", replace=True)
    assert (path.stat().st_mode & 0o777, path.read_text()) == (mode, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["plan.json"]


KILLED = """
import sys
from pathlib import Path
from planner.inputs import files
path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for text in ("a" * 200_000, "b" * 200_000):
        files.write_atomically(path, text)
"""


@pytest.mark.slow
def test_two_hundred_kills_in_saves_damage_nothing(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    path.write_text("a" * 200_000)
    moments = random.Random(11)
    for _ in range(200):
        with subprocess.Popen(
            [sys.executable, "-S", "-c", KILLED, str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdout is not None and process.stdout.readline()
            time.sleep(moments.uniform(0, 0.02))
            process.kill()
        assert path.read_text() in ("a" * 200_000, "b" * 200_000)


# A session of any content


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"schema": 1, "scenario": {"isl": 1' + b"0" * 400 + b"}}",
        b'{"schema": 1, "scenario": {"isl": 1' + b"0" * 5000 + b"}}",
        b'{"schema": 1, "scenario": {"ttl": Infinity, "gpus": NaN, "rate": -Infinity}}',
        b'{"schema": 1, "scenario": {"isl": {"a": []}, "model": 7, "mix": "on"}, "pins": {"A": 3}}',
        b"\xff\xfe",
        b"",
    ],
    ids=["brackets", "large", "endless", "not-finite", "kinds", "bytes", "empty"],
)
def test_no_session_keeps_it_from_starting(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "session.json"
    path.write_bytes(content)
    found = storage.load(path)
    assert found is not None and found.damage and found.damage.isprintable()
    assert found.scenario.traffic.isl > 0


def test_a_session_that_is_no_file_is_set_aside_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "session.json")
    found = storage.load(tmp_path / "session.json")
    assert found is not None and "regular file" in found.damage
    assert storage.set_aside(tmp_path / "session.json").name == "session.damaged.json"
