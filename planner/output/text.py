"""A plan as plain text, for people and screen readers. Pure: a `Plan` in, a string out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from planner.output import encoder_words, fleets, goodput, layout_words, words
from planner.output.columns import aligned
from planner.output.limits import MAY_MEET
from planner.output.loss_words import survival_sentences
from planner.output.notes import notes
from planner.output.reasons import change_text, reason_text, ways_out
from planner.output.report import chart_title
from planner.output.spelling import ascii_only, count, instances, named, percent
from planner.output.tables import (
    comparison_rows,
    frontier_table,
    latencies,
    limit_rows,
    may_meet_rows,
    scenario_line,
)
from planner.output.verdict import answer_sentence, expectation_sentences
from planner.units import format_memory, format_seconds, format_tokens, gib, three_digits

if TYPE_CHECKING:
    from planner.planning.result import Plan, PoolPlan, Serving

INDENT = 2  # of the lines of a section


def to_text(plan: Plan, width: int = 80, *, ascii: bool = False) -> str:
    """The whole plan as plain aligned text, the answer first.

    Parameters
    ----------
    width
        Columns to wrap sentences at; the tables take up to 80 whatever it is.
    ascii
        Only ASCII characters, for terminals and files that take no others.
    """
    blocks = [_wrap(answer_sentence(plan), width), _wrap(scenario_line(plan.scenario), width)]
    deployed = plan.deployed
    if deployed is None:
        blocks += _why_not(plan, width)
    else:
        blocks += [
            _section("Deploy", _deploy(plan, deployed, width)),
            _section(encoder_words.TITLE, _encoding(plan)),
            _section(fleets.USED, _fleet(plan, deployed, width)),
            _section("Limits", [*aligned(limit_rows(plan, deployed), "lrrl"), *_one_more(plan, width)]),
            _section("The two ways", _two_ways(plan)),
            _section(MAY_MEET, _may_meet(plan, width)),
            _section(words.EXPECTED, _expected(plan, deployed, width)),
            _section("Under load", _wrapped(words.load_sentences(plan, deployed), width)),
            _section("After a loss", _wrapped(survival_sentences(plan), width)),
            _section("Between the pools", _wrapped(words.transfer_sentences(plan, deployed), width)),
            _where_time_goes(deployed),
            _section("Mixed layouts", _wrapped(filter(None, [words.mix_sentence(plan)]), width)),
            _section(chart_title(plan), _frontier(plan)),
        ]
    blocks.append(_section("How it was found", _wrapped(_found(plan), width)))
    if deployed is not None:
        blocks.append(_section("Names of layouts, by example", _wrapped(_legend(deployed), width)))
    blocks.append(_section("Notes", _wrapped(notes(plan), width)))
    text = "\n\n".join(block for block in blocks if block) + "\n"
    return ascii_only(text) if ascii else text


# The blocks of the text report, in the order of the page.


def _pool_lines(plan: Plan, pool: PoolPlan, width: int) -> list[str]:
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
        gpus = f"{count(layout.gpus, 'GPU')} each, {gpus} in all"
    mode = f" ({pool.mode})" if pool.mode else ""
    rests = words.evidence_text(pool)
    return [
        f"{named(pool.phase)}{mode}: {instances(pool)}{fleets.on(plan, pool)}, {gpus}",
        f"  batch     {pool.batch:,} per instance{chunks}",
        f"  latency   {latencies(pool)}",
        f"  capacity  {three_digits(pool.requests_per_s)} requests/s, {percent(pool.utilisation)} used",
        f"  memory    {used} of {held} per GPU, {percent(memory.used_share)} ({what})",
        *_hanging("  evidence  ", rests, width),
    ]


def _deploy(plan: Plan, serving: Serving, width: int) -> list[str]:
    of = serving.encoder
    on = f" on {of.system}" if of is not None and plan.alone else ""
    pools = [line for pool in serving.pools for line in _pool_lines(plan, pool, width)]
    return [*encoder_words.lines(serving, on=on), *pools]


def _encoding(plan: Plan) -> list[str]:
    """Both places to encode images in; none without images."""
    rows = encoder_words.rows(plan)
    return aligned(rows, "llrrrrr") if rows else []


def _fleet(plan: Plan, serving: Serving, width: int) -> list[str]:
    """What is used of each system and what that costs, and what each would do alone; none without a fleet."""
    if not plan.alone:
        return []
    said = filter(None, (fleets.spent(serving) + ".", fleets.together_sentence(plan)))
    return [
        *aligned(fleets.used_rows(plan, serving), "lrr"),
        *_wrapped(said, width),
        "",
        fleets.ALONE,
        *_fitting(fleets.alone_rows(plan), "llrrrrrr", width),
    ]


def _one_more(plan: Plan, width: int) -> list[str]:
    return _wrapped(fleets.one_more_sentences(plan), width)


def _expected(plan: Plan, serving: Serving, width: int) -> list[str]:
    """The error bands, whether the two ways differ by more, and what stands behind that."""
    items = [*words.expected(plan, serving), *words.expected_power(plan, serving)]
    rows = [(item.name, item.text, item.range_text) for item in items]
    if not rows:
        return []
    said = expectation_sentences(plan, serving)
    return [*aligned([("", "predicted", "range"), *rows], "lrr"), *_wrapped(said, width)]


def _may_meet(plan: Plan, width: int) -> list[str]:
    """Layouts that a limit rules out by less than the error: never chosen, worth a trial."""
    rows = may_meet_rows(plan)
    head = ("", "", "misses", "FTL", "TTL", "tokens/s/GPU")
    return _fitting([head, *rows], "lllrrr", width) if rows else []


def _two_ways(plan: Plan) -> list[str]:
    """Both ways in columns; none where a mix alone meets the limits."""
    rows = comparison_rows(plan)
    return aligned([("", "split", "co-located"), *rows], "lrr") if rows else []


def _fitting(rows: Sequence[tuple[str, ...]], align: str, width: int) -> list[str]:
    """Aligned rows; where they are too wide, the pools of the second column stand under each other."""
    lines = aligned(rows, align)
    if max(map(len, lines)) <= width - INDENT:
        return lines
    parts: list[tuple[str, ...]] = []
    for way, pools, *rest in rows:
        first, *others = pools.replace(" + ", " +\n").split("\n")
        parts += [(way, first, *rest), *(("", other, *[""] * len(rest)) for other in others)]
    return aligned(parts, align)


def _where_time_goes(serving: Serving) -> str:
    pool = words.binding_pool(serving)
    total = sum(part.seconds for part in pool.breakdown)
    if total <= 0:
        return ""
    rows = [("", "time", "share", "", "over light")]
    for part in sorted(pool.breakdown, key=lambda part: -part.seconds):
        bar = "#" * round(24 * part.seconds / total)
        light = f"{three_digits(part.seconds / part.light_s)} ×" if part.light_s > 0 else "-"
        rows.append((part.name, format_seconds(part.seconds), percent(part.seconds / total), bar, light))
    title = f"Where the time goes: one {named(pool.phase)} pass of {format_seconds(total)}"
    return _section(f"{title}, against its speed of light", aligned(rows, "lrrlr"))


def _frontier(plan: Plan) -> list[str]:
    """One line per interactivity; a star marks the one that the TTL limit asks for."""
    rows = frontier_table(plan)
    if not rows:
        return []
    each = "per GPU" if goodput.unit(plan.scenario) == goodput.TOKENS else "req/s/GPU"
    units = ("tokens/s", each, each, "", "", "of the split")
    return [
        *aligned([rows[0], units, *rows[1:]], "rrrrrl"),
        f"* TTL {format_seconds(plan.scenario.limits.ttl_s)}",
    ]


def _why_not(plan: Plan, width: int) -> list[str]:
    if plan.infeasible is None:
        return []
    indent = " " * (max((len(r.limit) for r in plan.infeasible.reasons), default=0) + 2)
    lines: list[str] = []
    for reason in plan.infeasible.reasons:
        said = reason_text(plan.scenario, reason)
        sentence = textwrap.wrap(said, max(width - len(indent) - 2, 20))
        lines += [
            f"{named(reason.limit):<{len(indent)}}{sentence[0]}",
            *(indent + rest for rest in sentence[1:]),
        ]
    relax = [change_text(plan.scenario, change) for change in plan.infeasible.relax]
    return [
        _section("Design points by the first limit that stops them", lines),
        _section(ways_out(len(relax)), _wrapped(relax, width)),
        _section(MAY_MEET, _may_meet(plan, width)),
    ]


def _found(plan: Plan) -> list[str]:
    points = ", ".join(f"{number:,} {named(phase)}" for phase, number in plan.design_points.items())
    times = ", ".join(f"{name} {format_seconds(seconds)}" for name, seconds in plan.seconds.items())
    lines = [f"Design points: {points}.", f"Time: {times}.", *filter(None, [words.engine_sentence(plan)])]
    deployed = plan.deployed
    return lines if deployed is None else [*lines, words.optimality_sentence(deployed)]


def _legend(serving: Serving) -> list[str]:
    """What the pieces of the layouts' names say."""
    return layout_words.legend(tuple(pool.layout.label for pool in serving.pools))


# Small helpers.


def _wrap(text: str, width: int) -> str:
    glued = re.sub(" (?=%)|(?<=[≤×]) | (?=[≤×])", "\N{NO-BREAK SPACE}", text)
    filled = textwrap.fill(glued, width, break_long_words=False, break_on_hyphens=False)
    return filled.replace("\N{NO-BREAK SPACE}", " ")


def _hanging(name: str, text: str, width: int) -> list[str]:
    """A named text on as many lines as it takes, the rest below its start; none without a text."""
    lines = _wrapped([text], width - len(name)) if text else []
    return [f"{' ' * len(name) if i else name}{line}" for i, line in enumerate(lines)]


def _wrapped(texts: Iterable[str], width: int) -> list[str]:
    return [line for text in texts for line in _wrap(text, width - 2).splitlines()]


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"{'':{INDENT}}{line}".rstrip() for line in lines)]) if lines else ""
