"""A plan as a report: plain text for people and screen readers, Markdown for documents.

Pure: a `Plan` in, a string out. `to_dict`, `to_json` and `to_csv` come from `planner.output.data`,
the sentences from `planner.output.words`; both are offered here too.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from planner.output.columns import aligned, markdown
from planner.output.data import to_csv, to_dict, to_json
from planner.output.words import (
    advantage,
    answer_sentence,
    ascii_only,
    band_rows,
    band_source,
    binding_pool,
    comparison_rows,
    count,
    deployment,
    frontier_rows,
    limit_rows,
    scenario_line,
)
from planner.units import format_memory, format_seconds, format_si, format_tokens, gib, three_digits

if TYPE_CHECKING:
    from planner.planning.result import Plan, PoolPlan, Serving

__all__ = ["answer_sentence", "to_csv", "to_dict", "to_json", "to_markdown", "to_text"]

_PHASES = {"prefill": "prefill", "decode": "decode", "colocated": "co-located"}


def to_text(
    plan: Plan, width: int = 80, *, ascii: bool = False, link_bytes_per_s: float | None = None
) -> str:
    """The whole plan as plain aligned text, the answer first.

    Parameters
    ----------
    width
        Columns to wrap sentences at; the tables take up to 80 whatever it is.
    ascii
        Only ASCII characters, for terminals and files that take no others.
    link_bytes_per_s
        Where known, KV traffic is set against the link of one GPU towards the other pool.
    """
    blocks = [_wrap(answer_sentence(plan), width), _wrap(scenario_line(plan.scenario), width)]
    deployed = deployment(plan)
    if deployed is None:
        blocks += _why_not(plan, width)
    else:
        blocks += [
            _section("Deploy", [line for pool in deployed.pools for line in _pool_lines(pool)]),
            _section("Limits", aligned(_limit_cells(plan, deployed), "lrrl")),
            _section("The two ways", aligned([("", "split", "co-located"), *comparison_rows(plan)], "lrr")),
            _section("What to expect in 4 of 5 cases", _expected(plan, width)),
            _section("Between the pools", _wrapped(_transfer(deployed, link_bytes_per_s), width)),
            _where_time_goes(deployed),
            _section("Mixed layouts", _wrapped(_mixed(plan), width)),
            _section("Frontier: the best throughput at each interactivity", _frontier(plan)),
        ]
    blocks.append(_section("How it was found", _wrapped(_found(plan), width)))
    blocks.append(_section("Notes", _wrapped(plan.notes, width)))
    text = "\n\n".join(block for block in blocks if block) + "\n"
    return ascii_only(text) if ascii else text


def to_markdown(plan: Plan) -> str:
    """The plan for a document or a ticket: the answer, the deployment, the comparison, the notes."""
    out = [f"**{answer_sentence(plan)}**", "", scenario_line(plan.scenario)]
    deployed = deployment(plan)
    if deployed is None and plan.infeasible is not None:
        reasons = [(limit, f"{points:,}", text) for limit, points, text in plan.infeasible.reasons]
        out += ["", *markdown([("limit", "design points it stops first", "why"), *reasons], "lrl")]
        out += ["", *(f"- {relax.text}" for relax in plan.infeasible.relax)]
    if deployed is not None:
        head = ("pool", "instances", "layout", "GPUs", "batch", "chunk", "latency", "used", "memory")
        pools = [
            (
                _phase(pool),
                f"{pool.instances:,}",
                pool.layout.label,
                f"{pool.gpus:,}",
                f"{pool.batch:,}",
                format_tokens(pool.chunk_tokens) if pool.chunk_tokens else "-",
                _latency(pool),
                _percent(pool.utilisation),
                _percent(pool.memory.used_share),
            )
            for pool in deployed.pools
        ]
        out += ["", *markdown([head, *pools], "lrlrrrlrr")]
        out += ["", *markdown([("limit", "value", "used", "state"), *_limit_cells(plan, deployed)], "lrrl")]
        out += ["", *markdown([("", "split", "co-located"), *comparison_rows(plan)], "lrr")]
    if plan.notes:
        out += ["", *(f"- {note}" for note in plan.notes)]
    return "\n".join(out) + "\n"


# The blocks of the text report, in the order of the page.


def _pool_lines(pool: PoolPlan) -> list[str]:
    memory, layout = pool.memory, pool.layout
    parts = {
        "weights": memory.weights_bytes,
        "KV": memory.kv_bytes,
        "other": memory.activation_bytes + memory.reserve_bytes,
    }
    used, held = gib(sum(parts.values())), format_memory(memory.capacity_bytes)
    what = ", ".join(f"{name} {gib(size)}" for name, size in parts.items())
    chunks = f", chunks of {format_tokens(pool.chunk_tokens)} tokens" if pool.chunk_tokens else ""
    gpus = count(pool.gpus, "GPU")
    if pool.instances > 1:
        gpus = f"{count(layout.gpus, 'GPU')} each, {gpus} together"
    mode = f" ({pool.mode})" if pool.mode else ""
    return [
        f"{_phase(pool)}{mode}: {pool.instances:,} × {layout.label}, {gpus}",
        f"  batch     {pool.batch:,} per instance{chunks}",
        f"  latency   {_latency(pool)}",
        f"  capacity  {three_digits(pool.requests_per_s)} requests/s, {_percent(pool.utilisation)} used",
        f"  memory    {used} of {held} per GPU, {_percent(memory.used_share)} ({what})",
    ]


def _limit_cells(plan: Plan, serving: Serving) -> list[tuple[str, str, str, str]]:
    return [
        (name, shown, f"{_percent(used)} used", state)
        for name, shown, used, state in limit_rows(plan, serving)
    ]


def _expected(plan: Plan, width: int) -> list[str]:
    """The error bands, whether the two ways differ by more, and what stands behind that."""
    rows = band_rows(plan)
    if not rows:
        return []
    lines = aligned([("", "predicted", "range"), *rows], "lrr")
    found = advantage(plan)
    if found is not None:
        low, high = (three_digits(value) for value in found)
        each = " per GPU" if plan.scenario.goal in ("fewest-gpus", "cost") else ""
        lines += _wrapped(
            [f"The chosen way makes {low} to {high} times the other's throughput{each}."], width
        )
    return lines + _wrapped([f"From {band_source(plan)}."], width)


def _transfer(serving: Serving, link: float | None) -> list[str]:
    if not math.isfinite(serving.ctx_gen_ratio):
        return []
    lines = [f"Prefill to decode GPUs: {three_digits(serving.ctx_gen_ratio)} to 1."]
    out, into = serving.kv_egress_bytes_per_s_per_gpu, serving.kv_ingress_bytes_per_s_per_gpu
    if math.isfinite(out) and math.isfinite(into):
        text = (
            f"KV cache leaves each prefill GPU at {format_si(out, 'B/s')} and reaches each decode GPU "
            f"at {format_si(into, 'B/s')}"
        )
        if link is not None:
            share = three_digits(100 * max(out, into) / link)
            text += f": at most {share} % of the {format_si(link, 'B/s')} of the link between them"
        lines.append(text + ".")
    if serving.kv_transfer_s > 0:
        lines.append(f"Moving the cache adds {format_seconds(serving.kv_transfer_s)} to the first token.")
    return lines


def _where_time_goes(serving: Serving) -> str:
    pool = binding_pool(serving)
    total = sum(part.seconds for part in pool.breakdown)
    if total <= 0:
        return ""
    rows = [("", "time", "share", "", "over light")]
    for part in sorted(pool.breakdown, key=lambda part: -part.seconds):
        bar = "#" * round(24 * part.seconds / total)
        light = f"{three_digits(part.seconds / part.light_s)} ×" if part.light_s > 0 else "-"
        rows.append((part.name, format_seconds(part.seconds), _percent(part.seconds / total), bar, light))
    title = (
        f"Where the time goes: one {_phase(pool)} pass of {format_seconds(total)}, against its speed of light"
    )
    return _section(title, aligned(rows, "lrrlr"))


def _mixed(plan: Plan) -> list[str]:
    """What several layouts per pool would bring, where they were not asked for."""
    if plan.mix is None or plan.scenario.mix or plan.mix.gain < 0.005:
        return []
    pools = ", ".join(
        f"{_phase(pool)} {pool.instances:,} × {pool.layout.label}" for pool in plan.mix.serving.pools
    )
    return [f"{100 * plan.mix.gain:.1f} % more requests/s than one layout per pool: {pools} (--mix)."]


def _frontier(plan: Plan) -> list[str]:
    """One line per interactivity; a star marks the one that the TTL limit asks for."""
    split, together = plan.frontier_disaggregated, plan.frontier_colocated
    limit = 1 / plan.scenario.limits.ttl_s
    rows = [
        ("per user", "split", "co-located", "gain", "ctx:gen", "prefill + decode"),
        ("tokens/s", "per GPU", "per GPU", "", "", "of the split"),
    ]
    for x, a, b in frontier_rows(plan):
        one, other, more, ratio, layouts = "-", "-", "", "", ""
        if a is not None:
            one, ratio = _digits(split.tokens_per_s_per_gpu[a]), _digits(split.ctx_gen_ratio[a])
            layouts = f"{split.prefill[a]} + {split.decode[a]}"
        if b is not None:
            other = _digits(together.tokens_per_s_per_gpu[b])
        if a is not None and b is not None:
            more = f"{100 * (split.tokens_per_s_per_gpu[a] / together.tokens_per_s_per_gpu[b] - 1):+.0f} %"
        rows.append((f"{'* ' if x == limit else ''}{_digits(x)}", one, other, more, ratio, layouts))
    if len(rows) == 2:
        return []
    return [*aligned(rows, "rrrrrl"), f"* TTL {format_seconds(plan.scenario.limits.ttl_s)}"]


def _why_not(plan: Plan, width: int) -> list[str]:
    if plan.infeasible is None:
        return []
    indent = " " * (max((len(limit) for limit, _, _ in plan.infeasible.reasons), default=0) + 2)
    lines: list[str] = []
    for limit, _, text in plan.infeasible.reasons:
        sentence = textwrap.wrap(text, max(width - len(indent) - 2, 20)) or ["-"]
        lines += [f"{limit:<{len(indent)}}{sentence[0]}", *(indent + rest for rest in sentence[1:])]
    relax = [r.text for r in plan.infeasible.relax]
    return [
        _section("Design points by the first limit that stops them", lines),
        _section("Change one of these, keep the rest", _wrapped(relax, width)),
    ]


def _found(plan: Plan) -> list[str]:
    points = ", ".join(f"{number:,} {_PHASES[phase]}" for phase, number in plan.design_points.items())
    times = ", ".join(f"{name} {format_seconds(seconds)}" for name, seconds in plan.seconds.items())
    lines = [f"Design points: {points}.", f"Time: {times}."]
    deployed = deployment(plan)
    if deployed is not None:
        solver = deployed.solver
        if solver.status == "optimal":
            lines.append("Instance counts: proven optimal by the integer program.")
        else:
            bound = f"{three_digits(100 * solver.gap)} %" if math.isfinite(solver.gap) else "an unknown share"
            spent = format_seconds(solver.seconds)
            lines.append(f"Instance counts: best found in {spent}, within {bound} of the optimum.")
    return lines


# Small helpers.


def _phase(pool: PoolPlan) -> str:
    return _PHASES[pool.phase]


def _latency(pool: PoolPlan) -> str:
    named = (("FTL", pool.ftl_s), ("TTL", pool.ttl_s))
    return ", ".join(f"{name} {format_seconds(s)}" for name, s in named if math.isfinite(s)) or "-"


def _digits(value: float) -> str:
    return three_digits(float(value))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _wrap(text: str, width: int) -> str:
    glued = re.sub(" (?=%)|(?<=[≤×]) | (?=[≤×])", "\N{NO-BREAK SPACE}", text)
    filled = textwrap.fill(glued, width, break_long_words=False, break_on_hyphens=False)
    return filled.replace("\N{NO-BREAK SPACE}", " ")


def _wrapped(texts: Iterable[str], width: int) -> list[str]:
    return [line for text in texts for line in _wrap(text, width - 2).splitlines()]


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"  {line}".rstrip() for line in lines)]) if lines else ""
