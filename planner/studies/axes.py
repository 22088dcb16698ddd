"""What varies in a study: lists, ranges, and inputs that move together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from planner.errors import InputError, unknown
from planner.inputs import scenario_file
from planner.inputs.catalog import Catalog
from planner.inputs.field import Field
from planner.inputs.fields import lookup
from planner.inputs.typed import named
from planner.words import Quantity

MOST_VALUES = 10_000  # of one axis
NAMED = ("choice", "switch", "layout", "file", "fleet")  # kinds of inputs that have no numbers
Scale: TypeAlias = Literal["linear", "log"]
_RANGE = ("from", "to", "count", "by", "scale")
_EVERY = ("every", "except")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range without steps, which only a sample can be drawn from."""

    low: float
    high: float
    scale: Scale

    def at(self, share: float) -> float:
        """The value a share of the way along it.

        >>> round(Span(low=1.0, high=100.0, scale="log").at(0.5), 9)
        10.0
        """
        if self.scale == "log":
            return float(math.exp(math.log(self.low) + share * math.log(self.high / self.low)))
        return self.low + share * (self.high - self.low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One dimension of a study: inputs that move together, usually one."""

    fields: tuple[Field, ...]
    values: tuple[tuple[Any, ...], ...] = ()  # of each step, one for each field; () for a span
    span: Span | None = None

    @property
    def name(self) -> str:
        """`isl`, or `isl+osl` where two move together."""
        return "+".join(field.key for field in self.fields)

    def __len__(self) -> int:
        return len(self.values)

    def at(self, share: float) -> tuple[Any, ...]:
        """The values a share in [0, 1) of the way along the axis."""
        if self.span is None:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        value = self.span.at(share)
        return (self.fields[0].check(round(value) if self.fields[0].integer else value),)


def axis(key: str, given: object, where: str, catalog: Catalog, *, sampled: bool = False) -> Axis:
    """One input's axis as a study file has it.

    Parameters
    ----------
    given
        A list of values; ``{from, to, count}`` or ``{from, to, by}``, with ``scale = "log"`` for steps that
        grow; or ``{every = true, except = [...]}`` for presets. Of a sample, ``{from, to}`` will do.

    Raises InputError for a value, a range or a name that cannot be used.
    """
    field, where = lookup(key), f"{where}.{key}"
    if isinstance(given, list):
        return Axis(fields=(field,), values=_each(field, given, where, catalog))
    if not isinstance(given, Mapping):
        raise InputError(where, given, "a list of values, or a range such as {from, to, count}")
    if "every" in given or "except" in given:
        return Axis(fields=(field,), values=_every(field, given, where, catalog))
    _known(given, _RANGE, where)
    if field.kind in NAMED:
        raise InputError(
            where, "a range", "a list of values" + (", or {every = true}" if field.catalog else "")
        )
    low, high = (_end(field, given, name, where, catalog) for name in ("from", "to"))
    scale = given.get("scale", "linear")
    if scale not in ("linear", "log"):
        raise InputError(f"{where}.scale", scale, "linear or log")
    if low >= high or (scale == "log" and low <= 0):
        accepted = "a range that ascends" + (" from above zero" if scale == "log" else "")
        raise InputError(where, f"{field.format(low)} to {field.format(high)}", accepted)
    span = Span(low=low, high=high, scale="log" if scale == "log" else "linear")
    if "count" not in given and "by" not in given:
        if sampled:
            return Axis(fields=(field,), span=span)
        raise InputError(where, "a range", "count or by beside it, or a [sample] to draw from it")
    return Axis(fields=(field,), values=_steps(field, span, given, where))


def together(table: object, where: str, catalog: Catalog) -> Axis:
    """Inputs that move together: lists of one length. Raises InputError."""
    if not isinstance(table, Mapping) or not table:
        raise InputError(where, type(table).__name__, "a table of lists of one length")
    fields, columns = [], []
    for key, given in table.items():
        if not isinstance(given, list):
            raise InputError(f"{where}.{key}", given, "a list of values")
        fields.append(lookup(key))
        columns.append([one for (one,) in _each(fields[-1], given, f"{where}.{key}", catalog, once=False)])
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise InputError(where, " and ".join(map(str, lengths)), "lists of one length")
    return Axis(fields=tuple(fields), values=tuple(zip(*columns, strict=True)))


def _each(
    field: Field, given: Sequence[object], where: str, catalog: Catalog, *, once: bool = True
) -> tuple[tuple[Any, ...], ...]:
    if not given:
        raise InputError(where, given, "at least one value")
    if len(given) > MOST_VALUES:
        raise InputError(where, f"{len(given):,} values", f"at most {MOST_VALUES:,}")
    found = [(value(field, each, where, catalog),) for each in given]
    if once and len(set(found)) < len(found):
        twice = next(one for one in found if found.count(one) > 1)
        raise InputError(where, field.format(twice[0]), "each value once")
    return tuple(found)


def value(field: Field, given: object, where: str, catalog: Catalog) -> Any:
    """What a study file gives a field.

    Raises InputError for what it does not accept, and for a name that says more than one input: formats and
    numbers of GPUs are inputs of their own, which may be on an axis.
    """
    try:
        if not field.catalog or not isinstance(given, str):
            return scenario_file.plain(field, given)
        exact, more = named(field, given, catalog)
    except InputError as error:
        raise InputError(where, error.value, error.accepted) from None
    for key, implied in more.items():
        raise InputError(where, given, f"{exact}, and {key} {implied} as an input of its own")
    return exact


def _every(field: Field, given: Mapping[str, object], where: str, catalog: Catalog) -> tuple[tuple[str], ...]:
    _known(given, _EVERY, where)
    if not field.catalog:
        raise InputError(where, "every", f"a list of values: {field.key} is no preset")
    left_out = given.get("except", [])
    if given.get("every") is not True or not isinstance(left_out, list):
        raise InputError(where, given.get("every"), "every = true, and a list beside it as except")
    gone = {value(field, name, f"{where}.except", catalog) for name in left_out}
    found = tuple((name,) for name in catalog.names(field.catalog) if name not in gone)
    if not found:
        raise InputError(where, "every", "at least one that is not left out")
    return found


def _end(field: Field, given: Mapping[str, object], name: str, where: str, catalog: Catalog) -> float:
    if name not in given:
        raise InputError(where, "a range", f"{name} is missing")
    found = value(field, given[name], f"{where}.{name}", catalog)
    if found is None:
        raise InputError(f"{where}.{name}", given[name], "a number")
    return float(found)


def _steps(field: Field, span: Span, given: Mapping[str, object], where: str) -> tuple[tuple[Any, ...], ...]:
    count, by = given.get("count"), given.get("by")
    if by is not None:
        if count is not None or span.scale == "log":
            raise InputError(f"{where}.by", by, "either count or by, and by on a linear scale")
        step = by if isinstance(by, (int, float)) and not isinstance(by, bool) else None
        if isinstance(by, str):
            step = _typed(field, by, f"{where}.by")
        if step is None or not 0 < step < math.inf:
            raise InputError(f"{where}.by", by, "a step above zero")
        if (span.high - span.low) / step >= MOST_VALUES:
            raise InputError(f"{where}.by", by, f"at most {MOST_VALUES:,} steps")
        numbers = [span.low + i * step for i in range(int((span.high - span.low) / step + 1e-9) + 1)]
    else:
        if type(count) is not int or not 2 <= count <= MOST_VALUES:
            raise InputError(f"{where}.count", count, f"a whole number from 2 to {MOST_VALUES:,}")
        numbers = [span.at(i / (count - 1)) for i in range(count)]
    if field.integer:
        numbers = [float(round(number)) for number in numbers]
    rounded = (float(f"{number:.12g}") for number in numbers)
    return tuple((field.check(number),) for number in dict.fromkeys(rounded))


def _typed(field: Field, text: str, where: str) -> float:
    from planner import units

    assert field.kind not in NAMED
    try:
        return units.parse_quantity(text, cast(Quantity, field.kind))
    except ValueError as error:
        raise InputError(where, text, str(error)) from None


def _known(given: Mapping[str, object], keys: Sequence[str], where: str) -> None:
    for key in given:
        if key not in keys:
            raise unknown(where, key, keys)
