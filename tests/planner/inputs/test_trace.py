"""Traces: their medians, and what they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from planner.inputs import trace
from planner.inputs.catalog import preset_folder
from planner.inputs.trace import Trace


def conversations(median_isl, median_osl):
    return trace.read(preset_folder() / trace.CONVERSATIONS).stretched(median_isl, median_osl)


@pytest.mark.parametrize(
    ("make", "input_mean"), [(conversations, (1.1, 1.2)), (trace.log_normal, (1.2, 1.5))]
)
def test_a_trace_has_the_medians_and_is_the_same_every_time(make, input_mean):
    one, two = make(4096, 512), make(4096, 512)
    assert np.array_equal(one.isl, two.isl) and np.array_equal(one.osl, two.osl)
    assert np.median(one.isl) == pytest.approx(4096, rel=0.05)
    assert np.median(one.osl) == pytest.approx(512, rel=0.05)
    assert input_mean[0] < one.isl.mean() / np.median(one.isl) < input_mean[1]  # long prompts pull it up
    assert one.osl.mean() > 1.3 * np.median(one.osl)
    assert one.isl.min() >= 1 and one.osl.min() >= 2


def test_long_outputs_weigh_more_in_decode():
    even = Trace(isl=np.array([100.0, 900.0]), osl=np.array([50.0, 50.0])).steady_decode()
    skewed = Trace(isl=np.array([100.0, 900.0]), osl=np.array([10.0, 90.0])).steady_decode()
    assert even == (500, 50)
    assert skewed[0] > even[0] and skewed[1] == 50
