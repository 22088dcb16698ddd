"""What an input is: its range, its spellings, the values that arrow keys visit."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from planner import units
from planner.errors import InputError, unknown
from planner.inputs import fleet, layout_label, naming
from planner.inputs.scenario import Scenario
from planner.values import dataclass
from planner.words import FieldKind, PresetKind

LONGEST_PATH = 4096
Names: TypeAlias = Callable[[], Sequence[str]]  # the catalog's names, looked up when asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input.

    key       flag, TOML key and JSON key ("isl", "ftl")
    path      where the value lives in a Scenario ("traffic.isl")
    kind      what the value is a quantity of, or that it is chosen or switched
    steps     the values that arrow keys visit and changes try, ascending, SI units; none: all choices
    spellings other names of choices, with underscores
    catalog   "model", "system" or "engine" when the choices are preset names
    needs     key of a field without whose value (0, or None) it is of little use: forms leave it out then
    effective whether it has an effect in a scenario, where `needs` does not say it
    idle      when it has none, in that case: the end of a sentence
    none      the word that stands for None, where None is allowed
    words     words that a number may be instead, which stay as they are
    with_unit a bare number is refused when typed: people read some in ms and some in s
    speed     seconds per token, which may be typed as tokens/s too
    """

    key: str
    path: str
    label: str
    unit: str
    kind: FieldKind
    help: str
    group: str
    low: float = 0.0
    high: float = math.inf
    integer: bool = False
    steps: tuple[Any, ...] = ()
    first: float | None = None  # of the steps from "any", for what is no limit
    choices: tuple[str, ...] = ()
    catalog: PresetKind | Literal[""] = ""
    none: str = ""
    words: tuple[str, ...] = ()
    with_unit: bool = False
    speed: bool = False
    needs: str = ""
    effective: Callable[[Scenario], bool] | None = None
    idle: str = ""
    aliases: tuple[str, ...] = ()
    spellings: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def accepted(self) -> str:
        """What may be typed, as the end of an error message."""
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}" if self.choices else f"a {self.catalog} preset"
        if self.kind == "switch":
            return "on or off"
        if self.kind == "file":
            return f"the path of a file, or {self.none}"
        if self.kind == "layout":
            return f"{layout_label.ACCEPTED}, or {self.none}"
        if self.kind == "fleet":
            return f"{fleet.ACCEPTED}, or {self.none}"
        low, high = self.format(self.low), self.format(self.high) if self.high < math.inf else ""
        span = f"from {low} to {high}" if high else f"of at least {low}"
        example = {
            "tokens": ", such as 16k or 4096",
            "seconds": ", such as 20ms or 50tok/s" if self.speed else ", such as 20ms or 1.5s",
            "share": ", such as 10%",
        }
        tail = "".join(f", or {word}" for word in (self.none, *self.words) if word)
        whole = "a whole number" if self.integer else "a value"
        return f"{whole} {span}{example.get(self.kind, '')}{tail}"

    def parse(self, text: str, names: Sequence[str] = ()) -> Any:
        """The value behind what was typed.

        Parameters
        ----------
        text
            As typed; units as in `planner.units`.
        names
            Known preset names, for a field with a catalog.

        Raises
        ------
        InputError
            Naming the field, the text and what is accepted.
        """
        text = text.strip()
        if self.none and text.lower() == self.none:
            return None
        if text.lower() in self.words:
            return text.lower()
        if self.kind == "choice":
            known = names or self.choices
            plain = text.lower().replace("-", "_").replace(" ", "_")
            if self.catalog and (found := naming.find(self.catalog, text, {name: name for name in known})):
                return found
            if self.catalog and naming.is_file(self.catalog, text) and os.path.isfile(text):  # noqa: PTH113
                return text  # a file of one's own: the catalog reads it
            for name in known:
                if name.lower() == text.lower() or name == self.spellings.get(plain, plain):
                    return name
            if self.catalog:
                raise unknown(self.key, text, known)
            raise InputError(self.key, text, self.accepted)
        if self.kind == "switch":
            if text.lower() in ("on", "true", "yes", "1"):
                return True
            if text.lower() in ("off", "false", "no", "0"):
                return False
            raise InputError(self.key, text, self.accepted)
        if self.kind == "file":
            return self.check(text)
        if self.kind == "layout":
            return layout_label.label(**layout_label.parse(text, self.key)._asdict())
        if self.kind == "fleet":
            return fleet.written(fleet.parse(text))
        if self.with_unit and units.bare(text):
            raise InputError(self.key, text, f"a number with its unit: {text[:20]}ms or {text[:20]}s?")
        if self.speed and (token_s := units.parse_speed(text)) is not None:
            return self.check(token_s, text)
        try:
            value = units.parse_quantity(text, self.kind)
        except ValueError:
            raise InputError(self.key, text, self.accepted) from None
        return self.check(value, text)

    def check(self, value: Any, shown: object = None) -> Any:
        """The value if it lies in the range (whole where it must be).

        Raises InputError otherwise.
        """
        shown = value if shown is None else shown
        if value is None and self.none:
            return None
        if isinstance(value, str) and value in self.words:
            return value
        if self.kind == "switch":
            if isinstance(value, bool):
                return value
            raise InputError(self.key, shown, self.accepted)
        if self.kind == "choice":
            if isinstance(value, str) and (not self.choices or value in self.choices):
                return value
            raise InputError(self.key, shown, self.accepted)
        if self.kind == "file":
            if isinstance(value, str) and value and len(value) <= LONGEST_PATH and value.isprintable():
                return value
            raise InputError(self.key, shown, self.accepted)
        if self.kind == "layout":
            if isinstance(value, str):
                layout_label.parse(value, self.key)
                return value
            raise InputError(self.key, shown, self.accepted)
        if self.kind == "fleet":
            if isinstance(value, str):
                fleet.parse(value)
                return value
            raise InputError(self.key, shown, self.accepted)
        # nan lies in no range; an integer of any length can be compared, but not made a float
        known = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not known or not self.low <= value <= self.high or value == math.inf:
            raise InputError(self.key, shown, self.accepted)
        if self.integer and abs(value - round(value)) > 1e-9 * max(1.0, abs(value)):
            raise InputError(self.key, shown, self.accepted)
        return round(value) if self.integer else float(value)

    def format(self, value: Any) -> str:
        """The value as a form shows it and as `parse` reads it back."""
        if value is None:
            return self.none
        if isinstance(value, str):
            return value
        if self.kind == "switch":
            return "on" if value else "off"
        if self.kind == "tokens":
            return units.format_tokens(value)
        if self.kind == "seconds":
            return units.format_seconds(value)
        if self.kind == "share":
            return f"{units.three_digits(100 * value)} %"
        if self.kind in ("count", "rate", "usd"):
            return units.three_digits(value) if not self.integer else f"{value:,}"
        return str(value)

    def unit_of(self, value: Any) -> str:
        """The unit that a value is shown in, which a bare number typed over it keeps; "" without one."""
        if self.kind not in ("seconds", "share") or value is None:
            return ""
        return self.format(value).split()[-1]

    def in_unit(self, text: str, unit: str) -> str:
        """What is typed over a value shown in a unit: a bare number is of that unit.

        A share below one is what it says: 0.15 typed over 10 % is 15 %.
        """
        if (
            not unit
            or not units.bare(text)
            or (self.kind == "share" and units.parse_quantity(text, "share") < 1)
        ):
            return text
        return f"{text}{unit}"

    def get(self, scenario: Scenario) -> Any:
        """This field's value in a scenario."""
        value: Any = scenario
        for name in self.path.split("."):
            value = getattr(value, name)
        return value

    def set(self, scenario: Scenario, value: Any) -> Scenario:
        """A scenario with this field changed; the value is not checked here."""
        head, _, tail = self.path.partition(".")
        if not tail:
            return dataclasses.replace(scenario, **{head: value})
        part = dataclasses.replace(getattr(scenario, head), **{tail: value})
        return dataclasses.replace(scenario, **{head: part})

    def step(self, value: Any, by: int, names: Sequence[str] = ()) -> Any:
        """The value `by` steps along, within the range; choices and switches go round."""
        if self.kind == "switch":
            return not value
        if self.kind == "choice":
            ring = list(names or self.steps or self.choices)
            if not ring:
                return value
            at = ring.index(value) if value in ring else 0
            return ring[(at + by) % len(ring)]
        stops: list[Any] = list(self.steps)
        if self.kind in ("layout", "file", "fleet"):
            ring = [None, *stops]
            return ring[((ring.index(value) if value in ring else 0) + by) % len(ring)]
        if isinstance(value, str):  # a word stands for a number that only a preset knows
            return None if self.none else stops[0]
        if value is None:  # of a limit "any" lies beyond the last stop, else on either side
            return self.first or (stops[by] if by < 0 else None)
        if by > 0:
            later = [s for s in stops if s > value * (1 + 1e-9)]
            if len(later) < by and self.none:
                return None
            return later[min(by, len(later)) - 1] if later else value
        earlier = [s for s in stops if s < value * (1 - 1e-9)]
        if len(earlier) < -by and self.first:
            return None
        return earlier[max(by, -len(earlier))] if earlier else value
