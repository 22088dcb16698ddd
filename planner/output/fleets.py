"""A fleet of several systems in rows: what the plan uses of each, and what each would do alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.output.as_json import counts
from planner.output.spelling import money, named, usd_per_hour
from planner.planning.survive import racks
from planner.planning.yardstick import yardstick
from planner.units import format_seconds, three_digits

if TYPE_CHECKING:
    from planner.planning.alone import Alone
    from planner.planning.result import Plan, PoolPlan, Serving

USED = "The fleet"
ALONE = "Each system alone, beside the plan"


def on(plan: Plan, pool: PoolPlan) -> str:
    """` on h200`, where a plan has several systems to choose from."""
    return f" on {pool.system}" if plan.alone else ""


def used(plan: Plan, serving: Serving) -> dict[str, int]:
    """GPUs in use of each system of the fleet."""
    found = {one.system: 0 for one in plan.alone}
    for pool in serving.pools:
        found[pool.system] = found.get(pool.system, 0) + pool.gpus
    if (of := serving.encoder) is not None and of.gpus:
        found[of.system] = found.get(of.system, 0) + of.gpus
    return found


def have(plan: Plan) -> dict[str, int | None]:
    """GPUs that the fleet has of each system; None: any number."""
    return {one.system: one.gpus for one in plan.alone}


def spent(serving: Serving) -> str:
    """`$184 per hour, 92 kW`: what the GPUs in use cost, and draw with all that stands around them."""
    return f"${money(usd_per_hour(serving))} per hour, {three_digits(serving.watts / 1e3)} kW"


def used_rows(plan: Plan, serving: Serving) -> list[tuple[str, str, str]]:
    """System, GPUs in use, GPUs left."""
    stocks = have(plan)
    rows = []
    for system, gpus in used(plan, serving).items():
        stock = stocks.get(system)
        rows.append((system, f"{gpus:,}", "any" if stock is None else f"{stock - gpus:,}"))
    return [("", "GPUs in use", "left"), *rows]


def alone_rows(plan: Plan) -> list[tuple[str, ...]]:
    """The plan, and the best one on each system alone."""
    rows: list[tuple[str, ...]] = [("", "", "GPUs", "tokens/s", "$/h", "$/Mtok", "FTL", "TTL")]
    best = plan.deployed
    if best is not None:
        systems = " + ".join(dict.fromkeys(pool.system for pool in best.pools))
        rows.append(("the plan", f"on {systems}", *_numbers(best)))
    for one in plan.alone:
        if one.serving is None:
            rows.append((one.system, "meets no limits", *["-"] * 6))
        else:
            layouts = " + ".join(f"{pool.instances} × {pool.layout.label}" for pool in one.pools)
            rows.append((one.system, layouts, *_numbers(one.serving)))
    return rows


def _numbers(serving: Serving) -> tuple[str, ...]:
    return (
        f"{serving.gpus:,}",
        three_digits(serving.tokens_per_s_per_gpu * serving.gpus),
        money(usd_per_hour(serving)),
        money(serving.usd_per_million_tokens),
        format_seconds(serving.ftl_s),
        format_seconds(serving.ttl_s),
    )


def together_sentence(plan: Plan) -> str:
    """What all systems would serve side by side, each on a plan of its own, where that is more; else ""."""
    best = plan.deployed
    if best is None or plan.scenario.goal != "throughput" or plan.scenario.traffic.requests_per_s is not None:
        return ""
    if plan.scenario.fleet.capped or plan.scenario.fleet.gpus is None or plan.scenario.mix:
        return ""
    each = [one.serving.expected_requests_per_s for one in plan.alone if one.serving is not None]
    gain = sum(each) / best.expected_requests_per_s - 1
    if not gain > 0.005:
        return ""
    return (
        f"Side by side, each system on a plan of its own, they serve {100 * gain:.0f} % more requests/s: "
        "a pool has one layout on one system; --mix takes several."
    )


def one_more_sentences(plan: Plan) -> list[str]:
    """What more of each cap buys: `One more rack buys 2.1 % (34,100 tok/s).`"""
    unit, told = yardstick(plan.scenario).unit, []
    for one in plan.one_more:
        what = named(one.field)
        if one.rise == 1:
            what = what.removesuffix("s")
        if not one.gain:
            told.append(f"{three_digits(one.rise)} more {what} would buy nothing.")
            continue
        value = f"{three_digits(one.value)} {unit}"
        if one.rise == 1:
            told.append(f"One more {what} buys {_share(one.gain)}: {value}.")
        else:
            told.append(
                f"{three_digits(one.rise)} more {what} buy {_share(one.gain)}, {_share(one.each)} each "
                f"({value}); half of that buys nothing."
            )
    return told


def _share(gain: float) -> str:
    return f"{100 * gain:.1f} %"


def as_data(plan: Plan) -> dict[str, Any] | None:
    """The fleet as JSON has it; None without one."""
    best = plan.deployed
    if not plan.alone:
        return None
    stocks, uses = have(plan), used(plan, best) if best else {}
    return {
        "systems": [
            {
                "system": system,
                "gpus": gpus,
                "used": uses.get(system, 0),
                "left": None if gpus is None else gpus - uses.get(system, 0),
            }
            for system, gpus in stocks.items()
        ],
        "usd_per_hour": usd_per_hour(best) if best else None,
        "kw": best.watts / 1e3 if best else None,
        "racks": racks(best) if best else None,
        "alone": [_alone(one) for one in plan.alone],
    }


def _alone(one: Alone) -> dict[str, Any]:
    serving = one.serving
    told = {"system": one.system, "choice": one.choice or None}
    if serving is None:
        return told
    return {
        **told,
        "pools": counts(one.pools),
        "gpus": serving.gpus,
        "requests_per_s": serving.requests_per_s,
        "expected_requests_per_s": serving.expected_requests_per_s,
        "tokens_per_s_per_gpu": serving.tokens_per_s_per_gpu,
        "usd_per_hour": usd_per_hour(serving),
        "usd_per_million_tokens": serving.usd_per_million_tokens,
        "kw": serving.watts / 1e3,
        "ftl_s": serving.ftl_s,
        "ttl_s": serving.ttl_s,
    }
