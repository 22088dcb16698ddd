"""JSON holds no NaN and no infinity, and no warning of numpy's reaches a user, whatever is asked."""

from __future__ import annotations

import ast
import itertools
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import planner
import tui
from planner.errors import InputError
from planner.inputs import catalog, fields
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output import data, text
from planner.output.as_json import dumps
from planner.planning.plan import plan

WRITERS = {
    "as_json.py": "documents",
    "storage.py": "the session, whose fields are checked",
    "cells.py": "lines of a trace again, for a stricter parser, which refuses what is no number",
    "write.py": "requests of a trace, whose times and lengths are checked",
    "study.py": "what a study asks, to compare and never to be read",
}
NUMBERS = [
    field for field in fields.FIELDS if field.kind not in ("choice", "switch") and field.key != "time-limit"
]


def test_json_is_written_in_one_place() -> None:
    for package in (planner, tui):
        for path in Path(package.__file__).parent.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)) if "dump" in text else ():
                if isinstance(node, ast.Attribute) and node.attr in ("dump", "dumps"):
                    of = node.value.id if isinstance(node.value, ast.Name) else ""
                    assert of != "json" or path.name in WRITERS, path


def test_numbers_that_json_has_not_are_null() -> None:
    told = dumps(
        {"a": [np.float64("nan"), np.float32("inf"), -np.inf, np.int64(3)], "b": {1: np.bool_(True)}}
    )
    assert json.loads(told, parse_constant=refused) == {"a": [None, None, None, 3], "b": {"1": True}}


def refused(constant: str) -> None:
    raise ValueError(f"{constant} in JSON")


def extremes() -> Iterator[tuple[str, Scenario]]:
    """Every number at either end of its range, the goals by turns; then several at once."""
    base = Scenario(
        model="llama-3.1-8b",
        system="h100",
        engine="vllm",
        traffic=Traffic(isl=1024, osl=128),
        limits=Limits(ftl_s=1.0, ttl_s=0.05),
        fleet=Fleet(gpus=8),
        time_limit_s=0.05,
    )
    ends = {field: [field.low, min(field.high, 1e9), *([None] if field.none else [])] for field in NUMBERS}
    goals = itertools.cycle(fields.BY_KEY["goal"].choices)
    for field, value in [(field, value) for field, values in ends.items() for value in values]:
        goal = next(goals)
        asked = fields.BY_KEY["goal"].set(base, goal)
        if goal != "throughput":
            asked = fields.BY_KEY["rate"].set(asked, 3.0)
        yield f"{goal} {field.key} {value}", fields.BY_KEY[field.key].set(asked, whole(field, value))
    draw = np.random.default_rng(8)
    for number in range(20):
        asked = fields.BY_KEY["goal"].set(base, str(draw.choice(fields.BY_KEY["goal"].choices)))
        asked = fields.BY_KEY["mix"].set(asked, bool(draw.random() < 0.3))
        for field, values in ends.items():
            if draw.random() < 0.35:
                asked = field.set(asked, whole(field, values[draw.integers(len(values))]))
        yield f"drawn {number}", asked


def whole(field: fields.Field, value: float | None) -> float | None:
    return value if value is None or not field.integer else int(value)


@pytest.mark.slow
def test_extreme_questions_give_clean_answers() -> None:
    known, answered = catalog.load(), 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, asked in extremes():
            try:
                answer = plan(asked, known)
            except InputError:
                continue
            except Warning as warning:
                pytest.fail(f"{name}: {warning}")
            answered += 1
            json.loads(data.to_json(answer), parse_constant=refused)
            assert "nan" not in (told := text.to_text(answer).lower().split()) and "inf" not in told, name
    assert answered > 30
