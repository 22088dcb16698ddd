"""What the documents name exists: functions, files and links."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    *("README.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("docs/architecture.md", "docs/method.md", "docs/reliability.md", "docs/traffic.md", "docs/studies.md"),
    *(
        "docs/replay.md",
        "docs/compare.md",
        "docs/elastic.md",
        "docs/results.md",
        "docs/power.md",
    ),
)
NAME = re.compile(r"`((?:planner|tui)(?:\.\w+)+)(?:\([^`]*\))?`")
FILE = re.compile(
    r"`((?:planner|tui|presets|tests|docs|screenshots|\.ci|\.github)/[\w./-]*|[\w-]+\.(?:toml|md|txt))`"
)
TEST = re.compile(r"`(tests/[\w/.-]+\.py)::(\w+)`")
LINK = re.compile(r"\]\(([^)#:]+)(#[^)]*)?\)")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def found(name: str) -> object:
    """What a dotted name leads to. Raises ImportError and AttributeError."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            value = getattr(value, part)
        return value
    raise ImportError(name)


@pytest.mark.parametrize("page", PAGES)
def test_every_name_in_the_code_that_a_page_gives_is_there(page: str) -> None:
    lost = []
    for name in sorted(set(NAME.findall(text(page)))):
        try:
            found(name)
        except (ImportError, AttributeError):
            lost.append(name)
    assert not lost


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_link_of_a_page_is_there(page: str) -> None:
    body = text(page)
    lost = [path for path in FILE.findall(body) if "NAME" not in path and not (ROOT / path).exists()]
    lost += [path for path, _ in LINK.findall(body) if not ((ROOT / page).parent / path).exists()]
    assert not lost


def test_every_test_that_holds_a_promise_is_there() -> None:
    named = TEST.findall(text("docs/reliability.md"))
    assert len(named) > 40
    lost = [f"{path}::{name}" for path, name in named if not re.search(rf"def {name}\(", text(path))]
    assert not lost
    rows = re.findall(r"(?m)^\| (\d+)\. .*\| (.*) \|$", text("docs/reliability.md"))
    assert [int(number) for number, _ in rows] == list(range(1, 18))
    screen = re.findall(r"(?m)^\| S(\d+)\. .*\| `.*` \|$", text("docs/reliability.md"))
    assert [int(number) for number in screen] == list(range(1, 16))
    assert all(held.startswith(("`", "open")) for _, held in rows)
