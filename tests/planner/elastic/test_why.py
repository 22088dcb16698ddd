"""What is said of a plan over time agrees with the figures beside it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from planner.elastic import policies
from planner.elastic.over_time import Outcome, OverTime
from planner.elastic.policies import Asked, Policy
from planner.elastic.schedule import Schedule, bill
from planner.elastic.why import sentences
from planner.elastic.windows import Windows
from planner.units import three_digits
from tui.charts import time_chart
from tui.glyphs import UNICODE

from .small import costs, pools

NEED = [[1, 1], [1, 1], [4, 1], [4, 2], [1, 3], [1, 3], [1, 1], [1, 1]]


def over_time(*, queued: int = 0, late: tuple[Policy, ...] = ()) -> OverTime:
    """Policies on eight windows of a minute.

    The fleet for the mean misses `queued` windows more, for its queues; those that are `late` miss all.
    """
    rates = np.array(NEED, dtype=float)
    over = Windows(
        window_s=60.0,
        requests=np.full(len(NEED), 60),
        prompts_per_s=rates[:, 0],
        decodes_per_s=rates[:, 1],
        variation=1.0,
    )
    at = costs(len(NEED), start_s=np.full(2, 60.0), drain_s=np.full(2, 30.0))
    asked = Asked(pools=pools(NEED), costs=at, windows=over)
    made: dict[Policy, Schedule] = {
        "static-peak": policies.static_peak(asked),
        "static-mean": policies.static_mean(asked),
    }
    made["elastic"] = policies.elastic(asked, list(made.values()), 10.0, None).schedule
    made["seasonal-naive"] = policies.rolling(asked, policies.seasonal_naive)
    made["smoothing"] = policies.rolling(asked, policies.smoothing)
    made["reactive"] = policies.reactive(asked)
    outcomes = []
    for name, schedule in made.items():
        settled = np.ones(len(NEED), dtype=bool)
        billed = bill(asked.pools, schedule, at)
        if name == "static-mean":
            settled[np.flatnonzero(billed.ok)[:queued]] = False
        settled &= name not in late
        tokens = cast(Any, SimpleNamespace(settled=settled))
        outcomes.append(
            Outcome(name=name, way="disaggregated", schedule=schedule, bill=billed, first_tokens=tokens)
        )
    nothing: Any = None
    return OverTime(
        trace=None,
        scenario=nothing,
        question=nothing,
        sweep=nothing,
        windows=over,
        ways={"disaggregated": asked},
        settles="off",
        settled={},
        too_small=False,
        outcomes=tuple(outcomes),
        output_tokens=1.0,
        seconds=0.0,
    )


def said(found: OverTime, with_word: str) -> str:
    return next(text for text in sentences(found) if with_word in text)


def test_what_a_window_holds_is_told_apart_from_what_serves_in_it() -> None:
    """`4 × TP1 prefill + 2 × TP1 decode, 7 GPUs` was no sum: one more was starting."""
    found = over_time()
    best, sizes = found.best, found.ways["disaggregated"].pools.gpus
    moving = best.bill.gpus - best.schedule.instances @ sizes
    assert moving.any() and not moving.all()
    for window, more in enumerate(moving.tolist()):
        text = time_chart.cell(found, window)
        assert f"{int(best.bill.gpus[window])} GPU" in text
        assert (f", {more} of them starting or draining" in text) == bool(more)


def test_a_saving_is_over_the_cheapest_fleet_that_keeps_as_much() -> None:
    """It was over the busiest window's fleet, where that for the mean load missed no window and cost less."""
    found = over_time()
    mean, peak = (found.of(name, "disaggregated") for name in ("static-mean", "static-peak"))
    assert not mean.ok.all() and mean.bill.usd < peak.bill.usd
    assert "(static-peak, split, " in said(found, "Elastic")
    billed = replace(mean.bill, ok=np.ones_like(mean.ok))
    every = tuple(replace(one, bill=billed) if one is mean else one for one in found.outcomes)
    told = said(replace(found, outcomes=every), "Elastic")
    share = 1 - found.best.bill.usd / mean.bill.usd
    assert f"(static-mean, split, {three_digits(mean.bill.usd)} USD)" in told
    assert f"{100 * abs(share):.0f} % {'less' if share > 0 else 'more'} than" in told
    assert (
        "most windows, " in (told := said(over_time(late=("static-peak",)), "Elastic"))
        and "static-mean" in told
    )


@pytest.mark.parametrize("queued", [0, 2])
def test_windows_that_a_fleet_for_the_mean_cannot_serve_and_those_it_misses(queued: int) -> None:
    found = over_time(queued=queued)
    missed = int((~found.of("static-mean", "disaggregated").ok).sum())
    assert (f"{missed} miss their limits" in said(found, "mean load")) == bool(queued)


def test_the_best_of_those_without_foresight_is_named_once() -> None:
    """`68 by reactive and 68 by reactive scaling`."""
    others = said(over_time(late=("reactive",)), "With foresight")
    assert others.endswith("and 0 by reactive scaling.") and others.count(" by ") == 2
    found = over_time(late=("seasonal-naive", "smoothing"))
    kept = int(found.of("reactive", "disaggregated").ok.sum())
    assert said(found, "With foresight").endswith(f"; without, {kept} by reactive scaling.")


def test_a_short_horizon_is_told_in_minutes() -> None:
    assert "in 8 min." in said(over_time(), "It changes")


@pytest.mark.parametrize("width", [56, 76, 116])
def test_a_policy_is_one_line_however_narrow(width: int) -> None:
    """At 60 columns the number of changes went over to a line of its own."""
    lines = time_chart.drawn(over_time(), 0, width, UNICODE).lines
    assert max(map(len, lines)) <= width
