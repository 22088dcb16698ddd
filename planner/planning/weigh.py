"""Split or not: which way is better in what the goal counts, and whether by more than the error.

A gain within its error is a tie, and a tie keeps prefill and decode together: one pool has fewer parts
that move, and usually the earlier first token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from planner.inputs.scenario import Scenario
from planner.planning.bands import Band, Range, compare
from planner.planning.result import Serving
from planner.words import Choice, Finding, Goal, Way

SAME = 1e-9  # relative: what differs by less differs by rounding alone
ALIKE = 0.005  # ways that differ by less are the same


def by_price(goal: Goal, usd: Sequence[float]) -> bool:
    """Whether $ per GPU-hour decide: GPUs that all cost nothing are ranked by their number."""
    return goal == "cost" and any(usd)


def gain(scenario: Scenario, one: Serving, other: Serving) -> float:
    """How many times better one serving is than another in what the goal counts; nan where neither says.

    Of throughput the expected tokens/s, per GPU where the fleet has no limit; of fewest-gpus the GPUs; of
    cost the dollars per expected token, or for the demand (tokens/s per GPU where the GPUs cost nothing); of
    watts what the GPUs draw for the demand, or per expected token.
    """
    if scenario.goal == "fewest-gpus":
        return other.gpus / one.gpus
    mine, theirs = one.expected_tokens_per_s_per_gpu, other.expected_tokens_per_s_per_gpu
    if scenario.goal in ("watts", "tokens-per-watt") and one.power is not None and other.power is not None:
        less = other.power.watts / one.power.watts
        if scenario.traffic.requests_per_s is not None:  # both serve that
            return less
        return less * (mine * one.gpus) / (theirs * other.gpus) if theirs else math.nan
    if scenario.goal == "cost" and one.usd_per_million_tokens > 0 and other.usd_per_million_tokens > 0:
        cheaper = other.usd_per_million_tokens / one.usd_per_million_tokens
        if scenario.traffic.requests_per_s is not None:  # both serve that
            return cheaper
        shares = [s.expected_tokens_per_s_per_gpu / s.tokens_per_s_per_gpu for s in (one, other)]
        return cheaper * shares[0] / shares[1]
    if scenario.goal == "throughput" and scenario.fleet.gpus is not None:
        mine, theirs = mine * one.gpus, theirs * other.gpus
    return mine / theirs if theirs else math.nan


def better(scenario: Scenario, a: Serving | None, b: Serving | None) -> Serving | None:
    """The one that serves the goal better; the first when they are equal."""
    if a is None or b is None:
        return a or b
    return b if gain(scenario, a, b) < 1 else a


def gain_range(ratio: float, one: Band | None, other: Band | None) -> Range | None:
    """Range that holds a gain in 80 % of cases, from the bands of either way; None without them."""
    if one is None or other is None:
        return None
    return compare(ratio, one.throughput, other.throughput, one.shared)


def finding(
    scenario: Scenario, bands: Mapping[str, Band], split: Serving | None, colocated: Serving | None
) -> Finding:
    """Which way is better, or a tie; "" where no plan meets the limits."""
    if split is None or colocated is None:
        return "split" if split else "colocated" if colocated else ""
    ratio = gain(scenario, split, colocated)
    spread = gain_range(ratio, bands.get("disaggregated"), bands.get("colocated"))
    if not abs(ratio - 1) >= ALIKE or (spread is not None and spread[0] <= 1 <= spread[1]):
        return "tie"
    return "split" if ratio > 1 else "colocated"


def given(way: Way, ways: Mapping[Way, Serving | None]) -> Finding:
    """The way of which a part is given, whatever the other would bring; "" where it meets no limits."""
    if ways[way] is None:
        return ""
    return "split" if way == "disaggregated" else "colocated"


def choice(found: Finding) -> Choice:
    """The way to deploy: a tie keeps prefill and decode together."""
    if found == "split":
        return "disaggregated"
    return "colocated" if found else ""
