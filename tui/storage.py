"""The last session, kept in the user's state folder: what was planned, and which theme."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.fields import BY_KEY, FIELDS
from planner.scenario import Scenario

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a later start may take up again."""

    scenario: Scenario
    theme: str = ""


def session_path() -> Path:
    """Where the session lies: `$XDG_STATE_HOME/ratematch/session.json` on Linux."""
    import platformdirs

    return Path(platformdirs.user_state_dir("ratematch", appauthor=False)) / "session.json"


def save(session: Session, path: Path | None = None) -> None:
    """Write the session, whole or not at all. Raises OSError."""
    path = path or session_path()
    values = {field.key: field.get(session.scenario) for field in FIELDS}
    data = {"schema": SCHEMA, "scenario": values, "theme": session.theme}
    write_atomically(path, json.dumps(data, indent=1) + "\n")


def load(path: Path | None = None) -> Session | None:
    """The last session; None if there is none, or none that can be read.

    Values that no longer pass a field's check are left at their default, unknown ones are ignored:
    an old file never keeps the program from starting.
    """
    path = path or session_path()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if (
        not isinstance(data, dict)
        or data.get("schema") != SCHEMA
        or not isinstance(data.get("scenario"), dict)
    ):
        return None
    scenario = Scenario()
    for key, value in data["scenario"].items():
        scenario = _with_value(scenario, key, value)
    theme = data.get("theme")
    return Session(scenario=scenario, theme=theme if isinstance(theme, str) else "")


def _with_value(scenario: Scenario, key: str, value: Any) -> Scenario:
    field = BY_KEY.get(key)
    if field is None:
        return scenario
    with contextlib.suppress(InputError, TypeError):
        return field.set(scenario, field.check(value))
    return scenario


def write_atomically(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that a reader sees old or new. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
