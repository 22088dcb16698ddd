"""Puts the helpers beside the tests (`fakes`) on the path, and keeps the user's folders out of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def quiet_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same surroundings on every machine."""
    for name in ("NO_COLOR", "SSH_CONNECTION", "TEXTUAL_THEME", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    for name in ("STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))
