"""Fleets of several systems: inventories against every pool by hand, plans against each system alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning.plan import plan
from planner.planning.result import Plan
from tests.planner.match.test_room import agrees, mixed

EVERY_MIX = 10  # of so many inventories one is mixed too: it takes a hundred times as long
MODELS = ("deepseek-r1", "llama-3.1-70b", "qwen3-32b", "gpt-oss-120b", "qwen3-235b-a22b")
SYSTEMS = ("h100", "h200", "b200", "h20")


def inventories(seed: int, count: int) -> Iterator[str]:
    """The failures of so many inventories of two systems, with caps, for every goal."""
    for number in range(count):
        each = [agrees, mixed] if number % EVERY_MIX == 0 else [agrees]
        for check in each:
            try:
                check([seed, number])
            except Exception as error:  # whatever it is, it is a finding
                yield f"inventories {seed}, {number}: {check.__name__}: {type(error).__name__}: {error}"


def plans(seed: int, count: int) -> Iterator[str]:
    """The scenarios of so many whose plan on a fleet is worse than that on one of its systems alone."""
    catalog = load()
    for number in range(count):
        asked = scenario([seed, number])
        whole = plan(asked, catalog)
        mine = worth(whole)
        for stock in asked.fleet.stocks:
            fleet = replace(asked.fleet, systems=None, gpus=stock.gpus)
            alone = worth(plan(replace(asked, system=stock.system, fleet=fleet), catalog))
            for way in ("disaggregated", "colocated"):
                if alone[way] > 0 and mine[way] < alone[way] * (1 - 1e-6):
                    yield f"fleets {seed}, {number}: {asked.fleet.systems}: {way} {stock.system} is better"


def scenario(seed: list[int]) -> Scenario:
    """A model, two systems, a goal and now and then a cap."""
    chance = np.random.default_rng(seed)
    systems = chance.choice(SYSTEMS, 2, replace=False)
    stocks = ",".join(f"{system}:{chance.choice([8, 16, 24, 32, 64])}" for system in systems)
    goal = str(chance.choice(["throughput", "fewest-gpus", "cost", "watts", "tokens-per-watt"]))
    rate = float(chance.uniform(0.5, 3.0)) if goal in ("fewest-gpus", "watts") else None
    capped = goal == "throughput" and chance.random() < 0.5
    return Scenario(
        model=str(chance.choice(MODELS)),
        engine=str(chance.choice(["sglang", "vllm"])),
        goal=goal,  # type: ignore[arg-type]
        slack=0.0,
        traffic=Traffic(
            isl=int(chance.choice([1024, 4096, 8192])),
            osl=int(chance.choice([256, 1024])),
            requests_per_s=rate,
        ),
        limits=Limits(ftl_s=10.0, ttl_s=float(chance.choice([0.02, 0.05, 0.1]))),
        fleet=Fleet(
            systems=stocks,
            max_kw=float(chance.uniform(30, 90)) if capped else None,
            max_racks=int(chance.integers(1, 4)) if chance.random() < 0.3 else None,
        ),
    )


def worth(found: Plan) -> dict[str, float]:
    """What the goal counts of either way, the more the better; 0 where it meets no limits."""
    goal, worths = found.scenario.goal, {}
    for way in ("disaggregated", "colocated"):
        serving = getattr(found, way)
        worths[way] = 0.0
        if serving is None:
            continue
        if goal == "throughput":
            worths[way] = serving.expected_requests_per_s
        elif goal == "fewest-gpus":
            worths[way] = 1.0 / serving.gpus
        elif goal == "cost":
            tokens = serving.expected_requests_per_s / serving.requests_per_s
            worths[way] = tokens / serving.usd_per_million_tokens
        elif goal == "watts":
            worths[way] = 1.0 / serving.power.watts
        else:
            worths[way] = serving.expected_requests_per_s / serving.power.watts
    return worths
