"""The numbers behind the plan's card: pools as a table, what they give, what is in flight and what moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from textual.content import Content

from planner.output.spelling import money
from planner.units import format_seconds, format_si, format_tokens, three_digits
from planner.words import LimitState
from tui.glyphs import Glyphs, limit_mark
from tui.panes.words import flow, span, wrap

if TYPE_CHECKING:
    from planner.planning.result import Plan, PoolPlan, Serving

RANGE = "80 %"  # the column of the error bands
RESTS = "evidence"  # the column of what was measured


def numbers(plan: Plan, serving: Serving, width: int, g: Glyphs) -> list[Content]:
    """All of them, as lines."""
    from planner.output.words import load_sentences

    table, dropped = pool_table(plan, serving, width, g)
    lines = [*table, *flow([*totals(plan, serving, g), *(("", text) for text in dropped)], width, g)]
    for said in load_sentences(plan, serving):
        lines += wrap(g.plain(said), width, "$hue-muted")
    return lines


def pool_cells(plan: Plan, pool: PoolPlan, g: Glyphs) -> dict[str, str]:
    """One row of the table of pools."""
    from planner.output.limits import pool_limit

    use = pool_limit(plan, pool)
    return {
        "": {"colocated": "co-loc."}.get(pool.phase, pool.phase),
        "pool": f"{pool.instances}{g.times}{pool.layout.label}",
        "GPUs": f"{pool.gpus:,}",
        "batch": f"{pool.batch:,}",
        "chunk": format_tokens(pool.chunk_tokens) if pool.chunk_tokens else "-",
        "latency": f"{g.plain(format_seconds(use.value))} {limit_mark(use.state, g)[0]}",
        RANGE: g.plain(span(*use.range, seconds=True)) if use.range else "",
        "busy": f"{100 * pool.utilisation:.0f}%",
        "mem": f"{100 * pool.memory.used_share:.0f}%",
        RESTS: pool.evidence.kind if pool.evidence else "",
    }


def pool_table(plan: Plan, serving: Serving, width: int, g: Glyphs) -> tuple[list[Content], list[str]]:
    """The pools as a table, and what found no place in it, as phrases."""
    rows = [pool_cells(plan, pool, g) for pool in serving.pools]
    columns = list(rows[0])
    dropped: list[str] = []
    sizes = {c: max(len(c), *(len(row[c]) for row in rows)) for c in columns}
    if not any(row[RANGE] for row in rows):
        columns.remove(RANGE)
    if not any(row[RESTS] for row in rows) or sum(sizes[c] + 1 for c in columns) - 1 > width:
        columns.remove(RESTS)
        kinds = list(dict.fromkeys(row[RESTS] for row in rows if row[RESTS]))
        dropped += [f"{RESTS} {'/'.join(kinds)}"] if kinds else []
    for name in ("chunk", "busy", "mem", "batch", "GPUs", RANGE):
        if name not in columns:
            continue
        if sum(sizes[c] + 1 for c in columns) - 1 > width:
            columns.remove(name)
            values = [row[name] for row in rows if row[name] != "-"]
            if values:
                dropped.append(f"{name} {g.plain(shared_unit(values))}")
    spare = width - (sum(sizes[c] + 1 for c in columns) - 1)
    gap = " " * (1 + min(2, max(spare, 0) // max(len(columns) - 1, 1)))

    def padded(column: str, text: str) -> str:
        return f"{text:{'<' if column in ('', 'pool') else '>'}{sizes[column]}}"

    hues = dict(limit_mark(state, g) for state in get_args(LimitState))
    header = gap.join(padded(column, column) for column in columns)
    body = []
    for row, pool in zip(rows, serving.pools, strict=True):
        hue = "$hue-coloc" if pool.phase == "colocated" else "$hue-split"
        styles = {"": f"bold {hue}", "pool": "bold", RANGE: "$hue-muted", RESTS: "$hue-muted"}
        parts: list[tuple[str, str]] = []
        for column in columns:
            text = padded(column, row[column])
            if column == "latency":
                parts += [(text[:-1], ""), (text[-1], hues[text[-1]]), (gap, "")]
            else:
                parts += [(text, styles.get(column, "")), (gap, "")]
        body.append(Content.assemble(*parts[:-1]).truncate(width))
    return [Content.styled(header, "$hue-muted").truncate(width), *body], dropped


def totals(plan: Plan, serving: Serving, g: Glyphs) -> list[tuple[str, str]]:
    """What the serving brings, as (number, unit) phrases in order of need."""
    from planner.output.words import transfer

    phrases = [
        (three_digits(serving.capacity_tokens_per_s_per_gpu), "tok/s/GPU"),
        (three_digits(serving.tokens_per_s_per_user), "tok/s/user"),
        (three_digits(serving.requests_per_s), f"{_of_capacity(plan, serving)}req/s"),
        (f"${money(serving.usd_per_million_tokens)}", "/Mtok"),
    ]
    if math.isfinite(serving.ctx_gen_ratio):
        phrases.append(("", f"ctx:gen {three_digits(serving.ctx_gen_ratio)}"))
    moved = transfer(plan, serving)
    if moved is not None:
        sent, received = format_si(moved.out_bytes_per_s, "B/s"), format_si(moved.in_bytes_per_s, "B/s")
        phrases.append(("", f"KV {sent} out, {received} in per GPU"))
    return phrases


def _of_capacity(plan: Plan, serving: Serving) -> str:
    """`of 14.2 `: what the pools can serve, where less is asked for."""
    if plan.scenario.traffic.requests_per_s is None or not serving.capacity_requests_per_s > 0:
        return ""
    return f"of {three_digits(serving.capacity_requests_per_s)} "


def shared_unit(values: Sequence[str]) -> str:
    """Values side by side, a unit that they share said once.

    >>> shared_unit(["98%", "100%"]), shared_unit(["340 MB/s", "170 MB/s"]), shared_unit(["2 GB/s", "3 MB/s"])
    ('98/100%', '340/170 MB/s', '2 GB/s/3 MB/s')
    """
    units = {value.lstrip("0123456789.,") for value in values}
    if len(units) > 1:
        return "/".join(values)
    unit = units.pop()
    return "/".join(value.removesuffix(unit) for value in values) + unit
