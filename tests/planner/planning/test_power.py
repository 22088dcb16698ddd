"""What a plan draws: pools between idle and busy, more with more load, and a weight for every candidate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner import Fleet, Scenario, Traffic, load, plan
from planner.output.data import to_dict
from planner.output.html import to_html
from planner.output.tables import comparison_rows
from planner.output.text import to_text
from planner.planning import power, resolve, sweep
from planner.planning.energy import RANGE
from planner.simulate.points import Points

CATALOG = load()
SPLIT = Scenario(model="llama-3.1-8b", system="h100", engine="vllm", fleet=Fleet(gpus=8))
WAY_OF = {1: "colocated", 2: "disaggregated"}  # by the number of its pools
EXPERTS = Scenario(model="gpt-oss-20b", system="mi300x", engine="vllm", fleet=Fleet(gpus=8))


@pytest.fixture(scope="module")
def found():
    return plan(SPLIT, CATALOG)


def test_both_ways_say_watts_and_joules(found):
    question = resolve.prepare(SPLIT, CATALOG)
    for serving in (found.disaggregated, found.colocated):
        drawn = power.of(question, serving)
        assert drawn.idle_watts < drawn.watts <= drawn.busy_watts <= serving.gpus * 700.0
        assert drawn.watts < serving.watts  # all-in is more
        assert sum(pool.gpus for pool in drawn.pools) == serving.gpus
        tokens = serving.tokens_per_s_per_gpu * serving.gpus
        assert drawn.joules_per_token == pytest.approx(drawn.watts / tokens)
        assert serving.power.pools == drawn.pools
        assert len(to_dict(found)[WAY_OF[len(serving.pools)]]["power"]["pools"]) == len(serving.pools)
    told = to_dict(found)["colocated"]["power"]
    assert told["gpu_watts"] == found.colocated.power.watts and told["rated_watts"] == found.colocated.watts
    assert [pool["phase"] for pool in told["pools"]] == ["colocated"]


def test_a_report_has_the_watts_of_either_way_and_a_plan_computes_them_for_neither(monkeypatch):
    computed = []
    pool = power._pool
    monkeypatch.setattr(power, "_pool", lambda question, of: computed.append(of) or pool(question, of))
    found = plan(SPLIT, CATALOG)
    assert not computed
    rows = {name: (split, colocated) for name, split, colocated in comparison_rows(found)}
    for name in ("GPU power", "J per output token"):
        assert rows[name][0] != "-" and rows[name][1] != "-"
    to_html(found)
    assert len(computed) == 3  # each pool once


def test_watts_and_joules_have_ranges_within_what_boards_draw(found):
    for way, serving in (("disaggregated", found.disaggregated), ("colocated", found.colocated)):
        drawn, told = serving.power, to_dict(found)[way]
        low, high = told["gpu_watts_band"]
        assert low == pytest.approx(RANGE[0] * drawn.watts)
        assert high == pytest.approx(min(RANGE[1] * drawn.watts, serving.gpus * 700.0))
        least, most = serving.range or found.bands[way].throughput
        joules = told["joules_per_output_token_band"]
        # as wide as either alone, and not as both at once
        assert joules[1] / joules[0] > max(high / low, most / least)
        assert joules[0] > low / drawn.watts / most * drawn.joules_per_token
        assert joules[1] < high / drawn.watts / least * drawn.joules_per_token
    assert drawn.joules_range() == pytest.approx((low / drawn.tokens_per_s, high / drawn.tokens_per_s))


def test_joules_at_a_rate_have_the_range_of_the_watts_alone(found):
    rate = 0.3 * found.chosen.requests_per_s
    asked = plan(replace(SPLIT, traffic=Traffic(requests_per_s=rate, arrivals="steady")), CATALOG)
    told = to_dict(asked)["colocated"]
    tokens = asked.colocated.power.tokens_per_s
    assert told["joules_per_output_token_band"] == pytest.approx(
        [end / tokens for end in told["gpu_watts_band"]]
    )
    rows = to_text(asked)
    assert "  GPU power " in rows.split("What to expect")[1]


def test_watts_rise_with_the_load(found):
    question = resolve.prepare(SPLIT, CATALOG)
    for pool in (*found.disaggregated.pools, *found.colocated.pools):
        loads, watts = power.curve(question, pool)
        assert loads[0] == 0.0 and loads[-1] == pytest.approx(1.0)
        assert np.all(np.diff(loads) >= 0) and np.all(np.diff(watts) >= 0)
        drawn = [power._pool(question, replace(pool, utilisation=u)) for u in (0.0, 0.3, 0.7, 1.0)]
        assert [one.watts for one in drawn] == sorted(one.watts for one in drawn)
        assert drawn[0].watts == drawn[0].idle_watts and drawn[-1].watts == drawn[-1].busy_watts


def test_a_lower_rate_draws_less_and_takes_more_joules_a_token(found):
    rate = found.chosen.requests_per_s
    steady = replace(SPLIT, traffic=Traffic(requests_per_s=0.3 * rate, arrivals="steady"))
    some = plan(replace(steady, deployment=SPLIT.deployment), CATALOG).colocated
    full = found.colocated
    assert some.gpus == full.gpus or some.gpus < full.gpus
    per_gpu = [serving.power.watts / serving.gpus for serving in (some, full)]
    assert per_gpu[0] <= per_gpu[1] * (1 + 1e-9)


@pytest.mark.parametrize("scenario", [SPLIT, EXPERTS], ids=["dense", "experts"])
def test_every_candidate_has_its_watts(scenario):
    """Vectorised over layouts of all kinds, the same as of each alone."""
    question = resolve.prepare(scenario, CATALOG)
    swept = sweep.run(question, scenario.fleet.gpus)
    points: Points
    for points in (swept.prefill, swept.decode, swept.colocated):
        rows = np.linspace(0, len(points) - 1, 40).astype(np.intp)
        together = power.curves(question, points, rows)[1][:, -1]
        gpu = question.pools[points.phase].setup.machine.gpu
        assert np.all((together > 0.16 * gpu.watts) & (together <= gpu.watts))
        alone = [power.curves(question, points, rows[i : i + 1])[1][0, -1] for i in (0, 17, 39)]
        assert together[[0, 17, 39]] == pytest.approx(alone)
