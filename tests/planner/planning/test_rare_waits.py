"""Waits that nobody meets, however long, are in no percentile."""

from __future__ import annotations

import numpy as np
import pytest

from planner.planning import arrived
from planner.simulate.queueing import Delay


def test_a_wait_without_a_chance_sets_no_percentile() -> None:
    rare = Delay(probability=np.array([1e-200]), mean_s=np.array([1e90]))
    prompts = arrived._Queue(weight=np.ones(1), backlog_s=np.zeros(1), beside=rare)
    slot = Delay(probability=np.array([0.0]), mean_s=np.array([0.001]))
    kinds = np.linspace(0.1, 0.3, 101)
    found = arrived._quantiles(np.array([0.95]), kinds, np.full(101, 1 / 101), prompts, slot)
    assert found[0] == pytest.approx(0.29, abs=0.005)
