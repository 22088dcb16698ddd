"""The 23 checkable findings of the study: what is expected, how far off may be, and what we get.

Expected values, directions and tolerances were written down before the first result was looked at;
`tolerance` says why each is what it is. A check is made of parts and passes when every part holds.
"Open" is left to findings on measured hardware that a steady-state simulator cannot decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from planner.paper.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One condition of a claim."""

    name: str
    got: str
    holds: bool | None  # None: cannot be decided here
    decides: bool = True  # False: shown beside the conditions


def fact(name: str, got: str) -> Part:
    """Something shown beside the conditions; it decides nothing."""
    return Part(name=name, got=got, holds=True, decides=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One finding. `figure` is the figure it is read from, "" for the text."""

    id: int
    figure: str
    kind: str  # direction or magnitude
    text: str
    expected: str
    tolerance: str
    check: Callable[[Study], tuple[Part, ...]]
    differs: str = ""  # physics or unknown settings that explain a fail, or why a claim stays open


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A claim with what this simulator gives, and what it would give on perfect kernels."""

    claim: Claim
    parts: tuple[Part, ...]
    on_perfect: tuple[Part, ...]

    @property
    def verdict(self) -> str:
        """pass, fail or open."""
        return _verdict(self.parts)

    @property
    def perfect_verdict(self) -> str:
        """The same on perfect kernels."""
        return _verdict(self.on_perfect)

    @property
    def got(self) -> str:
        """All parts in one line; those that do not hold are marked."""
        return _line(self.parts)

    @property
    def perfect_got(self) -> str:
        """The same on perfect kernels."""
        return _line(self.on_perfect)


def _verdict(parts: tuple[Part, ...]) -> str:
    if any(part.holds is not None and not part.holds for part in parts):
        return "fail"
    return "open" if any(part.holds is None for part in parts) else "pass"


def _line(parts: tuple[Part, ...]) -> str:
    def mark(part: Part) -> str:
        return "" if part.holds is None or part.holds else " (does not hold)"

    return "; ".join(f"{part.name}: {part.got}{mark(part)}" for part in parts)


def judge(claim: Claim, study: Study, perfect: Study) -> Verdict:
    """Run one check on measured and on perfect kernels."""
    return Verdict(claim=claim, parts=claim.check(study), on_perfect=claim.check(perfect))
