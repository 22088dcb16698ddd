"""What a plan says, in words and small tables: shared by the reports and the terminal application."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING

from planner.inputs.fields import BY_KEY
from planner.planning.bands import LEVEL_TEXT, Range, compare
from planner.units import format_seconds, format_si, three_digits

if TYPE_CHECKING:
    from planner.inputs.scenario import Scenario
    from planner.planning.result import Frontier, Plan, PoolPlan, Serving

TIGHT = 0.9  # from this share of a limit on, a report calls it tight
_PLAIN = str.maketrans({"×": "x", "µ": "u", "≤": "<=", "≥": ">=", "→": "->", "·": "-", "–": "-", "−": "-"})


def deployment(plan: Plan) -> Serving | None:
    """What to deploy: the mix where several layouts per pool were asked for, else the chosen way."""
    return plan.mix.serving if plan.scenario.mix and plan.mix is not None else plan.chosen


def answer_sentence(plan: Plan) -> str:
    """Split or not, what it brings, and by how much it beats the other way: one sentence.

    The yardstick is the scenario's goal: output tokens/s (per GPU when the fleet has no limit),
    GPUs for the wanted rate, or money per token.
    """
    chosen = plan.chosen
    if chosen is None:
        ways = ", or ".join(r.text for r in plan.infeasible.relax) if plan.infeasible else ""
        return f"No plan meets the limits.{f' It takes {ways}.' if ways else ''}"
    if plan.choice == "disaggregated":
        verdict, other, name = "Split prefill from decode", plan.colocated, "co-located serving"
    else:
        verdict, other, name = "Keep prefill and decode together", plan.disaggregated, "a split"
    deployed = deployment(plan) or chosen
    return f"{verdict}: {_yield(plan, deployed)}, {_versus(plan, deployed, other, name)}{_beyond(plan)}."


def _beyond(plan: Plan) -> str:
    """Whether the better way is better by more than the error of the predictions."""
    found = advantage(plan)
    if found is None:
        return ""
    return " (beyond the error)" if found[0] > 1 else " (within the error)"


def advantage(plan: Plan) -> Range | None:
    """Range that holds the chosen way's throughput over the other's in 80 % of cases.

    Per GPU where GPUs or money are what counts. None where there is but one way, or nothing was
    measured. Errors of the two count as independent.
    """
    one, two = plan.disaggregated, plan.colocated
    if plan.choice == "colocated":
        one, two = two, one
    bands = [plan.bands.get(plan.choice), next((b for m, b in plan.bands.items() if m != plan.choice), None)]
    if one is None or two is None or bands[0] is None or bands[1] is None:
        return None
    ratio = gain(plan, one, two)
    if plan.scenario.goal in ("fewest-gpus", "cost"):
        ratio = one.tokens_per_s_per_gpu / two.tokens_per_s_per_gpu
    return compare(ratio, bands[0].throughput, bands[1].throughput)


def band_rows(plan: Plan) -> list[tuple[str, str, str]]:
    """What to expect of the deployment, 80 % of the time: name, prediction, "low to high"."""
    serving, band = plan.chosen, plan.bands.get(plan.choice)
    if serving is None or band is None:
        return []
    per_gpu = serving.tokens_per_s_per_gpu
    return [
        (name, form(value), f"{form(value * low)} to {form(value * high)}")
        for name, value, (low, high), form in (
            ("first token (FTL)", serving.ftl_s, band.ftl, format_seconds),
            ("token to token (TTL)", serving.ttl_s, band.ttl, format_seconds),
            ("tokens/s per GPU", per_gpu, band.throughput, three_digits),
        )
    ]


def band_text(plan: Plan) -> str:
    """The error bands in one line; "" where nothing was measured."""
    short = ("FTL", "TTL", "tokens/s per GPU")
    shown = [f"{name} {span}" for name, (_, _, span) in zip(short, band_rows(plan), strict=False)]
    return f"80 % between: {', '.join(shown)}" if shown else ""


def band_source(plan: Plan) -> str:
    """What stands behind the bands, in a sentence."""
    band = plan.bands.get(plan.choice)
    if band is None:
        return ""
    return f"{band.rows:,} measured runs left out of the fit; {LEVEL_TEXT[band.level]}"


def _yield(plan: Plan, serving: Serving) -> str:
    gpus = count(serving.gpus, "GPU")
    rate = plan.scenario.traffic.requests_per_s
    if plan.scenario.goal == "fewest-gpus" and rate is not None:
        return f"{gpus} for {three_digits(rate)} requests/s"
    if plan.scenario.goal == "cost":
        return f"${money(serving.usd_per_million_tokens)} per million output tokens"
    return (
        f"{three_digits(serving.tokens_per_s_per_gpu * serving.gpus)} output tokens/s on {gpus} "
        f"({three_digits(serving.tokens_per_s_per_gpu)} per GPU)"
    )


def _versus(plan: Plan, chosen: Serving, other: Serving | None, name: str) -> str:
    if other is None:
        return f"and {name} cannot meet the limits"
    goal = plan.scenario.goal
    if goal == "fewest-gpus":
        ratio, less = chosen.gpus / other.gpus, "fewer"
    elif goal == "cost":
        ratio, less = chosen.usd_per_million_tokens / other.usd_per_million_tokens, "less"
    else:
        ratio, less = gain(plan, chosen, other), "less"
    if abs(ratio - 1) < 0.005:
        return f"the same as {name}"
    if ratio >= 2:
        return f"{three_digits(ratio)} times as much as {name}"
    return f"{100 * abs(ratio - 1):.0f} % {'more' if ratio > 1 else less} than {name}"


def gain(plan: Plan, serving: Serving, other: Serving) -> float:
    """Output tokens/s of one serving over another's; per GPU when the fleet has no limit."""
    ratio = serving.tokens_per_s_per_gpu / other.tokens_per_s_per_gpu
    return ratio if plan.scenario.fleet.gpus is None else ratio * serving.gpus / other.gpus


def scenario_line(scenario: Scenario) -> str:
    """The question in one line: workload, limits, fleet, and what else differs from the defaults."""
    parts = [f"{scenario.model} on {scenario.system} with {scenario.engine}"]
    for key, sign, unit in (
        ("isl", " ", ""),
        ("osl", " ", ""),
        ("ftl", " ≤ ", ""),
        ("ttl", " ≤ ", ""),
        ("gpus", " ≤ ", ""),
        ("rate", " ", " req/s"),
    ):
        field = BY_KEY[key]
        if (value := field.get(scenario)) is not None:
            parts.append(f"{field.label}{sign}{field.format(value)}{unit}")
    default = type(scenario)()
    for key in ("weights", "kv", "mtp", "instance-gpus", "price", "goal", "headroom", "mix", "mla-cache"):
        field = BY_KEY[key]
        if (value := field.get(scenario)) != field.get(default):
            parts.append(f"{field.label} {field.format(value)}")
    return ", ".join(parts)


def limit_rows(plan: Plan, serving: Serving) -> list[tuple[str, str, float, str]]:
    """Each limit of the scenario: name, "value of limit", used share, and ok, tight or over."""
    limits, fleet = plan.scenario.limits, plan.scenario.fleet
    rows = []
    for name, value, limit in (
        ("FTL", serving.ftl_s, limits.ftl_s),
        ("TTL", serving.ttl_s, limits.ttl_s),
        ("GPUs", float(serving.gpus), float(fleet.gpus) if fleet.gpus else math.inf),
    ):
        if not (math.isfinite(value) and math.isfinite(limit)):
            continue
        shown = f"{value:,.0f} of {limit:,.0f}"
        if name != "GPUs":
            shown = f"{format_seconds(value)} of {format_seconds(limit)}"
        used = value / limit
        # a millionth is rounding; a full fleet is what was asked for
        tight = used > TIGHT - 1e-6 and name != "GPUs"
        state = "over" if used > 1 + 1e-6 else "tight" if tight else "ok"
        rows.append((name, shown, used, state))
    return rows


def comparison_rows(plan: Plan) -> list[tuple[str, str, str]]:
    """The two ways side by side: name, split, co-located ("-" where there is none)."""
    both = (plan.disaggregated, plan.colocated)
    instances = [
        [f"{pool.instances:,} × {pool.layout.label}" for pool in serving.pools] if serving else []
        for serving in both
    ]
    pools = [("", a, b) for a, b in zip_longest(*instances, fillvalue="")]
    facts = [_facts(serving) if serving else {} for serving in both]
    rows = [(name, facts[0].get(name, "-"), facts[1].get(name, "-")) for name in facts[0] or facts[1]]
    return pools + rows


def _facts(serving: Serving) -> dict[str, str]:
    return {
        "GPUs": f"{serving.gpus:,}",
        "requests/s": three_digits(serving.requests_per_s),
        "output tokens/s": three_digits(serving.tokens_per_s_per_gpu * serving.gpus),
        "tokens/s per GPU": three_digits(serving.tokens_per_s_per_gpu),
        "tokens/s per user": three_digits(serving.tokens_per_s_per_user),
        "first token (FTL)": format_seconds(serving.ftl_s),
        "token to token (TTL)": format_seconds(serving.ttl_s),
        "$ per million tokens": money(serving.usd_per_million_tokens),
        "power": format_si(serving.watts, "W"),
    }


def binding_pool(serving: Serving) -> PoolPlan:
    """The pool that holds the others back: the one whose capacity is used most (decode on a tie)."""
    return max(reversed(serving.pools), key=lambda pool: round(pool.utilisation, 6))


def frontier_rows(plan: Plan, rows: int = 9) -> list[tuple[float, int | None, int | None]]:
    """A few interactivities and the best point of each frontier there.

    Each row: tokens/s per user, then the index in the split and in the co-located frontier of the
    best point that gives a user at least that (None where no point does). The interactivities are
    those of real points, even on a log scale, and the one that the TTL limit asks for.
    """
    fronts = (plan.frontier_disaggregated, plan.frontier_colocated)
    marks = sorted({x for front in fronts for x in front.tokens_per_s_per_user.tolist() if x > 0})
    if not marks:
        return []
    low, high = math.log(marks[0]), math.log(marks[-1])
    wanted = [low + (high - low) * i / max(rows - 1, 1) for i in range(rows)]
    picked = {min(marks, key=lambda mark: abs(math.log(mark) - w)) for w in wanted}
    limit = 1 / plan.scenario.limits.ttl_s
    if marks[0] <= limit <= marks[-1]:
        picked.add(limit)
    return [(x, _at_least(fronts[0], x), _at_least(fronts[1], x)) for x in sorted(picked)]


def _at_least(front: Frontier, x: float) -> int | None:
    """Index of the best point at interactivity `x` or more (x ascends, y descends)."""
    users = front.tokens_per_s_per_user.tolist()
    return next((i for i, value in enumerate(users) if value >= x * (1 - 1e-9)), None)


def count(number: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "GPU"), count(1024, "GPU")
    ('1 GPU', '1,024 GPUs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def money(usd: float) -> str:
    """Dollars with cents, or three digits where cents would say nothing.

    >>> money(0.5), money(0.0123), money(12345.6)
    ('0.50', '0.0123', '12,300')
    """
    return f"{usd:.2f}" if 0.1 <= usd < 1000 else three_digits(usd)


def ascii_only(text: str) -> str:
    """The text in ASCII, for terminals and files that take no more.

    >>> ascii_only("2 × TP8, TTL ≤ 3 µs")
    '2 x TP8, TTL <= 3 us'
    """
    return text.translate(_PLAIN).encode("ascii", "replace").decode()
