"""The floor plan stays one that a newcomer reads: few modules at the doors, none of them long."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 430  # lines of a file
MOST = 8  # modules that lie directly in a half, beside its rooms


@pytest.mark.parametrize("half", ["planner", "tui"])
def test_few_modules_lie_beside_the_rooms(half: str) -> None:
    found = {path.stem for path in (ROOT / half).glob("*.py")} - {"__init__"}
    assert 0 < len(found) <= MOST, sorted(found)


@pytest.mark.parametrize("folder", ["planner", "tui", "tests", "screenshots"])
def test_no_file_is_long(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    lines = {path.relative_to(ROOT): path.read_bytes().count(b"\n") for path in files}
    assert files and {str(path): count for path, count in lines.items() if count > LONGEST} == {}
