"""Puts the helpers beside the tests (`fakes`) on the path, and keeps the user's folders out of it."""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fakes
from driving import SIZE, Driver
from terminals import Terminal
from textual.css.stylesheet import Stylesheet


def pytest_collection_finish() -> None:
    """Applications leave many cycles behind; to look for them less often takes a quarter off these tests."""
    gc.collect()
    gc.freeze()  # what is loaded by now stays
    gc.set_threshold(10_000, 10, 10)


@pytest.fixture(autouse=True, scope="session")
def styles_parsed_once() -> Iterator[None]:
    """Every application has the same style sheets; to parse them is a tenth of its start."""
    found: dict[Any, Any] = {}
    parse = Stylesheet._parse_rules

    def parse_once(self: Stylesheet, css: str, *rest: Any, **named: Any) -> Any:
        key = (css, rest, tuple(named.items()), frozenset(self._variables.items()))
        if key not in found:
            found[key] = parse(self, css, *rest, **named)
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_once)
        yield


@pytest.fixture(autouse=True)
def quiet_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same surroundings on every machine."""
    for name in ("NO_COLOR", "SSH_CONNECTION", "TEXTUAL_THEME", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    for name in ("STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """The application on a pseudo-terminal, with a small question on the command line."""
    arguments = ["--model", "llama-3.1-8b", "--system", "h100", "--gpus", "8", "--isl", "2k", "--osl", "256"]
    shown = Terminal(arguments, tmp_path)
    yield shown
    shown.close()


@pytest.fixture
async def driver() -> AsyncIterator[Driver]:
    """The application with the planner that answers at once."""
    async with fakes.app().run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        yield driver
