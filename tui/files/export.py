"""What `e` writes: the plan as a report or as data, its chart as a picture, and the screen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError

if TYPE_CHECKING:
    from planner.planning.result import Plan

SCREEN = "screen.svg"
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}")  # of a file's name
FORMATS = {  # ending to what it holds
    "html": "a report for a colleague, one file",
    "md": "the same for a document",
    "svg": "the chart as a picture",
    "png": "the same in pixels",
    "json": "everything, SI units",
    "csv": "both frontiers",
    SCREEN: "this screen",
}


def default_name(plan: Plan, name: str = "") -> str:
    """A file's name without its ending: that of the scenario, or model, GPUs and system.

    >>> import types
    >>> from planner.inputs.scenario import Scenario
    >>> default_name(types.SimpleNamespace(scenario=Scenario()), "chat")
    'ratematch-chat'
    """
    scenario = plan.scenario
    gpus = f"-{scenario.fleet.gpus}" if scenario.fleet.gpus else ""
    return f"ratematch-{name or f'{scenario.model}-{scenario.system}{gpus}'}"


def target(text: str, ending: str, suggested: str) -> Path:
    """The file that was asked for: a folder gets the suggested name, a bare name the ending.

    >>> target("out.txt", "csv", "plan"), target("plan", "csv", "x"), target("v3.2", "csv", "x")
    (PosixPath('out.txt'), PosixPath('plan.csv'), PosixPath('v3.2.csv'))

    Raises InputError where there can be no such file.
    """
    text = text.strip()
    if not text or "\0" in text:
        raise InputError("file", text, "a path, such as plan.json")
    try:
        path = Path(text).expanduser()
        if text.endswith(("/", "\\")) or path.is_dir():
            path = path / f"{suggested}.{ending}"
    except (OSError, RuntimeError) as error:  # no such user; a name too long to ask for
        raise InputError("file", text, f"a path that can be written ({error})") from None
    return _ended(path, ending)


def _ended(path: Path, ending: str) -> Path:
    """With an ending: what follows the last dot of "deepseek-v3.2" is none."""
    return path if _ENDING.fullmatch(path.suffix) else path.with_name(f"{path.name}.{ending}")


def folder(text: str) -> Path:
    """A folder that was asked for.

    Raises InputError where there can be no such one.
    """
    text = text.strip()
    if not text or "\0" in text:
        raise InputError("folder", text, "a path, such as deployment")
    try:
        return Path(text).expanduser().absolute()
    except (OSError, RuntimeError) as error:
        raise InputError("folder", text, f"a path that can be written ({error})") from None


def file_name(text: str, ending: str) -> Path:
    """The name of a download: nothing of this machine's folders is in it, and none is looked at.

    >>> file_name("plan", "csv"), file_name("plan.txt", "csv"), file_name("v3.2", "csv")
    (PosixPath('plan.csv'), PosixPath('plan.txt'), PosixPath('v3.2.csv'))

    Raises InputError for a path.
    """
    text = text.strip()
    if text.strip(".~") == "" or not text.isprintable() or any(char in text for char in "/\\:"):
        raise InputError("file", text, "a file's name, such as plan.json")
    return _ended(Path(text), ending)
