"""Plans on fleets of several systems: they survive a loss, and a replay with it shows that they do."""

from __future__ import annotations

from dataclasses import replace

from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning.plan import plan
from planner.replay import plans
from planner.replay.fleet import Options

ASKED = Scenario(
    model="llama-3.1-8b",
    engine="vllm",
    goal="fewest-gpus",
    traffic=Traffic(isl=2048, osl=128, requests_per_s=30.0),
    limits=Limits(ftl_s=1.0, ttl_s=0.03),
    fleet=Fleet(systems="h100:24,h200:16", survive="node"),
)


def test_a_node_may_be_lost_on_a_fleet():
    proof = plans.prove(ASKED, load(), Options(seed=1), count=2500, fail="node")
    assert isinstance(proof, plans.Proof)
    assert proof.failure is not None and proof.failure["holds"] == {"ftl": True, "ttl": True}
    found = proof.plan
    assert found.survival is not None and found.survival.loss == "node"
    assert found.survival.gpus_without is not None and found.survival.gpus_without < found.chosen.gpus


def test_each_pool_of_a_split_is_replayed_on_its_own_system():
    """Prefill on one system and decode on another, as the plan has them."""
    catalog = load()
    asked = replace(
        ASKED, fleet=Fleet(systems="h100:2,h200:2"), traffic=replace(ASKED.traffic, requests_per_s=4.0)
    )
    found = plan(asked, catalog)
    chosen = found.disaggregated
    assert chosen is not None
    pools = tuple(
        replace(pool, system=system) for pool, system in zip(chosen.pools, ("h100", "h200"), strict=True)
    )
    rates = []
    for some in (pools, tuple(replace(pool, system="h100") for pool in pools)):
        shown = replace(found, choice="disaggregated", disaggregated=replace(chosen, pools=some))
        begun = plans.started(shown, asked, catalog, Options(seed=1), count=50)
        assert begun is not None
        rates.append([pool.kind.steps for pool in begun.fleet.pools])
    assert rates[0][1] is not None and rates[1][1] is not None
    assert (rates[0][1].step_s < rates[1][1].step_s).all()  # H200 has more bandwidth


def test_no_system_alone_survives_with_fewer():
    found = plan(ASKED, load())
    for system, gpus in (("h100", 24), ("h200", 16)):  # no system alone does with fewer
        alone = plan(replace(ASKED, system=system, fleet=Fleet(gpus=gpus, survive="node")), load())
        assert alone.chosen is None or alone.chosen.gpus >= found.chosen.gpus
