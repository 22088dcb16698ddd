"""Where images are encoded: a third phase of the match, exact, counted once, alike in both ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning import settle, solve
from planner.planning.deadline import Deadline
from planner.planning.placed import Placed
from planner.planning.plan import plan
from planner.planning.result import Plan
from planner.simulate.points import Points

PRESETS = load()
ASKED = Scenario(
    model="qwen3.6-27b",
    system="h100",
    engine="vllm",
    traffic=Traffic(isl=512, osl=128, images=3.0),
    limits=Limits(ftl_s=1.5, ttl_s=0.04),
    fleet=Fleet(gpus=12),
    robust=False,
    slack=0.0,
)


def asked(gpus: int = 12, **traffic: object) -> Scenario:
    more = replace(ASKED.traffic, **traffic)  # type: ignore[arg-type]
    return replace(ASKED, traffic=more, fleet=Fleet(gpus=gpus))


@cache
def placements(scenario: Scenario) -> tuple[Placed, ...]:
    return settle.placements(scenario, PRESETS)


@cache
def planned(scenario: Scenario) -> Plan:
    return plan(scenario, PRESETS)


def pools(points: Points, usable: np.ndarray, gpus: int) -> Iterator[tuple[int, float]]:
    """GPUs and requests/s of every pool of one design point, by hand."""
    for row in np.flatnonzero(usable):
        size, rate = int(points.gpus[row]), float(points.requests_per_s[row])
        yield from ((n * size, n * rate) for n in range(1, gpus // size + 1))


def most_fed(points: Points, usable: np.ndarray, encoder: float | None, gpus: int) -> np.ndarray:
    """The most that prompts are computed at on up to so many GPUs, those of encoders among them."""
    best = np.zeros(gpus + 1)
    for x, rate in pools(points, usable, gpus):
        for m in range(1, gpus - x + 1) if encoder else (0,):
            best[x + m] = max(best[x + m], min(rate, m * encoder) if encoder else rate)
    return np.maximum.accumulate(best)


@pytest.mark.parametrize("images", [0.5, 3.0, 12.0])
def test_an_encoder_pool_is_matched_as_by_brute_force(images: float) -> None:
    scenario = asked(images=images, image_tokens=1024)
    gpus, limits = 12, scenario.limits
    seen = set()
    for at in placements(scenario):
        at = replace(at, expected=None)
        encoder = at.question.encoder
        each = None if encoder is None else encoder.requests_per_s
        seen.add(each is None)
        found = solve.weighed(at, Deadline.after(10.0))
        sweep, both = at.sweep, at.sweep.colocated
        prompts = most_fed(sweep.prefill, sweep.split_ftl_s <= limits.ftl_s, each, gpus)
        tokens = most_fed(sweep.decode, sweep.decode.ttl_s <= limits.ttl_s, None, gpus)
        split = max(min(prompts[x], tokens[gpus - x]) for x in range(gpus + 1))
        copies = most_fed(both, (both.ttl_s <= limits.ttl_s) & (both.ftl_s <= limits.ftl_s), each, gpus)[-1]
        for way, best in zip(found, (split, copies), strict=True):
            assert (0.0 if way is None else way[0].capacity_requests_per_s) == pytest.approx(best)
            if way is not None:
                assert way[0].gpus <= gpus
    assert seen == {True, False}


def test_the_plan_is_the_better_of_both_places_and_both_are_told() -> None:
    apart, here, auto = (planned(asked(encoder=where)) for where in ("pool", "in-place", "auto"))
    for way in ("disaggregated", "colocated"):
        rates = [getattr(found, way).expected_requests_per_s for found in (apart, here)]
        best = getattr(auto, way)
        assert best.expected_requests_per_s == pytest.approx(max(rates))
        told = {one.pool: one.serving for one in auto.encoded if one.way == way}
        assert [told[pool].expected_requests_per_s for pool in (True, False)] == pytest.approx(rates)
    assert len(auto.encoded) == 4


def test_gpus_dollars_watts_and_latency_count_the_encoders_once() -> None:
    found = planned(asked(encoder="pool"))
    usd = PRESETS.system("h100").usd_per_gpu_hour
    for serving in (found.disaggregated, found.colocated):
        assert serving is not None and serving.encoder is not None and serving.power is not None
        encoders = serving.encoder
        assert encoders.instances >= 1 and 0 < encoders.utilisation <= 1 + 1e-9
        assert serving.gpus == sum(pool.gpus for pool in serving.pools) + encoders.gpus
        tokens = serving.requests_per_s * 127
        assert serving.usd_per_million_tokens == pytest.approx(1e6 * serving.gpus * usd / 3600 / tokens)
        assert serving.watts == pytest.approx(serving.gpus * PRESETS.system("h100").watts_per_gpu)
        assert sum(pool.gpus for pool in serving.power.pools) == serving.gpus
        assert serving.power.pools[-1].phase == "encode"
        alone = serving.pools[0].ftl_s + (0.0 if len(serving.pools) == 1 else encoders.added_ftl_s)
        assert serving.ftl_s >= alone and serving.pools[0].ftl_s > encoders.pass_s * (len(serving.pools) == 1)


def test_images_cost_more_than_as_many_tokens_of_text() -> None:
    text = planned(replace(asked(images=0.0), traffic=Traffic(isl=512 + 3 * 1024, osl=128)))
    seen = planned(asked())
    assert text.encoded == () and text.disaggregated is not None and seen.disaggregated is not None
    assert text.disaggregated.encoder is None
    assert seen.disaggregated.capacity_requests_per_s < text.disaggregated.capacity_requests_per_s


def test_arrivals_and_losses_take_more_encoders_not_fewer() -> None:
    base = replace(asked(24, encoder="pool", requests_per_s=8.0, arrivals="steady"), goal="fewest-gpus")
    queued = replace(base, traffic=replace(base.traffic, arrivals="poisson"))
    safe = replace(base, fleet=replace(base.fleet, survive="gpu"))
    steady, waits, survives = (planned(one).disaggregated for one in (base, queued, safe))
    assert steady and waits and survives and steady.encoder and waits.encoder and survives.encoder
    assert waits.encoder.instances >= steady.encoder.instances
    assert survives.encoder.instances >= steady.encoder.instances + 1
    assert waits.encoder.added_ftl_s == pytest.approx(steady.encoder.added_ftl_s + steady.encoder.pass_s)


def test_in_a_fleet_the_encoders_are_on_the_system_that_computes_the_prompts() -> None:
    scenario = replace(asked(encoder="pool"), fleet=Fleet(systems="h100:8,h200:6"))
    found = planned(scenario)
    for serving in (found.disaggregated, found.colocated):
        assert serving is not None and serving.encoder is not None
        assert serving.encoder.system == serving.pools[0].system
        used = {one.system: 0 for one in serving.pools} | {serving.encoder.system: serving.encoder.gpus}
        for pool in serving.pools:
            used[pool.system] += pool.gpus
        assert all(gpus <= {"h100": 8, "h200": 6}[system] for system, gpus in used.items())
    assert [one.system for one in found.alone] == ["h100", "h200"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "llama-3.1-8b"}, "images"),
        ({"model": "gemma-4-31b", "traffic": replace(ASKED.traffic, image_tokens=100)}, "image-tokens"),
        ({"traffic": replace(ASKED.traffic, encoder="pool"), "mix": True}, "encoder"),
        ({"traffic": replace(ASKED.traffic, encoder="pool"), "goal": "tokens-per-watt"}, "encoder"),
    ],
)
def test_what_cannot_be_planned_is_one_line(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        plan(replace(ASKED, **changes), PRESETS)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
