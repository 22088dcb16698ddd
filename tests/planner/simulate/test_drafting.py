"""Drafted tokens: what they bring and cost, alike in both ways of serving."""

from dataclasses import replace

import numpy as np
import pytest

from planner.inputs import checks
from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Scenario, Traffic
from planner.planning.resolve import prepare
from planner.planning.sweep import Sweep, run
from planner.simulate import decode, memory, space
from planner.simulate.points import Points

R1 = Scenario(
    model="deepseek-r1",
    system="h200",
    engine="sglang",
    traffic=Traffic(isl=1024, osl=2048),
    fleet=Fleet(gpus=16, instance_gpus=16),
)
DENSE = replace(R1, model="llama-3.1-70b", draft_cost=0.03)
ASKED = {"heads": R1, "draft model": DENSE, "draft model in place of heads": replace(R1, draft_cost=0.03)}


def swept(scenario: Scenario) -> Sweep:
    return run(prepare(scenario, load()), scenario.fleet.gpus)


def best(points: Points, ttl_s: float = np.inf) -> float:
    """Requests/s per GPU of the best point within a limit."""
    met = points.ttl_s <= ttl_s
    return float((points.requests_per_s[met] / points.gpus[met]).max())


def ways(scenario: Scenario) -> tuple[float, ...]:
    """The best of decode and of co-located serving, at a limit that binds and without one."""
    found = swept(scenario)
    return tuple(best(p, ttl_s) for ttl_s in (0.02, np.inf) for p in (found.decode, found.colocated))


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_what_is_never_taken_never_helps(asked: Scenario) -> None:
    plain = ways(replace(asked, mtp=0))
    for mtp in (1, 3):
        drafted = ways(replace(asked, mtp=mtp, mtp_acceptance=0.0))
        assert all(a < b for a, b in zip(drafted, plain, strict=True))


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_more_acceptance_never_hurts(asked: Scenario) -> None:
    found = np.array([ways(replace(asked, mtp=2, mtp_acceptance=share)) for share in (0.0, 0.4, 0.8, 1.0)])
    assert np.all(np.diff(found, axis=0) > 0)


@pytest.mark.parametrize("model", ["llama-3.1-70b", "deepseek-r1"])
def test_free_drafts_that_are_always_taken_help_both_ways(model: str) -> None:
    asked = replace(R1, model=model)
    free = replace(asked, mtp=1, draft_cost=0.0, mtp_acceptance=1.0)
    gains = np.array(ways(free)) / np.array(ways(asked))
    assert np.all(gains > 1)
    dearer = np.array(ways(replace(free, draft_cost=0.1)))
    assert np.all(dearer < np.array(ways(free)))


def test_a_draft_model_takes_its_share_of_memory() -> None:
    setups = [
        prepare(replace(DENSE, mtp=mtp, draft_cost=cost), load()).pools["decode"].setup
        for mtp, cost in ((0, 0.1), (2, 0.1), (2, 0.0))
    ]
    at = space.layouts(setups[0].model, "decode", max_gpus=1, scale_up_gpus=8)
    none, tenth, free = (
        memory.weight_bytes(setup.model, setup.precision, at, mtp)
        for setup, mtp in zip(setups, (0, 2, 2), strict=True)
    )
    np.testing.assert_allclose(tenth, 1.1 * none)
    np.testing.assert_array_equal(free, none)
    none, tenth = (
        decode.cache_bytes(setup, at, 4.0, isl=1024, osl=256, mtp=mtp)
        for setup, mtp in zip(setups, (0, 2), strict=False)
    )
    np.testing.assert_allclose(tenth, 1.1 * np.asarray(none))


# as InferenceX measured them: tokens a step with one, two and three drafted
MEASURED = {
    "deepseek-v4-pro": (1.79, 2.27, 2.49),
    "deepseek-v4-flash": (1.79, 2.27, 2.49),
    "qwen3.5-397b-a17b": (1.93, 2.73, 3.39),
    "qwen3.5-27b": (1.93, 2.73, 3.39),
    "glm-5": (1.84, 2.50, 2.99),
    "kimi-k2.5": (1.83, 2.43, 2.88),
}


@pytest.mark.parametrize("name", MEASURED)
def test_tokens_per_step_are_those_measured(name: str) -> None:
    model = load().model(name)
    later = decode.later_drafts(model)
    for mtp, known in enumerate(MEASURED[name], 1):
        assert decode.tokens_per_step(mtp, model.mtp_acceptance[0], later) == pytest.approx(known, abs=0.01)
    assert "InferenceX" in model.mtp_source


def test_where_no_one_measured_the_published_shares_stand() -> None:
    assert decode.later_drafts(load().model("minimax-m2.5")) == decode.LATER_DRAFTS
    assert decode.later_drafts(load().model("deepseek-r1")) == decode.LATER_DRAFTS


def test_what_is_known_of_heads_says_nothing_of_a_draft_model() -> None:
    v4 = replace(R1, model="deepseek-v4-pro", mtp=2, system="b200")
    assert prepare(v4, load()).acceptance == 0.79
    assert prepare(replace(v4, draft_cost=0.05), load()).acceptance == decode.ACCEPTANCE
    kimi = replace(R1, model="kimi-k2.5", mtp=2, draft_cost=0.02)
    assert prepare(kimi, load()).acceptance == 0.83
    assert prepare(replace(kimi, mtp_acceptance=0.5), load()).acceptance == 0.5


def test_an_engine_that_cannot_draft_in_pipelines_does_not() -> None:
    for asked in (replace(DENSE, engine="trtllm", mtp=2), replace(R1, engine="trtllm", mtp=2)):
        found = swept(asked)
        assert set(found.decode.layouts.pp.ravel().tolist()) == {1}


@pytest.mark.parametrize("key, value", [("mtp_acceptance", (0.9, 1.1)), ("draft_share", 1.5)])
def test_a_preset_with_more_than_all_is_refused(key: str, value: object) -> None:
    model = replace(load().model("deepseek-r1"), **{key: value})
    with pytest.raises(ValueError, match=rf"{key}.*at most 1"):
        checks.model(model, "r1.toml")
