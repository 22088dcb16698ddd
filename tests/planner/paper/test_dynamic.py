"""Claim 22: a planner that moves instances against static fleets, replayed."""

from __future__ import annotations

import numpy as np
import pytest

from planner.paper import dynamic
from planner.paper.claims import layouts
from planner.paper.dynamic import Goodput


def test_the_load_swings_once_between_its_rates():
    requests = dynamic.load(200.0)
    came = np.bincount((requests.arrival_s // 20.0).astype(int)) / 20.0
    assert 3.0 < came[0] < 9.0 and came[-1] < 10.0 and 35.0 < came[4:6].mean() < 50.0
    assert len(requests) / 200.0 == pytest.approx(25.0, rel=0.1)
    assert (np.diff(requests.arrival_s) >= 0).all()


@pytest.mark.parametrize(("share", "holds"), [(0.98, [True, True, True]), (0.5, [True, True, False])])
def test_the_claim_is_held_against_each_fleet(monkeypatch, served, share, holds):
    fleets = {
        "3:1 of TP1": Goodput(share=0.15, gpus=4.0),
        "1:1 of TP2": Goodput(share=0.18, gpus=4.0),
        "2:2 of TP1": Goodput(share=0.6, gpus=4.0),
        "planner": Goodput(share=share, gpus=5.0),
        "forecasts": Goodput(share=0.3, gpus=5.0),
    }
    monkeypatch.setattr(dynamic, "measured", lambda _: fleets)
    parts = [part for part in layouts.CHECKS[22](served) if part.decides]
    assert [part.holds for part in parts] == holds


@pytest.mark.slow
def test_a_planner_keeps_what_static_fleets_lose(presets):
    found = dynamic.goodput(presets, dynamic.load(100.0), start_s=5.0)  # a sixth of the experiment
    assert found["planner"].share > 0.8 and 3.0 < found["planner"].gpus < 6.0
    assert found["planner"].share > 1.1 * found["2:2 of TP1"].share
    assert found["2:2 of TP1"].share > 2.0 * max(found["3:1 of TP1"].share, found["1:1 of TP2"].share)
    assert found["forecasts"].share < found["planner"].share
