"""Words that stand for a scenario beside another: FIELD=VALUE, an engine, system or model, a scenario."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError, unknown
from planner.inputs import naming, toml_tables
from planner.inputs.fields import FIELDS, Field, lookup
from planner.words import PresetKind

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog

NAMED: tuple[PresetKind, ...] = ("engine", "system", "model")  # that a bare word may name, in this order
# tables that tell what a TOML file is of; an engine's has neither
_TABLES: Mapping[str, str] = {"schema": "scenario", "gpu": "system", "fabric": "system", "layers": "model"}


def known_field(name: str) -> Field | None:
    """The input that a name or an alias means.

    >>> known_field("--ttft").key, known_field("TTL").key, known_field("chat")
    ('ftl', 'ttl', None)
    """
    try:
        return lookup(name.strip().lstrip("-"))
    except InputError:
        return None


def split_words(given: Iterable[str]) -> list[str]:
    """Words between blanks and commas; a value after a comma is of the field before it.

    >>> split_words(["ttl=20ms,30ms", "vllm,sglang"])
    ['ttl=20ms', 'ttl=30ms', 'vllm', 'sglang']
    """
    found = []
    for group in given:
        field, sign = "", ""
        for word in group.split(","):
            if "=" in word:
                field, sign, _ = word.partition("=")
                found.append(word)
            elif word:
                found.append(f"{field}{sign}{word}")
    return found


def meaning(word: str, catalog: Catalog) -> tuple[str, str]:
    """The key of the input that a word sets and the text of its value; ("scenario", word) for a whole one.

    Raises InputError for a word that is none of them.
    """
    name, sign, value = word.partition("=")
    if sign:
        if (field := known_field(name)) is None:
            raise unknown("compare", name, (known for one in FIELDS for known in (one.key, *one.aliases)))
        return field.key, value
    is_path = word.endswith((".toml", ".json")) or os.sep in word
    if is_path and (of_file := _kind_of_file(word, catalog)) is not None:
        return of_file, word
    for kind in NAMED:
        if _is(catalog.canonical, kind, naming.counted(word)[1] if kind == "system" else word):
            return kind, word
    if not _is(catalog.scenario_path, word):
        kinds: tuple[PresetKind, ...] = (*NAMED, "scenario")
        names = {name for kind in kinds for name in catalog.names(kind)}
        raise unknown("compare", word, names)
    return "scenario", word


def _kind_of_file(path: str, catalog: Catalog) -> str | None:
    """What a file of one's own is; None where there is none."""
    if path.endswith(".json") or not os.path.isfile(path):  # noqa: PTH113 (never raises)
        return "model" if naming.is_file("model", path) else None
    table = toml_tables.read_toml(Path(path))
    for key, kind in _TABLES.items():
        if key in table:
            return kind
    base = table.get("base")
    kinds: tuple[PresetKind, ...] = (*NAMED, "scenario")
    known = (kind for kind in kinds if isinstance(base, str) and _is(catalog.canonical, kind, base))
    return next(known, "engine")


def _is(look_up: Callable[..., object], *words: str) -> bool:
    try:
        look_up(*words)
    except InputError:
        return False
    return True
