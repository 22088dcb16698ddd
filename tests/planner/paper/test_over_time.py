"""The study over a day: facts beside claims, and a figure, which decide nothing."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from planner import load
from planner.paper import over_time, reproduction
from planner.paper.figures import added
from planner.paper.over_time import Day

DAYS = tuple(
    Day(
        ttl_s=ttl_s,
        hour=np.array([0.0, 12.0]),
        ratio=np.array([0.5, 2.0]),
        gpus=dict.fromkeys(over_time.POLICIES, np.array([8.0, 16.0])),
        gpu_hours={**dict.fromkeys(over_time.POLICIES, 300.0), "elastic split": 200.0},
    )
    for ttl_s in over_time.TTL_S
)


def test_claims_of_ratios_have_the_time_axis_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_time, "days", lambda _: DAYS)
    told = {number: tell(cast(Any, None)) for number, tell in over_time.FACTS.items()}
    assert set(told) == {13, 14, 15, 16, 22} and set(told) <= set(reproduction.CHECKS)
    assert not any(part.decides for part in told.values())
    assert "0.5 to 2" in told[13].got and "1.50x" in told[14].got and "1.00x" in told[15].got


def test_a_figure_has_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_time, "days", lambda _: DAYS)
    figure = added.FIGURES["over-time"](cast(Any, type("Sweeps", (), {"catalog": None})))
    ratio, gpus = figure.panels
    assert [len(one.x) for one in ratio.series] == [2, 2, 2]
    assert {one.name for one in gpus.series} == set(over_time.POLICIES)


@pytest.mark.slow
def test_a_day_moves_the_ratio_and_what_is_held_costs_more() -> None:
    for day in over_time.days(load()):
        assert np.nanmax(day.ratio) > 1.5 * np.nanmin(day.ratio)
        assert day.gpu_hours["elastic split"] < day.gpu_hours["fixed ratio"]
        assert day.gpu_hours["elastic split"] < day.gpu_hours["static split"]
