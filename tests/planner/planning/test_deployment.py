"""A deployment that is given, whole or in part: what is given holds, and the rest is the best beside it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from planner import Deployment, Fleet, InputError, Limits, Scenario, load, plan
from planner.inputs import scenario_file
from planner.inputs.deployment_fields import fitted
from planner.match import counted, milp, rate_match
from planner.match.counted import Counts
from planner.match.problem import Problem
from planner.match.robust import errors
from planner.output import text
from planner.output.data import to_json
from planner.output.verdict import answer_sentence

PRESETS = load()
DENSE = Scenario(model="llama-3.1-70b", system="h200")
EXPERTS = Scenario(model="deepseek-r1", system="h200", engine="sglang", fleet=Fleet(gpus=96))


def given(base=DENSE, **parts):
    return replace(base, deployment=Deployment(**parts))


def pools_of(answer):
    return [(p.phase, p.layout.label, p.instances) for p in answer.chosen.pools]


def test_a_whole_split_is_the_plan():
    own = given(
        EXPERTS, prefill_layout="dep16", prefill_instances=2, decode_layout="DEP16", decode_instances=4
    )
    answer = plan(own, PRESETS)
    assert pools_of(answer) == [("prefill", "DEP16", 2), ("decode", "DEP16", 4)]
    assert answer.choice == "disaggregated"
    assert answer.chosen.gpus == 96
    assert answer.chosen.ttl_s <= own.limits.ttl_s and answer.chosen.ftl_s <= own.limits.ftl_s
    assert answer_sentence(answer).startswith("As given: ")
    data = json.loads(to_json(answer))
    assert data["scenario"]["prefill-layout"] == "dep16" and data["scenario"]["decode-instances"] == 4
    assert [pool["layout"]["label"] for pool in data["pools"]] == ["DEP16", "DEP16"]
    assert data["colocated"]["gpus"] <= 96  # what it is held to


@pytest.mark.parametrize("goal, gpus", [("throughput", 64), ("fewest-gpus", 64), ("cost", None)])
@pytest.mark.parametrize(
    "parts",
    [
        {"prefill_instances": 4},
        {"decode_instances": 3},
        {"prefill_instances": 3, "decode_instances": 2},
        {"prefill_layout": "TP2", "decode_instances": 5},
        {"colocated_layout": "TP4"},
        {"colocated_instances": 3},
        {"decode_layout": "PP2xTP4"},
    ],
)
def test_any_part_holds_and_the_rest_is_planned(parts, goal, gpus):
    own = replace(given(**parts), fleet=Fleet(gpus=gpus), goal=goal)
    if goal == "fewest-gpus":
        own = replace(own, traffic=replace(own.traffic, requests_per_s=4.0))
    answer = plan(own, PRESETS)
    assert answer.choice == own.deployment.way
    for pool in answer.chosen.pools:
        assert own.deployment.instances(pool.phase) in (None, pool.instances)
        layout = own.deployment.layout(pool.phase)
        assert layout is None or layout[:5] == (
            pool.layout.tp,
            pool.layout.pp,
            pool.layout.attention_dp,
            pool.layout.moe_tp,
            pool.layout.ep,
        )
    assert gpus is None or answer.chosen.gpus <= gpus
    if goal == "fewest-gpus":
        assert answer.chosen.capacity_requests_per_s >= 4.0 * (1 - 1e-6)


def test_what_the_plan_finds_is_found_again_when_given():
    free = plan(replace(DENSE, slack=0.0), PRESETS)
    split = free.disaggregated
    parts = {f"{p.phase}_layout": p.layout.label for p in split.pools}
    parts |= {f"{p.phase}_instances": p.instances for p in split.pools}
    again = plan(replace(given(**parts), slack=0.0), PRESETS).disaggregated
    assert again.capacity_requests_per_s == pytest.approx(split.capacity_requests_per_s, rel=1e-9)
    assert again.expected_requests_per_s > split.expected_requests_per_s  # it is no luckiest of many
    # one more or less of a pool is never better in the same budget
    for phase in ("prefill", "decode"):
        for count in (parts[f"{phase}_instances"] - 1, parts[f"{phase}_instances"] + 1):
            other = replace(given(**{f"{phase}_instances": count}), slack=0.0)
            found = plan(other, PRESETS).disaggregated
            assert found.expected_requests_per_s <= split.expected_requests_per_s * (1 + 1e-9)


def test_a_given_deployment_that_misses_the_limits_says_so():
    answer = plan(replace(given(prefill_instances=4), limits=Limits(ttl_s=0.002)), PRESETS)
    assert answer.chosen is None and answer.infeasible.relax
    assert "The deployment that is given does not meet the limits" in text.to_text(answer)
    change = next(r for r in answer.infeasible.relax if r.field == "ttl")
    mended = replace(answer.scenario, limits=replace(answer.scenario.limits, ttl_s=change.value))
    found = plan(mended, PRESETS)
    assert found.chosen is not None and found.chosen.prefill.instances == 4


def test_more_than_the_given_instances_serve_is_told():
    own = given(colocated_layout="TP4", colocated_instances=2)
    own = replace(own, traffic=replace(own.traffic, requests_per_s=30.0))
    answer = plan(own, PRESETS)
    assert answer.chosen is None
    assert [r.field for r in answer.infeasible.relax] == ["rate"]


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"decode_layout": "TP7"}, "decode-layout: 'TP7' is not accepted; llama-3.1-70b"),
        ({"prefill_layout": "DEP8"}, "prefill-layout: 'DEP8' is not accepted; llama-3.1-70b"),
        ({"prefill_layout": "PP99xTP1"}, "prefill-layout: 'PP99xTP1' is not accepted; gpus"),
        ({"prefill_layout": "8"}, "prefill-layout: '8' is not accepted; a layout as plans name it"),
        ({"prefill_layout": 8}, "prefill-layout: 8 is not accepted"),
        ({"prefill_instances": 0}, "prefill-instances: 0 is not accepted"),
        ({"prefill_layout": "TP8", "prefill_instances": 9}, "gpus: 64 is not accepted; at least 72"),
    ],
)
def test_what_cannot_be_is_one_line(parts, line):
    with pytest.raises(InputError) as refused:
        plan(given(**parts), PRESETS)
    shown = str(refused.value)
    assert shown.startswith(line.split("; gpus")[0]) or shown.startswith("gpus: ")
    assert shown.isprintable()


def test_an_engine_that_does_not_make_a_layout_says_so():
    with pytest.raises(InputError, match="its flags do not make"):
        plan(given(replace(EXPERTS, engine="trtllm"), decode_layout="TP2DP8EP16"), PRESETS)
    with pytest.raises(InputError, match="mix: 'on' is not accepted"):
        plan(replace(given(prefill_instances=2), mix=True), PRESETS)


def test_a_whole_deployment_brings_its_gpus():
    own = given(prefill_layout="TP4", prefill_instances=20, decode_layout="TP8", decode_instances=10)
    assert fitted(own).fleet.gpus == 160
    assert fitted(given(prefill_layout="TP4")).fleet.gpus == 64
    file = 'schema = 1\nprefill-layout = "TP4"\nprefill-instances = 20\ndecode_layout = "tp8"\n'
    read = scenario_file.read(file + "decode-instances = 10\n", PRESETS)
    assert read.fleet.gpus == 160 and read.deployment.decode_layout == "TP8"
    assert scenario_file.read(scenario_file.write(read, catalog=PRESETS), PRESETS) == read


@pytest.mark.parametrize("seed", range(20))
def test_counted_matches_are_those_of_trying_all(seed):
    random = np.random.default_rng(seed)
    sizes = [random.integers(1, 9, size=4) for _ in range(2)]
    rates = [size * random.uniform(0.5, 1.5, size=4) for size in sizes]
    off = errors(0.2, 0.1)
    budget = int(random.integers(12, 40))
    counts = Counts(
        prefill=int(random.integers(1, 4)), decode=None if seed % 2 else int(random.integers(1, 4))
    )
    none = np.empty(0)
    problem = Problem(
        prefill_gpus=sizes[0], prefill_rate=rates[0], decode_gpus=sizes[1], decode_rate=rates[1],
        colocated_gpus=none.astype(int), colocated_rate=none, budget=budget, errors=off, counts=counts,
    )  # fmt: skip
    every = [
        (float(off.expected(counts.prefill * rates[0][i], n * rates[1][j])), i, j, n)
        for i in range(4)
        for j in range(4)
        for n in ([counts.decode] if counts.decode else range(1, budget + 1))
        if counts.prefill * sizes[0][i] + n * sizes[1][j] <= budget
    ]
    found = milp.solve(problem)
    if not every:
        assert found.status == "infeasible"
        return
    most = max(every)[0]
    assert found.expected_requests_per_s == pytest.approx(most, rel=1e-9)
    assert found.prefill.sum() == counts.prefill and counts.decode in (None, found.decode.sum())
    assert milp.most(problem) == pytest.approx(most, rel=1e-9) and milp.exists(problem)
    # the match of a frontier, rates as known, each decode candidate by itself
    match = counted.match(
        *(x for pair in zip(sizes, rates, strict=True) for x in pair), counts, budget=budget
    )
    for j in range(4):
        mine = [
            min(counts.prefill * rates[0][i], n * rates[1][j])
            for _, i, at, n in every
            if at == j
        ]  # fmt: skip
        assert match.requests_per_s[j] == pytest.approx(max(mine, default=0.0), rel=1e-9)
        assert match.gpus[j] <= budget


def test_a_given_number_of_any_size_matches_as_the_budget_does_where_it_is_the_best():
    gpus, rate = np.array([1, 2, 4]), np.array([1.0, 2.1, 4.0])
    free = rate_match.match_budget(gpus, rate, gpus, rate, budget=16)
    for j in range(3):
        counts = Counts(decode=int(free.n_decode[j]))
        one = counted.match(gpus, rate, gpus[[j]], rate[[j]], counts, budget=16)
        assert one.requests_per_s[0] == pytest.approx(free.requests_per_s[j])
