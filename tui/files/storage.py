"""What is kept on disk: the last session in the user's state folder, and files the user asks for."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.inputs import files
from planner.inputs.fields import BY_KEY, FIELDS
from planner.inputs.scenario import Scenario

SCHEMA = 1
RECENT = 8  # scenarios remembered as opened or saved last


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the application is opened with, and what a later start may take up again."""

    scenario: Scenario
    base: Scenario | None = None  # what backspace goes back to, `scenario` if None; `name` leads to it again
    theme: str = ""  # of the screen; our dark one if empty or unknown
    name: str = ""  # of the scenario it began with, where it had one
    recent: tuple[str, ...] = ()  # names of scenarios, the last first
    pins: Mapping[str, Scenario] = dataclasses.field(default_factory=dict)  # by letter
    baseline: str = ""  # letter of the pin that others are compared with
    damage: str = ""  # what of the last session could not be used, in one line; never written


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
    data = {
        "schema": SCHEMA,
        "scenario": _values(session.scenario),
        "theme": session.theme,
        "name": session.name,
        "recent": list(session.recent),
        "pins": {letter: _values(scenario) for letter, scenario in session.pins.items()},
        "baseline": session.baseline,
    }
    write_atomically(path or session_path(), json.dumps(data, indent=1) + "\n")


def load(path: Path | None = None) -> Session | None:
    """The last session; None if there is none.

    A file that cannot be used never keeps the program from starting: what does not pass a field's
    check is left at its default, and `damage` says so. Keys that are not known are another version's.
    """
    path = path or session_path()
    try:
        path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Session(scenario=Scenario(), damage=why(error))
    try:
        data = json.loads(files.read_text(path, what="session"))
    except InputError as error:
        return Session(scenario=Scenario(), damage=error.accepted)
    except (ValueError, RecursionError):
        return Session(scenario=Scenario(), damage="it is not JSON")
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        return Session(scenario=Scenario(), damage="it is not of this version")
    problems: list[str] = []
    pins = _table(data, "pins", problems)
    recent = data.get("recent")
    session = Session(
        scenario=_scenario(_table(data, "scenario", problems), problems),
        theme=_text(data.get("theme")),
        name=_text(data.get("name")),
        recent=tuple(_text(name) for name in recent if _text(name)) if isinstance(recent, list) else (),
        pins={letter: _scenario(_table(pins, letter, problems), problems) for letter in pins},
        baseline=_text(data.get("baseline")),
    )
    return dataclasses.replace(session, damage=problems[0] if problems else "")


def set_aside(path: Path | None = None) -> Path:
    """Keep a damaged session under another name, before a new one takes its place. Raises OSError."""
    path = path or session_path()
    aside = path.with_name("session.damaged.json")
    path.replace(aside)
    return aside


def _values(scenario: Scenario) -> dict[str, Any]:
    return {field.key: field.get(scenario) for field in FIELDS}


def _table(data: Mapping[str, Any], key: str, problems: list[str]) -> dict[str, Any]:
    found = data.get(key, {})
    if isinstance(found, dict):
        return found
    problems.append(f"{key}: there should be a table of values")
    return {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _scenario(values: Mapping[str, Any], problems: list[str]) -> Scenario:
    scenario = Scenario()
    for key, value in values.items():
        field = BY_KEY.get(key)
        if field is None:
            continue
        try:
            scenario = field.set(scenario, field.check(value))
        except InputError as error:
            problems.append(str(error))
        except TypeError:
            problems.append(str(InputError(key, value, field.accepted)))
    return scenario


def write_file(path: Path, text: str, *, replace: bool = False) -> None:
    """Write a file the user asked for, whole or not at all.

    Raises FileExistsError where one lies already and `replace` is not said, OSError for the rest.
    """
    if not replace and os.path.lexists(path):
        raise FileExistsError(17, "exists already", str(path))
    write_atomically(path, text)


def write_atomically(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that a reader sees old or new. Raises OSError.

    The new file is opened exclusively under a name that no one can guess, has the mode of the one it
    replaces, and is on the disk before it takes the place. A link of the user's own to a file leads there,
    as settings kept elsewhere do; any other link is itself replaced, never followed.
    """
    path = _place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name[:64]}.{secrets.token_hex(8)}")
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            with contextlib.suppress(FileNotFoundError):
                beside.chmod(stat.S_IMODE(path.lstat().st_mode))
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(path.parent)


def _place(path: Path) -> Path:
    """Where a file of this name is to be written: see `write_atomically`."""
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) and _own(found) and stat.S_ISREG(path.stat().st_mode):
            return path.resolve()
    except (OSError, RuntimeError):
        pass  # nothing there, a link to nothing or in a circle
    return path


def _own(found: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or found.st_uid == os.geteuid()


def _sync_folder(folder: Path) -> None:
    """The move itself on the disk, where the system can promise that."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def why(error: OSError) -> str:
    """A failed write in a few words.

    >>> why(OSError(28, "No space left on device"))
    'no space left on device'
    """
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
