"""Fleets of several systems: each pool picks its own, and the plan is never worse than on any one of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from planner.errors import InputError
from planner.inputs import failures
from planner.inputs.catalog import load
from planner.inputs.fields import BY_KEY
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output import fleets
from planner.output.data import to_dict
from planner.output.limits import limits
from planner.output.notes import notes
from planner.planning import inventory, one_more, resolve, settle, solve, survive, what_if
from planner.planning.deadline import Deadline
from planner.planning.placed import to_choose
from planner.planning.plan import plan
from planner.planning.result import Plan

BASE = Scenario(
    model="llama-3.1-8b",
    engine="vllm",
    traffic=Traffic(isl=4096, osl=256),
    limits=Limits(ftl_s=2.0, ttl_s=0.02),
    fleet=Fleet(systems="h100:6,h200:4"),
)


@cache
def planned(systems: str, **changes: object) -> Plan:
    return plan(replace(BASE, fleet=Fleet(systems=systems, **changes)), load())


def loss(scenario: Scenario, found: Plan) -> float:
    """What the goal counts, the less the better."""
    best = found.chosen
    assert best is not None
    if scenario.goal == "throughput":
        return 1 / max(way.expected_requests_per_s for way in (found.disaggregated, found.colocated) if way)
    return best.gpus if scenario.goal == "fewest-gpus" else best.usd_per_million_tokens


def test_one_system_of_a_fleet_is_the_system_to_the_bit():
    fleet = to_dict(planned("h100:6"))
    alone = to_dict(plan(replace(BASE, system="h100", fleet=Fleet(gpus=6)), load()))
    for document in (fleet, alone):
        del document["seconds"]
        for way in ("disaggregated", "colocated", "mix"):
            (document[way] or {}).pop("solver", None)
    assert fleet == alone


@pytest.mark.parametrize("goal", ["throughput", "fewest-gpus", "cost"])
def test_a_fleet_is_never_worse_than_either_system_alone(goal):
    rate = None if goal == "throughput" else 4.0
    traffic = replace(BASE.traffic, requests_per_s=rate, arrivals="steady")
    asked = replace(BASE, goal=goal, slack=0.0, traffic=traffic)
    found = plan(asked, load())
    for stock in asked.fleet.stocks:
        fleet = Fleet(gpus=stock.gpus)
        alone = plan(replace(asked, system=stock.system, fleet=fleet), load())
        assert loss(asked, found) <= loss(asked, alone) * (1 + 1e-9)
    assert [one.system for one in found.alone] == ["h100", "h200"]


def test_a_fleet_in_a_budget_takes_no_solver_whose_import_costs_half_of_its_time():
    placed = settle.placements(BASE, load())
    assert len(placed) == 4 and not any(solve.takes_programs(at.question) for at in placed)
    costs = settle.placements(replace(BASE, goal="cost"), load())
    assert any(solve.takes_programs(at.question) for at in costs)


@pytest.mark.parametrize("slack", [0.0, 0.1])
def test_what_placements_share_and_leave_out_changes_no_answer(slack):
    asked = replace(BASE, slack=slack, fleet=Fleet(systems="h100:6,h200:4,b200:2,h20:8"))
    placed = settle.placements(asked, load())
    assert len(placed) == 16
    together, apart = to_choose(placed), [at.to_choose() for at in placed]
    for one, other in zip(together, apart, strict=True):
        assert one.expected is not None and other.expected is not None
        for pool in ("prefill", "decode", "colocated"):
            assert (getattr(one.expected, pool) == getattr(other.expected, pool)).all()
        assert one.expected.shifts == other.expected.shifts
    deadline = Deadline.after(60.0)
    found = settle.settle(together, deadline)
    splits = [solve.weighed(at, deadline)[0] for at in apart]
    most = [0.0 if split is None else split[0].expected_requests_per_s for split in splits]
    assert max(most) > 0 and found.split is together[most.index(max(most))]
    shared = solve.Shared()
    again = [solve.weighed(at, deadline, shared)[0] for at in together]
    assert [split and split[1] for split in again] == [split and split[1] for split in splits]


def test_pools_on_two_systems_keep_to_their_gpus_and_hand_over_at_the_slower_links_pace():
    found = planned("h100:6,h200:4").disaggregated
    assert found is not None
    assert len({pool.system for pool in found.pools}) == 2
    for pool in found.pools:
        assert pool.gpus <= {"h100": 6, "h200": 4}[pool.system]
        assert pool.link_bytes_per_s == load().system(pool.system).fabric.scale_out_bytes_per_s
    slow = planned("h100:6,h200:4+network=1e9").disaggregated
    assert slow is not None
    assert slow.kv_transfer_s > found.kv_transfer_s


def test_points_of_the_frontier_say_their_systems():
    front = planned("h100:6,h200:4").frontier_disaggregated
    assert len(front.systems) == len(front.ttl_s)
    assert {name for systems in front.systems for name in systems} <= {"h100", "h200"}
    worth = front.tokens_per_s_per_gpu * front.gpus
    assert (worth[1:] < worth[:-1]).all()


@pytest.mark.parametrize("cap", ["max_usd_per_hour", "max_kw"])
def test_caps_hold_over_both_pools(cap):
    systems = [load().system(name) for name in ("h100", "h200")]
    each = {
        s.name: s.usd_per_gpu_hour if cap == "max_usd_per_hour" else s.watts_per_gpu / 1e3 for s in systems
    }
    most = 6 * max(each.values())
    found = planned("h100:6,h200:4", **{cap: most})
    for way in (found.disaggregated, found.colocated):
        assert way is not None
        spent = sum(pool.gpus * each[pool.system] for pool in way.pools)
        assert 0.5 * most < spent <= most * (1 + 1e-9)


def test_gpus_that_cost_nothing_beside_others_count_where_money_is_not_the_goal():
    asked = replace(BASE, fleet=Fleet(systems="h100:8@0,h200:8"))
    found = plan(asked, load())
    assert found.chosen is not None and found.chosen.usd_per_million_tokens > 0
    with pytest.raises(InputError, match=r"fleet: .*prices above 0"):
        plan(replace(asked, goal="cost"), load())
    free = plan(replace(asked, goal="cost", fleet=Fleet(systems="h100:8@0,h200:8@0")), load())
    assert free.chosen is not None and free.chosen.usd_per_million_tokens == 0


def test_a_cap_on_one_system_is_so_many_gpus():
    free, capped = (
        plan(replace(BASE, system="h100", fleet=fleet), load())
        for fleet in (Fleet(gpus=4), Fleet(gpus=8, max_kw=4.9 * load().system("h100").watts_per_gpu / 1e3))
    )
    assert free.chosen is not None and capped.chosen is not None
    assert capped.chosen.gpus == free.chosen.gpus
    assert capped.chosen.expected_requests_per_s == free.chosen.expected_requests_per_s


def test_weights_are_each_gpus_own_and_the_cache_is_of_one_format():
    asked = replace(BASE, model="deepseek-r1", fleet=Fleet(systems="h200:16,b200:16,a100:16"))
    hopper, blackwell, ampere = inventory.on_each(asked, load())
    both = inventory.across(hopper, blackwell, load())
    assert both is not None
    formats = [both.pools[phase].setup.precision for phase in ("prefill", "decode")]
    assert [(fmt.gemm.name, fmt.kv) for fmt in formats] == [("fp8_block", "fp8"), ("nvfp4", "fp8")]
    assert inventory.across(ampere, hopper, load()) is None


def test_a_plan_says_which_systems_hand_no_cache_over():
    note = "the cache is bf16 on a100, fp8 on h200: no pool hands over to one of another format"
    assert any(said.startswith(note) for said in notes(planned("a100:4,h200:4")))
    assert not any("hands over" in said for said in notes(planned("h100:6,h200:4")))


@pytest.mark.parametrize(
    ("systems", "line"),
    [
        ("h1000:64,h200:8", "fleet: 'h1000' is not accepted; did you mean h100"),
        ("h100:0", "GPUs from 1 to 16,384, not 0"),
        ("h100:4,H100:8", "each system once: h100 stands there twice"),
        ("h100:4,h100-sxm:8", "each system once: two of these names are of one"),
        ("h100:4,mi300x:8", "GPUs of one maker: h100 (NVIDIA) and mi300x (AMD) hand each other no cache"),
        ("h100:4,h200", "GPUs of each system or of none counted"),
        ("h100:4,,h200", "systems and their GPUs, such as h100:64"),
        ("h100:4@-1", "a price from 0 to 1000, not -1"),
        ("h100:4+nodes=2", "after a + domain=GPUS, network=BYTES_PER_S or rack=GPUS, not nodes=2"),
    ],
)
def test_what_is_no_fleet_is_told_in_one_line(systems, line):
    with pytest.raises(InputError) as error:
        planned(systems)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cap_that_no_gpu_keeps_says_what_one_takes():
    with pytest.raises(InputError, match=r"max-kw: 0.2 is not accepted; at least .* kW: one GPU of"):
        planned("h100:6,h200:4", max_kw=0.2)


def test_what_takes_no_fleet_says_so():
    with pytest.raises(InputError, match=r"fleet: .* one system here"):
        resolve.prepare(BASE, load())


def test_a_fleet_that_cannot_serve_says_what_would():
    found = plan(replace(BASE, limits=Limits(ftl_s=2.0, ttl_s=1e-4)), load())
    assert found.chosen is None and found.infeasible is not None
    assert "ttl" in {change.field for change in found.infeasible.relax}
    assert "gpus" not in {change.field for change in found.infeasible.relax}
    for change in found.infeasible.relax:
        if change.field == "ttl":
            limits = Limits(ftl_s=2.0, ttl_s=change.value)
            assert plan(replace(BASE, limits=limits), load()).chosen is not None


def test_a_mix_serves_at_least_what_all_systems_do_side_by_side():
    found = plan(replace(BASE, mix=True, slack=0.0), load())
    assert found.mix is not None
    serving = found.mix.serving
    used = {
        name: sum(pool.gpus for pool in serving.pools if pool.system == name) for name in ("h100", "h200")
    }
    assert used["h100"] <= 6 and used["h200"] <= 4
    each = [one.serving.expected_requests_per_s for one in found.alone if one.serving is not None]
    assert serving.expected_requests_per_s >= sum(each) * (1 - 1e-6)
    assert serving.power is not None and len(serving.power.pools) == len(serving.pools)
    assert max(pool.ttl_s for pool in serving.pools if pool.phase != "prefill") <= BASE.limits.ttl_s
    assert serving.ftl_s <= BASE.limits.ftl_s


def test_what_if_moves_the_gpus_of_each_system():
    tried = what_if.changes(BASE, {"system": ("h100", "h200"), "engine": ()})
    moved = [change for change in tried if change.field == "fleet"]
    assert [change.value for change in moved] == [
        *("h100:4,h200:4", "h100:8,h200:4", "h100:16,h200:4"),
        *("h100:6,h200:3", "h100:6,h200:5", "h100:6,h200:14"),
    ]
    assert [change.told for change in moved[:3]] == ["h100 GPUs 4", "h100 GPUs 8", "10 more h100"]
    assert [change.value for change in what_if.of_field(BY_KEY["fleet"], BASE)] == [c.value for c in moved]
    assert not {"gpus", "system"} & {change.field for change in tried}
    assert what_if.yardstick(BASE).unit == "tok/s"


def test_one_more_of_a_cap_is_told_by_planning_it():
    each = load().system("h200").watts_per_gpu / 1e3
    asked = replace(BASE, system="h200", slack=0.0, fleet=Fleet(gpus=None, max_kw=4.5 * each))

    def ask(scenario: Scenario) -> Plan:
        return plan(scenario, load())

    before = ask(asked)
    assert before.scenario.fleet.gpus is None  # as asked, not what this cap allows
    told = one_more.told(before, ask)
    (kilowatt,) = told.one_more
    assert kilowatt.field == "max-kw" and kilowatt.gain > 0
    fleet = replace(asked.fleet, max_kw=4.5 * each + kilowatt.rise)
    higher = ask(replace(asked, fleet=fleet))
    assert kilowatt.value == pytest.approx(what_if.in_all(higher))
    assert kilowatt.gain == pytest.approx(what_if.in_all(higher) / what_if.in_all(before) - 1)
    (sentence,) = fleets.one_more_sentences(told)
    assert f"{100 * kilowatt.gain:.1f} %" in sentence and "kW" in sentence
    assert to_dict(told)["one_more"] == [
        {"cap": "max-kw", "rise": kilowatt.rise, "gain": kilowatt.gain, "yardstick": kilowatt.value}
    ]
    bought = [one for one in what_if.changes(asked, {}) if one.name == "one more kW"]
    assert [one.value for one in bought] == [4.5 * each + 1]


def test_a_cap_that_holds_nothing_back_says_so():
    asked = replace(BASE, system="h200", fleet=Fleet(gpus=4, max_kw=7.0))
    found = plan(asked, load())
    (kilowatt,) = one_more.told(found, lambda scenario: plan(scenario, load())).one_more
    assert kilowatt.gain == 0
    loose = replace(asked, fleet=Fleet(gpus=4, max_kw=1000.0))
    assert one_more.told(plan(loose, load()), lambda _: found).one_more == ()


def test_pools_of_a_fleet_lie_on_the_hosts_that_there_are():
    asked = replace(
        BASE, model="minimax-m2.5", fleet=Fleet(systems="h200:16,h100:24"), limits=Limits(ftl_s=4.0)
    )
    found = plan(replace(asked, engine="sglang"), load())
    for way in (found.disaggregated, found.colocated):
        assert way is not None
        nodes = survive.nodes_of(way)
        for system, some in survive.placed(way, nodes).items():
            assert max(h for one in some for h in one.hosts) < {"h200": 2, "h100": 3}[system]


@pytest.mark.parametrize("mix", [False, True])
def test_racks_are_shared_out_as_well_as_by_every_way_to_share_them_out(mix):
    """Racks of one host: as many of either system as three racks hold, against each of those fleets."""
    asked = replace(BASE, slack=0.0, mix=mix, limits=Limits(ftl_s=2.0, ttl_s=0.01))

    def most(systems: str, max_racks: int | None = None) -> float:
        found = plan(replace(asked, fleet=Fleet(systems=systems, max_racks=max_racks)), load())
        ways = found.disaggregated, found.colocated, found.mix and found.mix.serving
        if max_racks is not None:
            assert all(survive.racks(way) <= max_racks for way in ways if way)
            assert found.chosen is not None
            (told,) = [use for use in limits(found, found.chosen) if use.key == "max-racks"]
            assert told.text == f"{survive.racks(found.chosen)} of {max_racks}"
        return max(way.expected_requests_per_s for way in ways if way)

    each = [most(f"h100:{8 * n},h200:{8 * (3 - n)}") for n in (1, 2)]
    each += [most("h100:16"), most("h200:24")]
    assert most("h100:16+rack=8,h200:24+rack=8", max_racks=3) == pytest.approx(max(each), rel=1e-6)


def test_racks_on_one_system_are_the_gpus_of_so_many():
    asked = replace(BASE, engine="trtllm", system="gb200")
    gpus, racks = (
        plan(replace(asked, fleet=fleet), load()) for fleet in (Fleet(gpus=72), Fleet(gpus=None, max_racks=1))
    )
    assert gpus.chosen is not None and racks.chosen is not None
    assert racks.chosen.gpus == gpus.chosen.gpus and survive.racks(racks.chosen) == 1
    assert racks.chosen.expected_requests_per_s == gpus.chosen.expected_requests_per_s


def test_a_rack_is_a_domain_of_several_hosts_else_some_hosts_else_what_a_fleet_says():
    catalog = load()
    assert failures.nodes(catalog.system("gb200")).rack_gpus == 72
    assert failures.nodes(catalog.system("h100")).rack_gpus == 32
    (question, _) = inventory.on_each(
        replace(BASE, fleet=Fleet(systems="h100:64+rack=16,h200:32", max_racks=3)), catalog
    )
    assert failures.nodes(question.pools["decode"].system).rack_gpus == 16
    assert question.scenario.fleet.gpus == 48
    found = planned("h100:64+rack=16,h200:32", max_racks=3).disaggregated
    assert found is not None
    nodes = survive.nodes_of(found)  # what a rack that is lost takes, too
    assert all(nodes[pool.system].rack_gpus == {"h100": 16, "h200": 32}[pool.system] for pool in found.pools)
    for systems, line in (
        ("h100:8+rack=12,h200:8", "fleet: rack: 12 is not accepted; whole hosts of 8 GPUs"),
        ("gb200:72+rack=36,b200:8", "fleet: rack: 36 is not accepted; 72, the GPUs of a scale-up domain"),
        ("h100:8+shelf=2", "network=BYTES_PER_S or rack=GPUS, not shelf=2"),
    ):
        with pytest.raises(InputError) as error:
            planned(systems)
        assert line in str(error.value)


def test_one_more_rack_is_told_by_planning_it():
    asked = replace(BASE, system="h200", slack=0.0, fleet=Fleet(gpus=None, max_racks=1))
    found = plan(asked, load())
    told = one_more.told(found, lambda scenario: plan(scenario, load()))
    (rack,) = told.one_more
    assert (rack.field, rack.rise) == ("max-racks", 1.0) and rack.gain == pytest.approx(1.0, abs=0.1)
    assert fleets.one_more_sentences(told)[0].startswith("One more rack buys ")
    changes = {one.name: one.value for one in what_if.changes(asked, {})}
    assert changes["one more rack"] == 2 and changes["racks at most"] == 2


def test_what_more_brings_to_a_mix_is_held_against_the_mix():
    asked = replace(BASE, slack=0.0, mix=True, fleet=Fleet(systems="h100:16+rack=8,h200:8", max_racks=2))

    def ask(scenario: Scenario) -> Plan:
        return plan(scenario, load())

    before = ask(asked)
    (rack,) = one_more.told(before, ask).one_more
    more = ask(replace(asked, fleet=replace(asked.fleet, max_racks=3)))
    assert before.mix is not None and more.mix is not None
    assert rack.value == pytest.approx(
        more.mix.serving.capacity_tokens_per_s_per_gpu * more.mix.serving.gpus, rel=1e-6
    )
    mixes = [of.mix.serving.capacity_requests_per_s for of in (before, more)]
    assert 1 + rack.gain == pytest.approx(mixes[1] / mixes[0], rel=1e-6)
