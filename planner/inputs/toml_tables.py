"""TOML tables to frozen dataclasses and back. Every mistake is one line: file, key, what is accepted."""

from __future__ import annotations

import dataclasses
import math
import typing
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import tomli

from planner.errors import InputError, unknown
from planner.inputs import files

T = TypeVar("T")

ALIASES = "aliases"  # other names of a preset

_PLAIN = {
    int: "a whole number, 0 or more",
    float: "a number, 0 or more",
    str: "a text in quotes",
    bool: "true or false",
}


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises InputError naming `where` and the place of the mistake.

    Control characters are refused: texts are printed, and a terminal would obey them.
    """
    try:
        table: dict[str, Any] = tomli.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also for an integer of 5,000 digits
        found = "tables nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(where, _shorten(text), f"not valid TOML: {found}") from None
    if "\\" in text or not text.replace("\n", "").isprintable():
        for found in _texts(table):
            if any(map(_controls, found)):
                raise InputError(where, _shorten(found), "texts without control characters")
    return table


def _controls(character: str) -> bool:
    """Whether a terminal might obey it, or show others in its place: all but letters, marks and spaces."""
    return not character.isprintable() and character not in "\t\n" and unicodedata.category(character) != "Zs"


def _texts(value: object) -> Iterator[str]:
    """Every key and every text in a parsed file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises InputError if it cannot be read or is not TOML."""
    return parse_toml(files.read_text(path), path.name)


def check_words(table: Mapping[str, Any], key: str, where: str) -> None:
    """Check a key of the catalog's own, a text, or a list of them under `aliases`. Raises InputError."""
    value = table.get(key, [] if key == ALIASES else "")
    texts = value if isinstance(value, list) and key == ALIASES else [value]
    if not all(isinstance(text, str) for text in texts) or (key == ALIASES and isinstance(value, str)):
        accepted = "a list of texts in quotes" if key == ALIASES else _PLAIN[str]
        raise InputError(f"{where}: {key}", _shorten(value), accepted)


def decode(kind: type[T], table: object, where: str) -> T:
    """A dataclass from a table whose keys are its field names.

    Parameters
    ----------
    kind
        A dataclass of int, float, str, bool, literals, tuples and mappings of these, and other dataclasses.
    table
        The parsed TOML table.
    where
        Names the file (and the table in it) in errors.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one), a missing key, a wrong type, or a number
        that is negative or not finite.
    """
    if not isinstance(table, Mapping):
        raise InputError(where, _shorten(table), "a table of keys and values")
    fields = {f.name: f for f in dataclasses.fields(cast(Any, kind))}
    for key in table:
        if key not in fields:
            raise unknown(where, key, fields)
    values: dict[str, Any] = {}
    for name, hint in _hints(cast(Any, kind)).items():
        if name in table:
            values[name] = _value(hint, table[name], f"{where}: {name}")
        elif _required(fields[name]):
            raise InputError(f"{where}: {name}", None, f"the key is missing; add {_accepted(hint)}")
    return kind(**values)


def encode(value: Any) -> dict[str, Any]:
    """A dataclass as a table: fields in order, without those that hold their default."""
    table = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if _required(field) or item != field.default:
            table[field.name] = _plain(item)
    return table


def _plain(item: Any) -> Any:
    if dataclasses.is_dataclass(item):
        return encode(item)
    if isinstance(item, tuple):
        return [_plain(i) for i in item]
    if isinstance(item, Mapping):
        return {k: _plain(v) for k, v in item.items()}
    return item


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(cast(Any, kind))}


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _accepted(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is tuple:
        return "a list of tables" if dataclasses.is_dataclass(typing.get_args(hint)[0]) else "a list"
    if origin is Literal:
        return f"one of {', '.join(typing.get_args(hint))}"
    if origin is not None or dataclasses.is_dataclass(hint):
        return "a table of keys and values"
    return _PLAIN[hint]


def _value(hint: Any, given: object, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return decode(cast(Any, hint), given, where)
    if origin is tuple:
        if not isinstance(given, list):
            raise InputError(where, _shorten(given), _accepted(hint))
        return tuple(_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(given))
    if origin is Literal:
        if given not in arguments:
            raise InputError(where, _shorten(given), _accepted(hint))
        return given
    if origin is Mapping:
        if not isinstance(given, Mapping):
            raise InputError(where, _shorten(given), _accepted(hint))
        return {str(k): _value(arguments[1], v, f"{where}.{k}") for k, v in given.items()}
    if hint is float and isinstance(given, int) and not isinstance(given, bool):
        given = float(given) if abs(given) < 2**1000 else math.inf
    if type(given) is not hint:
        raise InputError(where, _shorten(given), _accepted(hint))
    if isinstance(given, (int, float)) and not 0 <= given < math.inf:
        raise InputError(where, given, _accepted(hint))
    return given


def _shorten(given: object) -> object:
    if isinstance(given, str) and len(given) > 40:
        return given[:37].split("\n")[0] + "..."
    return type(given).__name__ if isinstance(given, (list, Mapping)) else given
