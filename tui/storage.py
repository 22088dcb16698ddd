"""What is kept on disk: the last session in the user's state folder, and files the user asks for."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.fields import BY_KEY, FIELDS
from planner.scenario import Scenario

SCHEMA = 1
RECENT = 8  # scenarios remembered as opened or saved last


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a later start may take up again."""

    scenario: Scenario
    theme: str = ""
    name: str = ""  # of the scenario it began with, where it had one
    recent: tuple[str, ...] = ()  # names of scenarios, the last first


def state_folder() -> Path:
    """Where ratematch keeps what it may lose: `$XDG_STATE_HOME/ratematch` on Linux."""
    import platformdirs

    return platformdirs.user_state_path("ratematch", appauthor=False)


def session_path() -> Path:
    """Where the session lies."""
    return state_folder() / "session.json"


def recently(name: str, recent: tuple[str, ...]) -> tuple[str, ...]:
    """The list with a name at its head.

    >>> recently("b", ("a", "b", "c"))
    ('b', 'a', 'c')
    """
    return (name, *(other for other in recent if other != name))[:RECENT]


def save(session: Session, path: Path | None = None) -> None:
    """Write the session, whole or not at all. Raises OSError."""
    path = path or session_path()
    values = {field.key: field.get(session.scenario) for field in FIELDS}
    data = {
        "schema": SCHEMA,
        "scenario": values,
        "theme": session.theme,
        "name": session.name,
        "recent": list(session.recent),
    }
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
    recent = data.get("recent")
    return Session(
        scenario=scenario,
        theme=_text(data.get("theme")),
        name=_text(data.get("name")),
        recent=tuple(_text(name) for name in recent if _text(name)) if isinstance(recent, list) else (),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _with_value(scenario: Scenario, key: str, value: Any) -> Scenario:
    field = BY_KEY.get(key)
    if field is None:
        return scenario
    with contextlib.suppress(InputError, TypeError):
        return field.set(scenario, field.check(value))
    return scenario


def write_file(path: Path, text: str, *, replace: bool = False) -> None:
    """Write a file the user asked for, whole or not at all.

    Raises FileExistsError where one lies already and `replace` is not said, OSError for the rest.
    """
    if not replace and path.exists():
        raise FileExistsError(17, "exists already", str(path))
    write_atomically(path, text)


def write_atomically(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that a reader sees old or new. Raises OSError."""
    path = path.resolve()  # the file a link leads to, not the link
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def why(error: OSError) -> str:
    """A failed write in a few words.

    >>> why(OSError(28, "No space left on device"))
    'no space left on device'
    """
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
