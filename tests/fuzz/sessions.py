"""Session files: whatever lies there, the application starts, and what it shows is inert."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planner import load
from planner.inputs.fields import FIELDS
from planner.inputs.scenario import Scenario
from tests.fuzz import harness, hostile
from tui.cli import app
from tui.files import storage

VALUES = {field.key: field.get(Scenario()) for field in FIELDS}
SESSION: dict[str, Any] = {
    "schema": 1,
    "scenario": VALUES,
    "theme": "dark",
    "name": "chat",
    "recent": ["chat", "agents"],
    "pins": {"a": VALUES, "b": VALUES},
    "baseline": "a",
}


def run(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` session files."""
    catalog = load()

    def make(chance: random.Random, folder: Path) -> Iterator[str]:
        path = storage.session_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(hostile.as_bytes(chance, hostile.spoil_json(chance, SESSION)))
        return _faults(path, path.read_bytes(), catalog)

    return harness.each("sessions", seed, count, make)


def _faults(path: Path, content: bytes, catalog: Any) -> Iterator[str]:
    try:
        session = app._last_session(catalog)
        for text in (
            session.name,
            session.theme,
            session.damage,
            session.baseline,
            *session.recent,
            *session.pins,
        ):
            if not text.isprintable():
                yield f"a character that a terminal would obey: {text!r}: {content!r}"
        if session.damage and path.with_name("session.damaged.json").read_bytes() != content:
            yield f"a damaged session is not kept: {content!r}"
        storage.save(session)
        again = storage.load()
        if again is None or again.damage or again.scenario != session.scenario or again.pins != session.pins:
            yield f"what was saved is not what is read: {content!r}"
    except Exception as error:
        yield f"{type(error).__name__}: {error}: {content!r}"
