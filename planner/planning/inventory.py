"""A fleet of several systems: the question on each of them alone, and on each pair of them.

Every pool picks its system. So a question on a fleet is one question for each placement: prefill on this
system and decode on that one, or all on one. Each is planned as if it were asked for; the best is the plan.
"""

from __future__ import annotations

from dataclasses import replace

from planner.errors import InputError
from planner.inputs import failures, fields
from planner.inputs.catalog import Catalog
from planner.inputs.fleet import MOST_GPUS
from planner.inputs.scenario import Scenario
from planner.match.room import Cap, Racks, Room
from planner.planning import demand
from planner.planning.demand import Held
from planner.planning.resolve import VENDORS, NothingAllowed, Question, known, on_system, prepare


def on_each(scenario: Scenario, catalog: Catalog, held: Held | None = None) -> tuple[Question, ...]:
    """The question on each system of the fleet alone, as if there were no other; one without a fleet.

    A system of which a cap allows no GPU is left out. Raises InputError for what cannot be used.
    """
    fields.check(scenario)
    stocks = scenario.fleet.stocks
    if len(stocks) < 2:
        return (prepare(scenario, catalog, held),)
    asked, text = demand.of(scenario, held), scenario.fleet.systems
    free = {stock.gpus is None for stock in stocks}
    if len(free) > 1 and asked.scenario.traffic.requests_per_s is None and not scenario.fleet.capped:
        raise InputError(
            "fleet", text, "GPUs of each system or of none counted, or a rate or a cap beside it"
        )
    found: list[Question] = []
    refused: NothingAllowed | None = None
    for stock in stocks:
        try:
            found.append(on_system(asked, stock, catalog))
        except NothingAllowed as error:
            refused = error
    if not found and refused is not None:
        raise refused
    systems = {question.scenario.system: question.pools["decode"].system for question in found}
    if len(systems) < len(found):
        raise InputError("fleet", text, "each system once: two of these names are of one")
    makers = {system.vendor: name for name, system in systems.items()}
    if len(makers) > 1:
        who = " and ".join(f"{name} ({VENDORS[vendor]})" for vendor, name in makers.items())
        raise InputError("fleet", text, f"GPUs of one maker: {who} hand each other no cache")
    prices = [question.pools["decode"].usd_per_gpu_hour for question in found]
    if scenario.goal == "cost" and any(prices) and not all(prices):
        raise InputError("fleet", text, "with the goal cost, prices above 0 for all of it or for none")
    return tuple(
        # a mix on all systems is one program (`planner.planning.mixes`), not one of each
        replace(question, whole_gpus=scenario.fleet.gpus, scenario=replace(question.scenario, mix=False))
        for question in found
    )


def across(prefill: Question, decode: Question, catalog: Catalog) -> Question | None:
    """The question with prefill on the system of one question and decode on that of another.

    Each keeps its own GPUs, what both spend is capped together, and the cache goes over the network at the
    pace of the slower side. None where the two do not keep a cache in one format.
    """
    first, then = prefill.pools["prefill"], decode.pools["decode"]
    if first.setup.precision.kv != then.setup.precision.kv:
        return None
    fleet = prefill.scenario.fleet
    spent = (
        (first.usd_per_gpu_hour, then.usd_per_gpu_hour, fleet.max_usd_per_hour),
        (first.watts_per_gpu / 1e3, then.watts_per_gpu / 1e3, fleet.max_kw),
    )
    caps = [Cap(prefill=x, decode=y, most=most) for x, y, most in spent if most is not None]
    counts = prefill.scenario.fleet.gpus, decode.scenario.fleet.gpus
    room = None
    if counts != (None, None):
        most = [MOST_GPUS if count is None else count for count in counts]
        racks = None
        if fleet.max_racks is not None:
            of = [failures.nodes(pool.system).rack_gpus for pool in (first, then)]
            racks = Racks(prefill=of[0], decode=of[1], most=fleet.max_racks)
        room = Room.of(most[0], most[1], caps, racks)
    gpus = None if room is None or None in counts else room.gpus
    apart = [
        replace(pool, link_bytes_per_s=pool.system.fabric.scale_out_bytes_per_s) for pool in (first, then)
    ]
    both = replace(
        prefill,
        scenario=replace(prefill.scenario, fleet=replace(fleet, gpus=gpus)),
        pools={"prefill": apart[0], "decode": apart[1], "colocated": apart[1]},
        room=room,
    )
    return known(both, catalog)
