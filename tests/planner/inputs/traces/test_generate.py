"""Drawn traffic has the rate, the spread and the sharing that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs.traces import generate
from planner.inputs.traces.generate import Lengths, Sharing, Turns

ISL, OSL = Lengths(mean=1000, cv=1.2), Lengths(mean=200)


@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0, 3.0])
def test_gaps_and_lengths(cv):
    drawn = generate.bursty(8.0, 100_000, ISL, OSL, cv=cv, seed=3)
    gaps = np.diff(drawn.arrival_s)
    assert gaps.mean() == pytest.approx(1 / 8, rel=0.05) and (gaps >= 0).all()
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05, abs=1e-9)
    assert drawn.isl.mean() == pytest.approx(1000, rel=0.03) and (drawn.osl == 200).all()
    assert drawn.isl.std() / drawn.isl.mean() == pytest.approx(1.2, rel=0.06)


def test_the_same_seed_gives_the_same_requests():
    one, two, three = (generate.poisson(2.0, 500, ISL, OSL, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.arrival_s, two.arrival_s) and np.array_equal(one.isl, two.isl)
    assert not np.array_equal(one.arrival_s, three.arrival_s)


def test_a_shared_prefix():
    drawn = generate.poisson(2.0, 200, Lengths(mean=1000), OSL, sharing=Sharing(share=0.64, prefixes=2))
    first = drawn.blocks[drawn.block_start[:-1]]
    assert len(np.unique(first)) == 2  # one of two texts
    _, times = np.unique(drawn.blocks, return_counts=True)
    assert (times == 1).sum() == 200 * (16 - 10) and (times > 1).sum() == 2 * 10  # of 16 blocks, 10 shared


def test_conversations_repeat_what_was_said():
    drawn = generate.poisson(5.0, 20_000, Lengths(mean=300), OSL, turns=Turns(mean=5, think_s=20), seed=1)
    assert len(drawn) == 20_000 and (np.diff(drawn.arrival_s) >= 0).all()
    rows = np.flatnonzero(drawn.session == drawn.session[0])
    assert np.diff(drawn.isl[rows]).tolist() == [500] * (len(rows) - 1)
    assert 20_000 / len(np.unique(drawn.session)) == pytest.approx(5, rel=0.1)
    steady = drawn.arrival_s[5_000:15_000]  # the first conversations and the last are not whole
    assert len(steady) / (steady[-1] - steady[0]) == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize(
    ("rate", "count", "isl"), [(0, 5, ISL), (np.nan, 5, ISL), (1, 0, ISL), (1, 5, Lengths(mean=0))]
)
def test_what_cannot_be_drawn_is_one_line(rate, count, isl):
    with pytest.raises(InputError, match="is not accepted"):
        generate.poisson(rate, count, isl, OSL)
