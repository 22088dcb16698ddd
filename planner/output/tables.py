"""Small tables that more than one report shows: limits, the two ways, the frontiers in a few rows."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING

from planner.inputs.fields import BY_KEY, has_effect
from planner.output import goodput
from planner.output.limits import SPENT, limits, may_meet, meets
from planner.output.spelling import change, count, instances, money, named, percent
from planner.output.words import usd_of_all_tokens
from planner.units import format_seconds, format_si, three_digits

if TYPE_CHECKING:
    from planner.inputs.scenario import Scenario
    from planner.planning.result import Frontier, Plan, PoolPlan, Serving


def scenario_line(scenario: Scenario) -> str:
    """The question in one line: workload, limits, fleet, and what else differs from the defaults."""
    parts = [f"{scenario.model} on {machines(scenario)} with {scenario.engine}"]
    for key, sign, unit in (
        ("isl", " ", ""),
        ("osl", " ", ""),
        ("images", " ", ""),
        ("ftl", " ≤ ", ""),
        ("ttl", " ≤ ", ""),
        ("gpus", " ≤ ", ""),
        ("rate", " ", " req/s"),
    ):
        field = BY_KEY[key]
        if (value := field.get(scenario)) is not None and (
            key in ("isl", "osl") or has_effect(field, scenario)  # a plan's are those of its trace
        ):
            if key == "images" and not value:
                continue
            parts.append(f"{field.label}{sign}{field.format(value)}{unit}")
    default = type(scenario)()
    for key in (
        "weights",
        "kv",
        "mtp",
        "mtp-acceptance",
        "draft-cost",
        "instance-gpus",
        "price",
        "max-usd-per-hour",
        "max-kw",
        "max-racks",
        "goal",
        "headroom",
        "robust",
        "slack",
        "mix",
        "mla-cache",
        "survive",
        "image-tokens",
        "encoder",
    ):
        field = BY_KEY[key]
        if (value := field.get(scenario)) != field.get(default):
            unit = f" {field.unit}" if key in SPENT and field.unit else ""
            parts.append(f"{field.label} {field.format(value)}{unit}")
    return ", ".join(parts)


def machines(scenario: Scenario) -> str:
    """The system, or the fleet of several: `h100:64 and h200:32`."""
    return " and ".join((scenario.fleet.systems or scenario.system).split(","))


def comparison_rows(plan: Plan) -> list[tuple[str, str, str]]:
    """The two ways side by side: name, split, co-located ("-" where there is none)."""
    ways = (plan.disaggregated, plan.colocated)
    layouts = [
        [
            *_encoders(plan, serving),
            *(f"{instances(pool)}{f' on {pool.system}' if plan.alone else ''}" for pool in serving.pools),
        ]
        if serving
        else []
        for serving in ways
    ]
    pools = [("", a, b) for a, b in zip_longest(*layouts, fillvalue="")]
    told = [facts(plan.scenario, serving) if serving else {} for serving in ways]
    rows = [(name, told[0].get(name, "-"), told[1].get(name, "-")) for name in max(told, key=len)]
    return pools + rows


def _encoders(plan: Plan, serving: Serving) -> list[str]:
    """`8 encoders`, or that they are in place; nothing without images."""
    of = serving.encoder
    if of is None:
        return []
    return [
        f"{count(of.instances, 'encoder')}{f' on {of.system}' if plan.alone else ''}"
        if of.instances
        else "encoder in place"
    ]


def _capacity(scenario: Scenario, serving: Serving) -> dict[str, str]:
    """What the pools can serve, beside the rate that is asked for."""
    if scenario.traffic.requests_per_s is None:
        return {}
    return {
        "  of a capacity of": three_digits(serving.capacity_requests_per_s),
        "  and expected": three_digits(serving.expected_requests_per_s),
    }


def _power(serving: Serving) -> dict[str, str]:
    """What the GPUs draw at this rate, for a token, and what a facility is built for."""
    drawn = {}
    if serving.power is not None:
        drawn = {
            "GPU power": format_si(serving.power.watts, "W"),
            "J per output token": three_digits(serving.power.joules_per_token),
        }
    return {**drawn, "rated power, all-in": format_si(serving.watts, "W")}


def facts(scenario: Scenario, serving: Serving) -> dict[str, str]:
    """What a serving gives, each number as it is shown, by its name."""
    return {
        "GPUs": f"{serving.gpus:,}",
        "requests/s": three_digits(serving.requests_per_s),
        **_capacity(scenario, serving),
        "output tokens/s": three_digits(serving.tokens_per_s_per_gpu * serving.gpus),
        "tokens/s per GPU": three_digits(serving.tokens_per_s_per_gpu),
        "tokens/s per user": three_digits(serving.tokens_per_s_per_user),
        "first token (FTL)": format_seconds(serving.ftl_s),
        "token to token (TTL)": format_seconds(serving.ttl_s),
        "$ per million output tokens": money(serving.usd_per_million_tokens),
        "$ per million, input too": money(usd_of_all_tokens(scenario, serving)),
        **_power(serving),
    }


def frontier_rows(plan: Plan, rows: int = 9) -> list[tuple[float, int | None, int | None]]:
    """A few TTLs and the best point of each frontier there, the slowest first.

    Each row: TTL in seconds, then the index in the split and in the co-located frontier of the best
    point within it (None where there is none). The TTLs are those of real points, even on a log scale,
    and the limit itself.
    """
    fronts = (plan.frontier_disaggregated, plan.frontier_colocated)
    marks = sorted({ttl_s for front in fronts for ttl_s in front.ttl_s.tolist() if math.isfinite(ttl_s)})
    if not marks:
        return []
    low, high = math.log(marks[0]), math.log(marks[-1])
    wanted = [low + (high - low) * i / max(rows - 1, 1) for i in range(rows)]
    picked = {min(marks, key=lambda mark: abs(math.log(mark) - w)) for w in wanted}
    limit_s = plan.scenario.limits.ttl_s
    if marks[0] <= limit_s <= marks[-1]:
        picked.add(limit_s)
    return [(s, _within(fronts[0], s), _within(fronts[1], s)) for s in sorted(picked, reverse=True)]


def frontier_table(plan: Plan) -> list[tuple[str, ...]]:
    """A head, then one row per interactivity; a star marks the one that the TTL limit asks for. [] if none.

    Tokens/s per user, tokens/s (as goodput requests/s) per GPU of either way, the split's gain, its ratio of
    pools and layouts.
    """
    split, colocated = (
        goodput.counted(plan, front) for front in (plan.frontier_disaggregated, plan.frontier_colocated)
    )
    limit_s = plan.scenario.limits.ttl_s
    rows: list[tuple[str, ...]] = [("per user", "split", "co-located", "gain", "ctx:gen", "prefill + decode")]
    for ttl_s, a, b in frontier_rows(plan):
        one, other, more, ratio, layouts = "-", "-", "", "", ""
        if a is not None:
            one, ratio = (
                three_digits(float(x[a])) for x in (split.tokens_per_s_per_gpu, split.ctx_gen_ratio)
            )
            layouts = f"{split.prefill[a]} + {split.decode[a]}"
        if b is not None:
            other = three_digits(float(colocated.tokens_per_s_per_gpu[b]))
        if a is not None and b is not None:
            more = change(split.tokens_per_s_per_gpu[a] / colocated.tokens_per_s_per_gpu[b] - 1)
        star = "* " if ttl_s == limit_s else ""
        rows.append((f"{star}{three_digits(float(1 / ttl_s))}", one, other, more, ratio, layouts))
    return rows if len(rows) > 1 else []


def _within(front: Frontier, ttl_s: float) -> int | None:
    """Index of the best point within a TTL (TTL and throughput both descend)."""
    return next((i for i, value in enumerate(front.ttl_s.tolist()) if meets(value, ttl_s)), None)


def limit_rows(plan: Plan, serving: Serving) -> list[tuple[str, str, str, str]]:
    """Each limit: name, value of limit, used share, and ok, tight or missed."""
    return [(use.name, use.text, f"{percent(use.share)} used", use.state) for use in limits(plan, serving)]


def latencies(pool: PoolPlan) -> str:
    """`FTL 1.2 s, TTL 18 ms`: those that a pool has."""
    each = (("ftl", pool.ftl_s), ("ttl", pool.ttl_s))
    return ", ".join(f"{named(key)} {format_seconds(s)}" for key, s in each if math.isfinite(s)) or "-"


def may_meet_rows(plan: Plan) -> list[tuple[str, ...]]:
    """Way, layouts, limits, FTL, TTL, tokens/s per GPU of what misses a limit by less than its error."""
    return [
        (
            named(one.way),
            one.layouts,
            " and ".join(map(named, one.misses)),
            format_seconds(one.ftl_s),
            format_seconds(one.ttl_s),
            three_digits(one.tokens_per_s_per_gpu),
        )
        for one in may_meet(plan)
    ]
