"""The checkable findings of the study: what is expected, how far off may be, and what we get.

Findings, expectations and tolerances are data (presets/paper/claims.toml), written down before the first
result was looked at. A check is made of parts and passes when every part holds. "Open" is left to findings
on measured hardware that a steady-state simulator cannot decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from planner.inputs import toml_tables
from planner.inputs.catalog import preset_folder
from planner.paper.sweeps import Sweeps
from planner.words import ClaimKind, Outcome

FILE = "paper/claims.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One condition of a claim."""

    name: str
    got: str
    holds: bool | None  # None: cannot be decided here
    decides: bool = True  # False: shown beside the conditions


def part(name: str, got: str, holds: bool | None) -> Part:
    """A condition and whether it holds."""
    return Part(name=name, got=got, holds=None if holds is None else bool(holds))


def fact(name: str, got: str) -> Part:
    """Something shown beside the conditions; it decides nothing."""
    return Part(name=name, got=got, holds=True, decides=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One finding. `figure` is the figure it is read from, "" for the text."""

    id: int
    figure: str
    kind: ClaimKind
    text: str
    expected: str
    tolerance: str
    differs: str = ""  # physics or unknown settings that explain a fail, or why a claim stays open
    changed: str = ""  # how, why and with what effect the check was changed after the first look


Check: TypeAlias = "Callable[[Sweeps], tuple[Part, ...]]"


def load() -> tuple[Claim, ...]:
    """Every claim, by number."""
    path = preset_folder() / FILE
    tables = toml_tables.read_toml(path)["claims"]
    return tuple(toml_tables.decode(Claim, table, path.name) for table in tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A claim with what this simulator gives in each setting, by the setting's name; the first counts."""

    claim: Claim
    parts: Mapping[str, tuple[Part, ...]]

    @property
    def verdict(self) -> Outcome:
        """The outcome in the setting that counts."""
        return self.of(next(iter(self.parts)))

    def of(self, setting: str) -> Outcome:
        """The outcome in one setting."""
        return _verdict(self.parts[setting])

    def got(self, setting: str) -> str:
        """All parts in one line; those that do not hold are marked."""
        return _line(self.parts[setting])


def _verdict(parts: tuple[Part, ...]) -> Outcome:
    if any(part.holds is not None and not part.holds for part in parts):
        return "fail"
    return "open" if any(part.holds is None for part in parts) else "pass"


def _line(parts: tuple[Part, ...]) -> str:
    def mark(part: Part) -> str:
        return "" if part.holds is None or part.holds else " (does not hold)"

    return "; ".join(f"{part.name}: {part.got}{mark(part)}" for part in parts)


def judge(claim: Claim, check: Check, settings: Sequence[Sweeps]) -> Verdict:
    """Run its check in each setting."""
    return Verdict(claim=claim, parts={sweeps.setting.name: check(sweeps) for sweeps in settings})
