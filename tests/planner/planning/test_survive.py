"""Plans that survive a loss: whatever single part is lost, what is left serves what was asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner import Fleet, InputError, Limits, Scenario, Traffic, load, plan
from planner.inputs.failures import Nodes, nodes
from planner.output.data import to_dict
from planner.output.loss_words import survival_sentences
from planner.output.notes import notes
from planner.output.place_notes import host_notes
from planner.planning import options, places, resolve, survive, sweep
from planner.planning.places import Size

CATALOG = load()
SMALL = Scenario(
    model="llama-3.1-8b",
    system="h100",
    engine="vllm",
    traffic=Traffic(isl=4096, osl=512, requests_per_s=20.0, arrivals="steady"),
    limits=Limits(ftl_s=2.0, ttl_s=0.03),
    fleet=Fleet(gpus=128, instance_gpus=2),
    goal="fewest-gpus",
    slack=0.0,
    robust=False,
)


def surviving(loss, scenario=SMALL):
    return replace(scenario, fleet=replace(scenario.fleet, survive=loss))


@pytest.mark.parametrize("loss, arrivals", [("gpu", "steady"), ("node", "poisson"), ("rack", "steady")])
def test_after_every_single_loss_both_ways_still_serve_the_demand(loss, arrivals):
    asked = surviving(loss, replace(SMALL, traffic=replace(SMALL.traffic, arrivals=arrivals)))
    found = plan(asked, CATALOG)
    at = {"h100": nodes(CATALOG.system("h100"))}
    free = plan(replace(asked, fleet=replace(asked.fleet, survive="none")), CATALOG)
    for serving, without in (
        (found.disaggregated, free.disaggregated),
        (found.colocated, free.colocated),
    ):
        where = survive.placed(serving, at)
        every = survive.strikes(loss, where, at)
        assert {one for struck in every for one in struck} == {
            (i, n) for i, pool in enumerate(serving.pools) for n in range(pool.instances)
        }
        for struck in every:
            assert survive.left(serving, struck) >= 20.0 * (1 - 1e-9)
        assert serving.gpus >= without.gpus
    told = found.survival
    assert told.loss == loss and told.gpus_without == free.chosen.gpus
    assert told.cost_gpus == found.chosen.gpus - free.chosen.gpus
    assert told.availability > told.availability_without or not told.cost_gpus
    assert to_dict(found)["survival"]["costs_gpus"] == told.cost_gpus
    assert "still served" in survival_sentences(found)[0] and not survival_sentences(free)


def test_the_fewest_gpus_that_survive_an_instance_are_those_of_brute_force():
    """Every number of instances of every point that meets the limits, one of them lost."""
    found = plan(surviving("instance"), CATALOG)
    swept = sweep.run(resolve.prepare(SMALL, CATALOG), 128)
    limits = SMALL.limits

    def least(points, rows):
        rate = points.requests_per_s[rows]
        return (np.ceil(20.0 / rate * (1 - 1e-12)) + 1) * points.gpus[rows]

    both = swept.colocated
    meets = np.flatnonzero((both.ftl_s <= limits.ftl_s) & (both.ttl_s <= limits.ttl_s))
    assert found.colocated.gpus == least(both, meets).min()
    prompts = least(swept.prefill, np.flatnonzero(swept.split_ftl_s <= limits.ftl_s)).min()
    steps = least(swept.decode, np.flatnonzero(swept.decode.ttl_s <= limits.ttl_s)).min()
    assert found.disaggregated.gpus == prompts + steps


def test_without_a_rate_throughput_counts_after_the_loss():
    endless = replace(
        SMALL,
        traffic=replace(SMALL.traffic, requests_per_s=None),
        goal="throughput",
        fleet=Fleet(gpus=64, instance_gpus=2),
    )
    found = plan(surviving("node", endless), CATALOG)
    at = {"h100": nodes(CATALOG.system("h100"))}
    serving = found.chosen
    struck = survive.worst("node", serving, at)
    assert survive.left(serving, struck) == pytest.approx(serving.requests_per_s)
    assert 0.05 < found.survival.cost_share < 0.3  # a node is an eighth of the fleet
    with pytest.raises(InputError, match=r"survive: 'node'.*endless fleet"):
        plan(replace(surviving("node", endless), fleet=Fleet(gpus=None, survive="node")), CATALOG)


SIZES = st.builds(
    lambda gpus, tp, n: Size(instances=n, gpus=gpus * tp, stage=gpus * tp, tp=tp),
    st.sampled_from([1, 2, 3, 4, 5, 8, 16]),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 6),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(SIZES, min_size=1, max_size=3), st.sampled_from([(8, 1), (4, 18), (8, 2)]))
def test_places_never_overlap_nor_cross_a_domain_that_holds_them(sizes, shape):
    host_gpus, domain_hosts = shape
    found = places.placed(sizes, host_gpus, domain_hosts)
    taken = [
        (host, gpu) for one in found for host, gpus in zip(one.hosts, one.gpus, strict=True) for gpu in gpus
    ]
    assert len(set(taken)) == len(taken) == sum(size.instances * size.gpus for size in sizes)
    assert all(0 <= gpu < host_gpus for _, gpu in taken)
    assert len(found) == sum(size.instances for size in sizes)
    for one in found:
        if len(one.hosts) <= domain_hosts:
            assert len({host // domain_hosts for host in one.hosts}) == 1


@settings(max_examples=40, deadline=None)
@given(SIZES, st.sampled_from([(8, 1, 4), (4, 18, 18), (8, 2, 2)]), st.sampled_from(["gpu", "node", "rack"]))
def test_no_loss_takes_more_than_the_bound(size, shape, loss):
    at = Nodes(host_gpus=shape[0], domain_hosts=shape[1], rack_hosts=shape[2])
    other = Size(instances=2, gpus=2 * size.gpus, stage=2 * size.gpus, tp=size.tp)
    where = {"x": places.placed([size, other], at.host_gpus, at.domain_hosts)}
    bound = survive.most_lost(loss, size, at)
    for struck in survive.strikes(loss, where, {"x": at}):
        assert sum(pool == 0 for pool, _ in struck) <= bound


def test_powers_of_two_fill_every_host_but_the_last():
    for counts in ((3, 5, 9), (1, 1, 1), (7, 2, 31)):
        sizes = [
            Size(instances=n, gpus=g, stage=g, tp=min(g, 8)) for n, g in zip(counts, (16, 4, 1), strict=True)
        ]
        hosts = {host for one in places.placed(sizes, 8, 1) for host in one.hosts}
        assert len(hosts) == math.ceil(sum(size.instances * size.gpus for size in sizes) / 8)


@pytest.mark.parametrize("model, engine", [("deepseek-r1", "trtllm"), ("qwen3-235b-a22b", "sglang")])
def test_no_plan_has_an_instance_across_a_border_that_it_was_not_priced_for(model, engine):
    """What a domain has the GPUs for lies in one, as placed; stages of 9 on hosts of 4 may take too many."""
    asked = Scenario(model=model, system="gb200", engine=engine, fleet=Fleet(gpus=144))
    question = resolve.prepare(asked, CATALOG)
    swept, at = sweep.run(question, 144), nodes(CATALOG.system("gb200"))
    refused = 0
    for points in (swept.prefill, swept.decode):
        layouts = points.layouts
        fits = survive.within_domain(layouts, at)
        for i in range(len(layouts)):
            gpus, stage, tp = int(layouts.gpus[i]), int(layouts.stage_gpus[i]), int(layouts.tp[i])
            size = Size(instances=2, gpus=gpus, stage=stage, tp=tp)
            domains = [
                len({host // at.domain_hosts for host in one.hosts})
                for one in places.placed([size], at.host_gpus, at.domain_hosts)
            ]
            assert fits[i] == (gpus > at.domain_gpus or max(domains) == 1)
        rows = np.arange(len(points))
        assert (options.standing(question, points, rows) == fits[points.layout]).all()
        refused += int((~fits).sum())
    assert refused  # there are such


def test_a_plan_says_where_its_instances_do_not_tile_their_hosts():
    traffic = Traffic(isl=8192, osl=1024)
    asked = Scenario(
        model="deepseek-r1", system="gb200", engine="trtllm", fleet=Fleet(gpus=72), traffic=traffic
    )
    found = plan(replace(asked, robust=False, slack=0.0), CATALOG)  # the study's match knows no hosts
    at = survive.nodes_of(found.chosen)
    used = {h for one in survive.placed(found.chosen, at)["gb200"] for h in one.hosts}
    (note,) = host_notes(found, found.chosen)
    assert len(used) > found.chosen.gpus / 4 and note in notes(found)
    assert f"take {len(used)} hosts, not {-(-found.chosen.gpus // 4)}" in note
    assert "72 GPUs are fewer hosts than that" in note
    housed = plan(asked, CATALOG)
    for way in (housed.disaggregated, housed.colocated):
        nodes = survive.nodes_of(way)
        hosts = {h for some in survive.placed(way, nodes).values() for one in some for h in one.hosts}
        assert len(hosts) <= 18 and host_notes(housed, way) == []
    assert housed.disaggregated.requests_per_s > 0.9 * found.disaggregated.requests_per_s
    assert housed.study is not None and housed.mix is not None
    even = plan(replace(asked, model="llama-3.1-70b", system="h200", fleet=Fleet(gpus=8)), CATALOG)
    assert host_notes(even, even.chosen) == []
