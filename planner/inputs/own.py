"""A user's own presets: `base` and what differs from it, or a file that is named instead of a preset."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.words import PresetKind

BASE = "base"  # the preset that a file builds on
DEEPEST = 8  # files that build on each other
# what is of a preset itself, and not of one that builds on it
_NOT_INHERITED = ("aliases", "label", "published_params", BASE)

Read = Callable[[Path], Mapping[str, Any]]
Find = Callable[[str], Path]


def whole(
    path: Path, read: Read, find: Find, kind: PresetKind, above: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """The table of a preset, with what it takes from its base.

    Tables in it are merged key by key; lists and values replace those of the base.

    Parameters
    ----------
    path
        The preset's file.
    read
        The table in a file.
    find
        The file of a preset's name.
    kind
        An engine without kernels of its own runs on those of its base.

    Raises InputError for a base that is not known or leads back to the file itself.
    """
    table = dict(read(path))
    name = table.pop(BASE, None)
    if name is None:
        return table
    if not isinstance(name, str):
        raise InputError(f"{path.name}: {BASE}", type(name).__name__, f"the name of a preset {kind}")
    try:
        below = find(name)
    except InputError as error:
        below = path.parent / name  # from where the command runs, else beside the file
        if not (name.endswith(".toml") and os.path.isfile(below)):  # noqa: PTH113
            raise InputError(f"{path.name}: {BASE}", name, error.accepted) from None
    chain = (*above, path)
    if below in chain or len(chain) > DEEPEST:
        raise InputError(f"{path.name}: {BASE}", name, "another preset, that does not lead back to this one")
    under = whole(below, read, find, kind, chain)
    if kind in ("engine", "system"):
        under.setdefault("kernels", below.stem)
    label = under.get("label")
    kept = {key: value for key, value in under.items() if key not in _NOT_INHERITED}
    return {"label": f"{label}, changed" if label else path.stem, **_merged(kept, table)}


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(under)
    for key, value in over.items():
        below = found.get(key)
        found[key] = (
            _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
        )
    return found
