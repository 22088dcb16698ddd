"""Parts of a trace, and other rates of the same requests."""

from __future__ import annotations

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs.traces import generate
from planner.inputs.traces.generate import Lengths, Sharing, Turns
from planner.inputs.traces.window import WHOLE, Window, at_rate, cut, faster, rate

ISL, OSL = Lengths(mean=500, cv=1.0), Lengths(mean=50)


@pytest.fixture
def requests():
    return generate.poisson(2.0, 2000, ISL, OSL, sharing=Sharing(share=0.5, prefixes=3), seed=4)


def test_a_window_counts_from_its_start(requests):
    part = cut(requests, Window(from_s=100, for_s=50))
    rows = np.flatnonzero((requests.arrival_s >= 100) & (requests.arrival_s < 150))
    assert part.arrival_s.tolist() == pytest.approx((requests.arrival_s[rows] - 100).tolist())
    assert part.isl.tolist() == requests.isl[rows].tolist()
    start = requests.block_start
    assert part.blocks.tolist() == requests.blocks[start[rows[0]] : start[rows[-1] + 1]].tolist()
    assert cut(requests, WHOLE) is requests


def test_an_empty_window_is_one_line(requests):
    with pytest.raises(InputError, match="a part of the trace's"):
        cut(requests, Window(from_s=1e6, for_s=10))


def test_another_rate_keeps_the_shape_of_bursts(requests):
    slow = at_rate(requests, 0.5)
    assert rate(slow) == pytest.approx(0.5) and slow.isl.tolist() == requests.isl.tolist()
    gaps, before = np.diff(slow.arrival_s), np.diff(requests.arrival_s)
    assert gaps / gaps.mean() == pytest.approx(before / before.mean())
    assert rate(faster(requests, 3.0)) == pytest.approx(3 * rate(requests))


def test_think_times_stay_at_another_rate():
    turns = generate.poisson(2.0, 2000, ISL, OSL, turns=Turns(mean=5, think_s=10), seed=4)
    moved = at_rate(turns, 4.0)
    assert rate(moved) == pytest.approx(4.0, rel=0.01) and (np.diff(moved.arrival_s) >= 0).all()
    one = int(turns.session[0])
    assert np.diff(moved.arrival_s[moved.session == one]) == pytest.approx(
        np.diff(turns.arrival_s[turns.session == one])
    )
    with pytest.raises(InputError, match="conversations take their time"):
        at_rate(turns, 1e6)


@pytest.mark.parametrize("wanted", [0, -1, np.nan, np.inf])
def test_rates_that_are_none(requests, wanted):
    for scale in (at_rate, faster):
        with pytest.raises(InputError):
            scale(requests, wanted)
