"""Erlang's formulas and the Poisson law against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from planner.simulate import erlang


def test_loss_is_that_of_the_incomplete_gamma_function() -> None:
    servers = np.concatenate((np.arange(1.0, 34.0), np.geomspace(2.5, 2e5, 40)))[:, None]
    load = np.array([1e-3, 0.05, 0.3, 0.7, 0.9, 0.97, 0.999, 1.0, 1.3])
    offered = servers * load
    top = np.exp(servers * np.log(offered) - offered - special.gammaln(servers + 1.0))
    exact = top / np.maximum(special.gammaincc(servers + 1.0, offered), 1e-300)
    sure = (exact > 1e-200) & ((load <= 1.0) | (servers < 300))  # else the library's terms cancel
    found = erlang.erlang_b(servers, offered)
    assert np.abs(found[sure] / exact[sure] - 1.0).max() < 1e-8
    assert found.max() <= 1.0


@pytest.mark.parametrize("mean", [0.0, 0.01, 0.7, 4.0, 300.0, 2e5])
def test_poisson_quantiles_are_the_least_numbers_enough(mean: float) -> None:
    share = np.array([1e-9, 0.0025, 0.1, 0.5, 0.9, 0.9975, 1 - 1e-9])
    found = erlang.poisson(share, mean)
    if mean:
        assert (special.pdtr(found, mean) >= share - 1e-10).all()
        below = found > 0
        assert (special.pdtr(found[below] - 1.0, mean) < share[below] + 1e-10).all()
    else:
        assert not found.any()
