"""GPUs of a schedule are bought as is cheapest, each by itself: as cheap as any purchase of all."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.elastic.purchase import Purchase, Tariffs, cheapest

HOUR = 3600.0


def paid(
    counts: tuple[int, int], gpus: np.ndarray, price: np.ndarray, tariffs: Tariffs, again: float
) -> float:
    """Dollars with so many reserved, then so many spot at most, the rest on demand: by the hour."""
    reserved, spot = counts
    left = np.maximum(gpus - reserved, 0)
    taken = np.minimum(left, spot)
    total = float(((left - taken) * price).sum())
    if reserved:
        total += reserved * (tariffs.reserved or np.inf) * float(price.sum())
    if taken.any():
        total += (tariffs.spot or np.inf) * (1.0 + again) * float((taken * price).sum())
    return total


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=8),
    st.sampled_from([None, 0.3, 0.6, 1.2]),
    st.sampled_from([None, 0.4, 0.95]),
    st.sampled_from([0.0, 1.0]),
)
def test_no_purchase_is_cheaper(
    held: list[int], reserved: float | None, spot: float | None, often: float
) -> None:
    gpus, price = np.array(held), np.linspace(1.0, 2.0, len(held))
    tariffs = Tariffs(reserved=reserved, spot=spot, interruptions=often)
    bought = cheapest(gpus, price, HOUR, 360.0, tariffs)
    least = min(paid(counts, gpus, price, tariffs, 0.1 * often) for counts in product(range(7), repeat=2))
    assert bought.usd == pytest.approx(least)
    hours = bought.on_demand_gpu_hours + bought.spot_gpu_hours
    assert hours == pytest.approx(float(np.maximum(gpus - bought.reserved_gpus, 0).sum()))
    assert bought.interruptions == pytest.approx(often * bought.spot_gpu_hours)


def test_a_schedule_that_holds_nothing_costs_nothing() -> None:
    bought = cheapest(np.zeros(3, dtype=np.int64), np.ones(3), HOUR, 0.0, Tariffs(reserved=0.5))
    assert isinstance(bought, Purchase) and bought.usd == 0.0 and bought.reserved_gpus == 0
