"""What one worker does at a time: some scenarios, those that share a sweep one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError, printable
from planner.inputs.catalog import Catalog
from planner.inputs.scenario import Scenario
from planner.planning import several, sweep
from planner.planning.resolve import prepare
from planner.planning.several import Answer, Refused
from planner.studies.columns import kept, row
from planner.studies.study import Study

MOST = 48  # scenarios of a task: one to three seconds
LEAST = 12  # that small groups are joined up to
LONGEST = 300  # characters of a reason

Row = tuple[Any, ...]  # the scenario's number, then the columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Scenarios by number, and which columns are kept of them."""

    numbers: tuple[int, ...]
    scenarios: tuple[Scenario, ...]
    keep: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def apart(self) -> list[Task]:
        """Each scenario as a task of its own."""
        pairs = zip(self.numbers, self.scenarios, strict=True)
        return [Task(numbers=(number,), scenarios=(one,), keep=self.keep) for number, one in pairs]


def tasks(study: Study, numbers: Iterable[int], catalog: Catalog) -> list[Task]:
    """Tasks for some of a study's scenarios: neighbours share a sweep, and as few tasks as can be cut one.

    A group beyond MOST is cut into equal tasks, each with a sweep of its own; small ones are joined.
    """
    groups: dict[Scenario, list[tuple[int, Scenario]]] = {}
    for number in numbers:
        scenario = study.scenario(number)
        groups.setdefault(sweep.shared_sweep(scenario, catalog), []).append((number, scenario))
    found: list[list[tuple[int, Scenario]]] = []
    for group in groups.values():
        pieces = math.ceil(len(group) / MOST)
        for i in range(pieces):
            piece = group[i * len(group) // pieces : (i + 1) * len(group) // pieces]
            if found and len(found[-1]) < LEAST and len(found[-1]) + len(piece) <= MOST:
                found[-1].extend(piece)
            else:
                found.append(piece)
    return [
        Task(numbers=tuple(n for n, _ in some), scenarios=tuple(s for _, s in some), keep=study.keep)
        for some in found
    ]


def work(task: Task, catalog: Catalog) -> list[Row]:
    """The rows of a task. What goes wrong in one scenario is its row, never an exception."""
    columns = kept(task.keep)
    rows: list[Row] = []
    while len(rows) < len(task):
        rest = task.scenarios[len(rows) :]
        try:
            for answer in several.answers(rest, catalog, measured="measured" in task.keep):
                rows.append((task.numbers[len(rows)], *row(_short(answer), columns)))
        except Exception as error:  # a fault of ours in one scenario must not end a study of thousands
            reason = f"{type(error).__name__}: {error}"
            told = _short(Refused(scenario=task.scenarios[len(rows)], reason=reason))
            rows.append((task.numbers[len(rows)], *row(told, columns)))
    return rows


def failed(task: Task, reason: str) -> list[Row]:
    """The rows of a task that no worker could do."""
    columns = kept(task.keep)
    told = (_short(Refused(scenario=scenario, reason=reason)) for scenario in task.scenarios)
    return [(number, *row(one, columns)) for number, one in zip(task.numbers, told, strict=True)]


def _short(answer: Answer | Refused) -> Answer | Refused:
    if isinstance(answer, Answer):
        return answer
    reason = printable(answer.reason, LONGEST)
    return Refused(scenario=answer.scenario, reason=reason, seconds=answer.seconds)


def warmed(catalog: Catalog, some: Sequence[Task]) -> Catalog:
    """The catalog with every preset that tasks need parsed: sent to a worker, it reads no file there.

    So a worker elsewhere plans with the presets of the one who asks, their own among them.
    """
    seen = set()
    catalog.accuracy()
    for task in some:
        for scenario in task.scenarios:
            key = scenario.model, scenario.system, scenario.engine, scenario.weights, scenario.kv
            if key in seen:
                continue
            seen.add(key)
            try:
                prepare(scenario, catalog)
            except InputError:  # its row will say so
                continue
    return catalog
