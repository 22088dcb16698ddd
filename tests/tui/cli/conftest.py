"""The user's folders and terminal, as commands find them."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folders of this test alone."""
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))
    monkeypatch.delenv("TEXTUAL_DRIVER", raising=False)
    return tmp_path
