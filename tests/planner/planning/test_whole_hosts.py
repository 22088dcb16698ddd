"""Plans lie on the hosts that their budget fills."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner import Scenario, plan
from planner.inputs.catalog import load
from planner.inputs.failures import Nodes
from planner.inputs.fleet import Fleet
from planner.inputs.scenario import Limits, Traffic
from planner.planning import housed, places, several, survive
from planner.planning.places import Size
from planner.planning.result import Serving
from tests.planner.planning.test_plan import R1, answer


def _hosts(serving: Serving) -> int:
    """Hosts of the system that has most."""
    found = survive.placed(serving, survive.nodes_of(serving)).values()
    return max(len({host for one in some for host in one.hosts}) for some in found)


def test_every_way_of_matching_lies_on_the_hosts_that_there_are() -> None:
    """A mix too, asked for or not, and what a study asks: 72 GPUs are 18 hosts of 4."""
    mixed = answer(replace(R1, mix=True))
    offered = answer(R1).mix
    assert mixed.mix is not None and offered is not None
    ways = (
        answer(R1).disaggregated,
        offered.serving,
        mixed.disaggregated,
        mixed.colocated,
        mixed.mix.serving,
    )
    for way in ways:
        assert way is not None and _hosts(way) <= 18
    (one,) = several.answers([R1], load())
    assert isinstance(one, several.Answer) and one.chosen is not None
    assert one.chosen.requests_per_s == answer(R1).chosen.requests_per_s  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("model", "system", "engine", "traffic", "ttl_s", "gpus"),
    [  # by GPUs alone: 9 instances of 32, 11 and 7 of 16, 13 of 16 that no other layout can replace
        ("kimi-k2.5", "gb300", "trtllm", Traffic(isl=1024, osl=4096), 0.015, 288),
        ("deepseek-r1", "gb200", "sglang", Traffic(isl=16000, osl=2000), 0.06, 288),
        ("llama-3.1-405b", "gb200", "trtllm", Traffic(isl=2000, osl=500), 0.015, 216),
    ],
)
def test_no_instance_spans_two_domains_for_want_of_room(
    model: str, system: str, engine: str, traffic: Traffic, ttl_s: float, gpus: int
) -> None:
    """A domain of 72 GPUs has room for two of 32 and four of 16, and 8 are left."""
    asked = Scenario(
        model=model,
        system=system,
        engine=engine,
        traffic=traffic,
        limits=Limits(ftl_s=3.0, ttl_s=ttl_s),
        fleet=Fleet(gpus=gpus),
    )
    found = plan(asked, load())
    ways = [way for way in (found.disaggregated, found.colocated) if way is not None]
    assert ways
    for way in ways:
        assert _hosts(way) <= gpus // 4
        for one in (place for some in survive.placed(way, survive.nodes_of(way)).values() for place in some):
            assert len({host // 18 for host in one.hosts}) == 1


def test_a_mix_lies_on_the_hosts_that_there_are_and_serves_no_less_than_either_way() -> None:
    """By GPUs alone 32 and 36 GPUs decode beside 4 of 8: on 26 hosts where 100 GPUs are 25."""
    asked = Scenario(
        model="kimi-k2.5",
        system="gb300",
        engine="vllm",
        traffic=Traffic(isl=16384, osl=2048),
        limits=Limits(ftl_s=3.0, ttl_s=0.02),
        fleet=Fleet(gpus=100),
        slack=0.0,
        mix=True,
    )
    found = plan(asked, load())
    assert found.mix is not None and found.disaggregated is not None
    mixed = found.mix.serving
    places_ = [one for some in survive.placed(mixed, survive.nodes_of(mixed)).values() for one in some]
    assert max(host for one in places_ for host in one.hosts) < 25
    assert found.mix.gain >= 0.0
    assert mixed.expected_requests_per_s >= found.disaggregated.expected_requests_per_s


def test_no_mix_is_offered_that_takes_more_hosts_of_a_fleet_than_there_are() -> None:
    """By GPUs alone 24 and 12 decode beside 28 in threes and a four: on 10 hosts where 64 B200 are 8."""
    asked = Scenario(
        model="deepseek-r1",
        engine="vllm",
        kv="bf16",
        traffic=Traffic(isl=1965, osl=561, cached_share=0.3),
        limits=Limits(ftl_s=51.5, ttl_s=0.0995),
        fleet=Fleet(systems="b200:64,l40s:16"),
    )
    found = plan(asked, load())
    assert found.chosen is not None
    for serving in (found.disaggregated, found.colocated, found.mix and found.mix.serving):
        if serving is not None:
            places_ = survive.placed(serving, survive.nodes_of(serving))
            hosts = {name: max(host for one in some for host in one.hosts) for name, some in places_.items()}
            assert hosts.get("b200", 0) < 8 and hosts.get("l40s", 0) < 2


def test_a_mix_over_a_fleet_takes_fewer_gpus_where_whole_hosts_do_not_do() -> None:
    """36 and three times 24 GPUs decode in domains of 72: up to the 30th host where 108 GPUs are 27."""
    asked = Scenario(
        model="deepseek-v3.2",
        engine="vllm",
        traffic=Traffic(isl=1000, osl=1000),
        limits=Limits(ftl_s=10.0, ttl_s=0.03),
        fleet=Fleet(systems="gb300:108,b200:124"),
        mix=True,
    )
    found = plan(asked, load())
    assert found.mix is not None and found.disaggregated is not None
    mixed = found.mix.serving
    places_ = survive.placed(mixed, survive.nodes_of(mixed))
    hosts = {name: max(host for one in some for host in one.hosts) for name, some in places_.items()}
    assert hosts["gb300"] < 27 and hosts["b200"] < 16
    assert mixed.expected_requests_per_s > found.disaggregated.expected_requests_per_s


TP, DP, PP = (
    st.sampled_from([1, 2, 3, 4, 6, 8]),
    st.sampled_from([1, 2, 4, 6, 9]),
    st.sampled_from([1, 2, 3, 4]),
)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), TP, DP, PP), min_size=1),
    nodes=st.sampled_from([(4, 18), (4, 2), (8, 1)]),
)
def test_sizes_that_are_said_to_need_no_try_pack_without_a_rest(
    sizes: list[tuple[int, int, int, int]], nodes: tuple[int, int]
) -> None:
    """Whatever is beside them: as many hosts as their GPUs fill; 2 stages of 18 take 3 of each host."""
    host, domain = nodes
    each = [Size(instances=n, gpus=tp * dp * pp, stage=tp * dp, tp=tp) for n, tp, dp, pp in sizes]
    if housed.nested(each, Nodes(host_gpus=host, domain_hosts=domain, rack_hosts=domain)):
        placed = places.placed(each, host, domain)
        used = {host for one in placed for host in one.hosts}
        assert max(used) + 1 == -(-sum(one.instances * one.gpus for one in each) // host)
