"""What is kept on disk: the last session, in the user's state folder."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.errors import LONGEST_LINE, InputError, printable
from planner.inputs import files
from planner.inputs.fields import BY_KEY, FIELDS
from planner.inputs.scenario import Scenario
from planner.values import dataclass

SCHEMA = 1
SESSION = "RATEMATCH_SESSION"  # names the file of one session, for an application behind a server
LONGEST_TEXT = 4096  # characters of a name: it may be a path
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
    unfolded: tuple[str, ...] = ()  # panes that show what is rarely needed too
    first: bool = False  # whether there was none before it; never written
    damage: str = ""  # what of the last session could not be used, in one line; never written


def state_folder() -> Path:
    """Where ratematch keeps what it may lose: `$XDG_STATE_HOME/ratematch` on Linux."""
    import platformdirs

    return platformdirs.user_state_path("ratematch", appauthor=False)


def session_path() -> Path:
    """Where the session lies: in the state folder, unless a server keeps one for each browser."""
    path = os.environ.get(SESSION)
    return Path(path) if path else state_folder() / "session.json"


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
        "unfolded": list(session.unfolded),
    }
    files.write_atomically(path or session_path(), json.dumps(data, indent=1) + "\n")


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
        return Session(scenario=Scenario(), damage=files.why(error))
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
    session = Session(
        scenario=_scenario(_table(data, "scenario", problems), problems),
        theme=_text(data.get("theme")),
        name=_text(data.get("name")),
        recent=_texts(data.get("recent")),
        pins={_text(letter): _scenario(_table(pins, letter, problems), problems) for letter in pins},
        baseline=_text(data.get("baseline")),
        unfolded=_texts(data.get("unfolded")),
    )
    return dataclasses.replace(session, damage=printable(problems[0], LONGEST_LINE) if problems else "")


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
    """A text as it may be shown, of bounded length."""
    return printable(value, LONGEST_TEXT) if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for one in value if (text := _text(one))) if isinstance(value, list) else ()


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
