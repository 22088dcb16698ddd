"""What a trace holds, as lines of text: columns over time, bars of lengths, tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from planner.arrays import FloatArray
from planner.inputs.traces import Repairs
from planner.inputs.traces.facts import Facts, Histogram, OverTime, Shared, Spread
from planner.output.columns import aligned
from planner.output.spelling import count, percent
from planner.units import format_si, three_digits
from tui.glyphs import Glyphs, bar, columns

WIDTH = 100
BAR_CELLS = 24
LABELS = 36  # cells beside the columns
HALF = 46  # cells of one of two histograms side by side


def headline(facts: Facts, repairs: Repairs) -> str:
    """`Azure CSV: 2,000 requests in 14 min, 2.34 requests/s`."""
    pace = f", {three_digits(facts.requests_per_s)} requests/s" if facts.requests_per_s else ""
    return f"{repairs.format}: {count(facts.requests, 'request')} in {duration(facts.seconds)}{pace}"


def lines(facts: Facts, g: Glyphs, width: int = WIDTH) -> list[str]:
    """All of it, in blocks; no line is wider than `WIDTH`, and no picture wider than `width`."""
    blocks = [
        _lengths(facts),
        _over_time(facts.over_time, g, width),
        _arrivals(facts, g),
        _histograms(facts, g, width),
    ]
    if facts.conversations is not None:
        blocks.append(_conversations(facts))
    if facts.shared is not None:
        blocks.append(_shared(facts.shared, g))
    return [line for block in blocks for line in ("", *block)][1:]


def duration(seconds: float) -> str:
    """A span as people say it.

    >>> duration(42.3), duration(3501.7), duration(95_000)
    ('42.3 s', '58 min', '26.4 h')
    """
    if seconds < 120:
        return f"{three_digits(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _lengths(facts: Facts) -> list[str]:
    rows: list[tuple[str, ...]] = [("tokens", "mean", "CV", "P50", "P90", "P95", "P99", "most")]
    rows += [_spread("input (ISL)", facts.isl), _spread("output (OSL)", facts.osl)]
    if facts.shared is not None:
        rows.append(_spread("input not seen before", facts.shared.new))
    return aligned(rows, "lrrrrrrr")


def _spread(name: str, s: Spread) -> tuple[str, ...]:
    tokens = (f"{value:,.0f}" for value in (s.p50, s.p90, s.p95, s.p99, s.most))
    return (name, f"{s.mean:,.0f}", f"{s.cv:.2f}", *tokens)


def _over_time(found: OverTime, g: Glyphs, width: int) -> list[str]:
    rows = []
    each = -(-len(found.isl) // max(width - LABELS, 8))  # windows of a column
    for name, values in (
        ("requests/s", found.requests_per_s),
        ("mean ISL", found.isl),
        ("mean OSL", found.osl),
    ):
        known = values[np.isfinite(values)]
        low, high = float(known.min(initial=np.inf)), float(known.max(initial=0.0))
        drawn = [_mean(values[at : at + each]) for at in range(0, len(values), each)]
        rows.append((name, columns(drawn, g), f"{_number(low)} to {_number(high)}"))
    return [f"over time, a column for each {duration(each * found.window_s)}", *aligned(rows, "lll", "  ")]


def _mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _number(value: float) -> str:
    return three_digits(value) if value else "0"


def _arrivals(facts: Facts, g: Glyphs) -> list[str]:
    found = [f"arrivals: gaps vary by {facts.gap_cv:.2f} of their mean (independent ones by 1)"]
    if facts.counts:
        rows = [("counted in windows of", "variance/mean", "busiest/mean")]
        for c in facts.counts:
            rows.append((duration(c.window_s), f"{c.variance_over_mean:.1f}", f"{c.busiest_over_mean:.2f}"))
        found += aligned(rows, "lrr", "  ")
    if facts.bursts:
        found += [
            "  The load changes from minute to minute by more than chance (variance/mean 1): a mean rate",
            "  tells little of waits; plan for the busy windows, or replay the trace.",
        ]
    return found


def _histograms(facts: Facts, g: Glyphs, width: int) -> list[str]:
    left = ["input tokens", *_histogram(facts.isl_histogram, g)]
    right = ["output tokens", *_histogram(facts.osl_histogram, g)]
    if width < WIDTH - 8:
        return [*left, "", *right]
    height = max(len(left), len(right))
    pairs = zip(_filled(left, height), _filled(right, height), strict=True)
    return [f"{one:<{HALF}}  {two}".rstrip() for one, two in pairs]


def _filled(rows: Sequence[str], height: int) -> list[str]:
    return [*rows, *[""] * (height - len(rows))]


def _histogram(found: Histogram, g: Glyphs) -> Iterator[str]:
    """Bars against the largest; the label is the lower edge."""
    total, most = int(found.count.sum()), int(found.count.max())
    for edge, times in zip(found.edges.tolist(), found.count.tolist(), strict=False):
        drawn = bar(times / most, BAR_CELLS, g)
        yield f"{edge:>9,}+ {drawn:<{BAR_CELLS}} {100 * times / total:4.1f} %"


def _conversations(facts: Facts) -> list[str]:
    found = facts.conversations
    assert found is not None
    return [
        f"conversations: {found.count:,}, of {found.turns_mean:.1f} turns in the mean "
        f"(P50 {found.turns_p50:.0f}, P95 {found.turns_p95:.0f}), "
        f"{duration(found.gap_p50_s)} from turn to turn (P50)"
    ]


def _shared(found: Shared, g: Glyphs) -> list[str]:
    several = found.instances > 1
    head = ("tokens of cache", "of prompt tokens found" if not several else "found, prefix-aware", "")
    rows = [(*head, "round robin") if several else head]
    shares = zip(found.cache_tokens, found.prefix_aware, found.round_robin, strict=True)
    for size, aware, turns in shares:
        row = (format_si(float(size), ""), percent(float(aware)), bar(float(aware), BAR_CELLS, g))
        rows.append((*row, percent(float(turns))) if several else row)
    of = f" of each of {found.instances} instances" if several else ""
    return [
        f"prefix reuse: up to {percent(found.most)} of prompt tokens, by the cache{of}",
        *aligned(rows, "rrlr" if several else "rrl", "  "),
    ]
