"""What a chosen plan keeps of what it promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner import Scenario, load, plan
from planner.inputs.fleet import Fleet
from planner.planning import chosen
from planner.planning.bands import compare
from planner.planning.result import Plan

CATALOG = load()
ASKED = Scenario(model="deepseek-r1", system="gb200", fleet=Fleet(gpus=36))


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(ASKED, CATALOG)


def test_luck_is_what_the_largest_of_many_draws_is_above_their_mean() -> None:
    draws = np.random.default_rng(1).standard_normal((20000, 12)) * 0.1
    assert chosen.luck(0.1, np.full(12, 3.0), 3.0) == pytest.approx(draws.max(axis=1).mean(), rel=0.02)


def test_luck_grows_with_near_candidates_alone() -> None:
    near, far = np.array([1.0, 0.99, 0.98]), np.array([1.0, 0.2, 0.1])
    assert chosen.luck(0.1, near, 1.0) > chosen.luck(0.1, near[:2], 1.0) > 0
    assert chosen.luck(0.1, far, 1.0) == pytest.approx(0.0, abs=1e-6)
    assert chosen.luck(0.0, near, 1.0) == chosen.luck(0.1, np.zeros(2), 1.0) == 0.0


def test_both_ways_give_up_their_luck_and_have_a_range(planned: Plan) -> None:
    for serving in (planned.disaggregated, planned.colocated):
        assert serving is not None and serving.range is not None
        low, high = serving.range
        assert 0 < low < serving.luck < 1
        assert low < high
        bare = replace(serving, luck=1.0)
        assert serving.expected_tokens_per_s_per_gpu == pytest.approx(
            serving.luck * bare.expected_tokens_per_s_per_gpu
        )


def test_rates_taken_as_known_have_no_luck() -> None:
    known = plan(replace(ASKED, robust=False), CATALOG)
    assert known.disaggregated is not None and known.disaggregated.luck == 1.0


def test_shared_errors_cancel_in_a_ratio() -> None:
    band = (0.8, 1.25)
    assert compare(1.5, band, band, 1.0) == pytest.approx((1.5, 1.5))
    low, high = compare(1.5, band, band, 0.5)
    wide = compare(1.5, band, band)
    assert wide[0] < low < 1.5 < high < wide[1]
