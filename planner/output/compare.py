"""Several plans side by side, and what single changes of one would bring: rows for text, values for JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from planner.inputs.fields import FIELDS
from planner.output.as_json import clean
from planner.output.columns import aligned
from planner.output.data import to_dict
from planner.output.queue_words import changes_sentence, unsure_sentence
from planner.output.spelling import change, instances
from planner.output.tables import facts
from planner.output.verdict import answer_sentence, found_of
from planner.output.words import NO_EFFECT
from planner.planning.what_if import NOTHING_MEETS, yardstick
from planner.units import three_digits
from planner.values import dataclass

if TYPE_CHECKING:
    from planner.planning.result import Plan
    from planner.planning.what_if import Effect

WIDTH = 80  # columns of sentences
FOUND = {"split": "split", "colocated": "co-located", "tie": "a tie: co-located", "": "no plan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One of the compared: what it is called, and its plan or why there is none."""

    name: str
    plan: Plan | None
    problem: str = ""  # one line


def rows(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    """A table with a column for each: what differs of their scenarios, what to deploy, what it gives."""
    head = ("", *(column.name for column in columns))
    plans = [column.plan for column in columns]
    found = [head]
    for field in FIELDS:
        values = [None if plan is None else field.format(field.get(plan.scenario)) for plan in plans]
        if len({value for value in values if value is not None}) > 1:
            found.append((field.label, *(value or "-" for value in values)))
    servings = [None if plan is None else plan.deployed for plan in plans]
    found.append(("better", *("-" if plan is None else FOUND[found_of(plan)] for plan in plans)))
    pools = [[instances(pool) for pool in serving.pools] if serving else [] for serving in servings]
    for i, line in enumerate(zip_longest(*pools, fillvalue="")):
        found.append(("deploy" if not i else "", *line))
    told = [
        facts(plan.scenario, serving) if plan is not None and serving is not None else {}
        for plan, serving in zip(plans, servings, strict=True)
    ]
    for name in dict.fromkeys(name for one in told for name in one):
        found.append((name, *(one.get(name, "-") for one in told)))
    return found


def text(columns: Sequence[Column]) -> str:
    """The table, and under it why some have no plan."""
    table = rows(columns)
    lines = aligned(table, "l" + "r" * len(columns))
    lines += [""] if any(problem(column) for column in columns) else []
    lines += [f"{column.name}: {problem(column)}" for column in columns if problem(column)]
    if told := unsure_sentence([(one.name, one.plan) for one in columns if one.plan is not None]):
        lines += ["", *textwrap.wrap(told, WIDTH)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def problem(column: Column) -> str:
    """Why there is no plan; "" where there is one."""
    if column.problem or column.plan is None:
        return column.problem
    if column.plan.deployed is not None:
        return ""
    return answer_sentence(column.plan)


def to_list(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The same as plain data: a name, and the whole plan as `plan --json` prints it, or a problem."""
    return [
        {
            "name": column.name,
            "problem": problem(column) or None,
            "plan": None if column.plan is None else to_dict(column.plan),
        }
        for column in columns
    ]


def what_if_text(base: Plan, effects: Sequence[Effect]) -> str:
    """What is planned now, the changes with their gains, the best first, and those that bring nothing."""
    measure = yardstick(base.scenario)
    sign = -1 if measure.higher else 1
    found = [effect for effect in effects if math.isfinite(effect.value)]
    some = [effect for effect in found if not abs(effect.gain) < NO_EFFECT]
    some.sort(key=lambda effect: -effect.gain if base.deployed else sign * effect.value)
    lines = [*textwrap.wrap(answer_sentence(base), WIDTH), ""]
    if told := changes_sentence(base):
        lines += [*textwrap.wrap(told, WIDTH), ""]
    head = ("one change", "gain", measure.unit, "better")
    rows = [
        (
            _changed(effect),
            change(effect.gain, 1) if math.isfinite(effect.gain) else "-",
            three_digits(effect.value),
            FOUND["split" if effect.choice == "disaggregated" else effect.choice],
        )
        for effect in some
    ]
    lines += aligned([head, *rows], "lrrl") if rows else ["No change brings another plan."]
    for name, those in (
        ("No effect", [effect for effect in found if effect not in some]),
        ("Nothing meets the limits with", [e for e in effects if e.problem == NOTHING_MEETS]),
        ("Cannot be had", [e for e in effects if e.problem not in ("", NOTHING_MEETS)]),
    ):
        if those:
            lines += ["", *textwrap.wrap(f"{name}: {', '.join(_changed(effect) for effect in those)}", WIDTH)]
    return "\n".join(lines) + "\n"


def _changed(effect: Effect) -> str:
    return effect.change.told


def what_if_list(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """The same as plain data, all changes in the order tried."""
    plain: list[dict[str, Any]] = clean(
        [
            {
                "field": effect.change.field,
                "label": effect.change.told,
                "value": effect.change.value,
                "gain": effect.gain,
                "yardstick": effect.value,
                "choice": effect.choice or None,
                "problem": effect.problem or None,
            }
            for effect in effects
        ]
    )
    return plain
