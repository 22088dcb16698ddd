"""What is found out beside the answer, once it is there: what-if, curves, the closest miss.

`Studies` decides what to ask the solver's thread for, and turns its news into `Findings`.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from planner.inputs.scenario import Scenario
from planner.values import dataclass
from planner.words import PresetKind
from tui.solver.messages import StudyName, StudyNews
from tui.solver.worker import Solver, one_line
from tui.state import Findings, Pin, View

if TYPE_CHECKING:
    from planner.planning.result import Plan
    from planner.planning.what_if import Change

REMEMBERED = 32  # scenarios whose what-if is kept: stepping back shows it at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """A study under way."""

    plan: Plan
    key: str = ""  # the input of a curve
    pins: tuple[Scenario, ...] = ()


class Studies:
    """The studies of one screen. Runs on the screen's thread."""

    def __init__(self, solver: Solver, names: Callable[[PresetKind], Sequence[str]]) -> None:
        self._solver = solver
        self._names = names
        self._asked: dict[StudyName, Asked] = {}
        self._kept: OrderedDict[tuple[Scenario, str], tuple[tuple[Any, ...], int]] = OrderedDict()

    def forget(self) -> None:
        """A new answer was asked for: the solver has dropped every study."""
        self._asked.clear()

    def want(self, view: View, tab: str, key: str) -> Findings:
        """Start what the open page needs and is not known; what is known is returned at once.

        `key` is the input that the curve runs over.
        """
        findings = view.findings
        plan = view.plan
        if plan is None or not view.current:
            return findings
        if view.infeasible:
            if findings.miss_of is not plan:
                self._start("miss", Asked(plan=plan), _miss(plan))
        elif tab == "what-if":
            findings = self._tornado(findings, plan)
            findings = self._curve(findings, plan, key)
        if any(pin.plan is None for pin in view.pins):
            waiting = tuple(pin for pin in view.pins if pin.plan is None)
            self._pins(plan, waiting)
        return findings

    def _pins(self, plan: Plan, waiting: Sequence[Pin]) -> None:
        """Plan pins, unless that is under way for each of them."""
        asked = self._asked.get("pins")
        known = asked.pins if asked is not None and asked.plan is plan else ()
        if not all(pin.scenario in known for pin in waiting):
            self._asked["pins"] = Asked(plan=plan, pins=tuple(pin.scenario for pin in waiting))
            self._solver.study("pins", _pins(waiting))

    def _tornado(self, findings: Findings, plan: Plan) -> Findings:
        from planner.planning import what_if

        if findings.base is plan and len(findings.effects) == findings.wanted:
            return findings
        if self._running("tornado", plan):
            return findings
        kept = self._kept.get((plan.scenario, "tornado"))
        if kept is not None:
            return dataclasses.replace(findings, base=plan, effects=kept[0], wanted=kept[1])
        names = {kind: self._names(kind) for kind in ("system", "engine")}
        wanted = what_if.changes(plan.scenario, names)
        self._start("tornado", Asked(plan=plan), _effects(plan, wanted))
        return dataclasses.replace(findings, wanted=len(wanted))

    def _curve(self, findings: Findings, plan: Plan, key: str) -> Findings:
        if findings.curve_of is plan and findings.curve_key == key and findings.curve_done:
            return findings
        kept = self._kept.get((plan.scenario, key))
        if kept is not None:
            return dataclasses.replace(findings, curve_of=plan, curve_key=key, curve=kept[0], curve_done=True)
        self._start("curve", Asked(plan=plan, key=key), _curve(plan, key))
        return findings

    def _running(self, name: StudyName, plan: Plan, key: str = "") -> bool:
        asked = self._asked.get(name)
        return asked is not None and asked.plan is plan and asked.key == key

    def _start(self, name: StudyName, asked: Asked, study: Callable[..., Iterator[Any]]) -> None:
        if not self._running(name, asked.plan, asked.key):
            self._asked[name] = asked
            self._solver.study(name, study)

    def news(self, message: StudyNews, findings: Findings) -> Findings:
        """The findings with what a study has found so far."""
        asked = self._asked.get(message.name)
        if asked is None:
            return findings
        if message.name == "pins" and message.done:
            del self._asked["pins"]  # one that comes back is planned again
            return findings
        found = message.found
        whole = message.done and not message.line
        if message.name == "tornado":
            if whole:
                self._keep((asked.plan.scenario, "tornado"), found)
            wanted = len(found) if message.done else findings.wanted
            return dataclasses.replace(findings, base=asked.plan, effects=found, wanted=wanted)
        if message.name == "curve":
            if whole:
                self._keep((asked.plan.scenario, asked.key), found)
            return dataclasses.replace(
                findings, curve_of=asked.plan, curve_key=asked.key, curve=found, curve_done=message.done
            )
        if message.name == "miss" and message.done:
            return dataclasses.replace(findings, miss_of=asked.plan, miss=found[-1] if found else None)
        return findings

    def _keep(self, key: tuple[Scenario, str], found: tuple[Any, ...]) -> None:
        self._kept[key] = (found, len(found))
        while len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)


def _effects(base: Plan, wanted: Sequence[Change]) -> Callable[..., Iterator[Any]]:
    def study(plan: Callable[[Scenario], Plan]) -> Iterator[Any]:
        from planner.planning import asked, what_if

        return what_if.effects(base, wanted, asked.alike(base, plan))

    return study


def _curve(base: Plan, key: str) -> Callable[..., Iterator[Any]]:
    def study(plan: Callable[[Scenario], Plan]) -> Iterator[Any]:
        from planner.planning import asked, what_if

        return what_if.curve(base.scenario, key, asked.alike(base, plan))

    return study


def _miss(base: Plan) -> Callable[..., Iterator[Any]]:
    def study(plan: Callable[[Scenario], Plan]) -> Iterator[Any]:
        from planner.planning import near_miss

        found = near_miss.closest_miss(base, plan)
        if found is not None:
            yield found

    return study


def _pins(pins: Sequence[Pin]) -> Callable[..., Iterator[Any]]:
    """Each pin's scenario with its plan, or with the line why there is none: letters can change hands."""

    def study(plan: Callable[[Scenario], Plan]) -> Iterator[tuple[Scenario, Plan | str]]:
        for pin in pins:
            try:
                outcome: Plan | str = plan(pin.scenario)
            except Exception as error:  # of this pin: the others are planned all the same
                outcome = one_line(error)
            yield pin.scenario, outcome

    return study
