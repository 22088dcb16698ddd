"""What the plan's card says: the answer and its certainty, each pool in words, both ways side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from rich.cells import cell_len
from textual.content import Content

from planner.output.spelling import money, named
from planner.units import format_seconds, three_digits
from planner.words import EvidenceKind, LimitState
from tui.glyphs import Glyphs, limit_mark
from tui.panes.card_numbers import numbers
from tui.panes.words import flow, layouts, span, wrap

if TYPE_CHECKING:
    from planner.output.limits import LimitUse
    from planner.planning.result import EncoderPlan, Plan, PoolPlan, Serving

KINDS: tuple[EvidenceKind, ...] = get_args(EvidenceKind)  # the surest first


def headline(plan: Plan, width: int, g: Glyphs) -> str:
    """The longest form of the answer that fits."""
    from planner.output.verdict import verdict

    answer = verdict(plan)
    assert answer is not None
    texts = [g.plain(text) for text in answer.headlines]
    return next((text for text in texts if len(text) <= width), texts[-1])


def card(plan: Plan, width: int, g: Glyphs, *, room: int | None = None, more: bool = False) -> list[Content]:
    """The lines of the card: as many as `room` has; all of them, and the numbers behind, with `more`."""
    from planner.output.verdict import ways

    serving = plan.deployed
    assert serving is not None
    _, other = ways(plan)
    lines = wrap(headline(plan, width, g), width, "bold $foreground")
    lines += way_lines(plan, serving, width, g)
    table, told = two_ways(plan, serving, other, width, g)
    lines += table
    for extra in _extras(plan, serving, other, width, g, evidence=not told):
        if more or room is None or len(lines) + len(extra) <= room:
            lines += extra
    if more:
        lines += [Content(), *numbers(plan, serving, width, g)]
    return lines


def _extras(
    plan: Plan, serving: Serving, other: Serving | None, width: int, g: Glyphs, *, evidence: bool
) -> list[list[Content]]:
    """What is said where there is room, in order of need."""
    from planner.output import queue_words, words

    blocks: list[list[Content]] = []
    if serving.queued is not None:
        told = words.load_sentences(plan, serving)[1]
        if (replayed := serving.queued.replayed) is not None:
            told += f" {queue_words.replayed_sentence(replayed)}"
        blocks.append(wrap(g.plain(told), width, ""))
    if evidence and (kinds := evidence_line(serving)):
        blocks.append(wrap(kinds, width, "$hue-muted"))
    if spread := ranges(plan, serving, g):
        blocks.append(flow(spread, width, g))
    if other is not None:
        mark = Content.styled(f"{g.other} ", "$hue-muted")  # as its row above has it
        blocks.append([mark + line for line in way_lines(plan, other, width - len(mark), g)])
    mix = words.mix_offer(plan)
    if mix is not None:
        pools = " + ".join(layouts(mix.serving, g))
        # not over this plan
        over = " by mixing layouts" if serving is plan.disaggregated else " over one layout a pool by mixing"
        offers = (f"{100 * mix.gain:+.1f} %{over}{how}: {pools}" for how in (" (mix on)", ""))
        blocks.append(min((wrap(text, width, "") for text in offers), key=len))
    if said := [g.plain(text) for text in words.knee_sentences(plan, serving)]:
        text = next((text for text in said if len(text) <= width), said[-1])
        blocks.append(wrap(text, width, "$hue-muted"))
    return blocks


def way_lines(plan: Plan, serving: Serving, width: int, g: Glyphs) -> list[Content]:
    """The pools of a way of serving, a line each, what encodes images before them."""
    from planner.output.fleets import on

    lines = [pool_line(pool, width, g, on=on(plan, pool)) for pool in serving.pools]
    if serving.encoder is not None:
        where = f" on {serving.encoder.system}" if plan.alone and serving.encoder.instances else ""
        lines.insert(0, encoder_line(serving.encoder, width, g, on=where))
    return lines


def encoder_line(of: EncoderPlan, width: int, g: Glyphs, *, on: str = "") -> Content:
    """`encoder 8×1 GPU: 2 images of 1,024 tokens a request, passes of 20 ms`, as long as it fits."""
    from planner.output.encoder_words import phrases

    label = f" {of.instances:,}{g.times}TP1{on}" if of.instances else ""
    room = width - len("encoder") - len(label) - 2
    said = [g.plain(text) for text in phrases(of)]
    phrase = next((text for text in said if len(text) <= room), said[-1])
    line = Content.assemble(("encoder", "bold $foreground"), (label, "bold"), (f": {phrase}", "$hue-muted"))
    return line.truncate(width, ellipsis=not g.ascii)


def pool_line(pool: PoolPlan, width: int, g: Glyphs, *, on: str = "") -> Content:
    """`prefill 8×CPP4xTP1 on h200: 8 instances of 4 GPUs, a 4-stage chunked pipeline`, as long as it fits."""
    from planner.output.layout_words import pool_phrases

    hue = "$hue-coloc" if pool.phase == "colocated" else "$hue-split"
    name, label = named(pool.phase), f" {pool.instances:,}{g.times}{pool.layout.label}{on}"
    room = width - len(name) - len(label) - 2
    phrases = pool_phrases(pool)
    phrase = next((text for text in phrases if len(text) <= room), phrases[-1])
    line = Content.assemble((name, f"bold {hue}"), (label, "bold"), (f": {phrase}", "$hue-muted"))
    return line.truncate(width, ellipsis=not g.ascii)


def two_ways(
    plan: Plan, serving: Serving, other: Serving | None, width: int, g: Glyphs
) -> tuple[list[Content], bool]:
    """Both ways in rows and the limits below, the plan first; whether the evidence found a place there."""
    from planner.output.limits import limits

    hues = {"": "", **dict(limit_mark(state, g) for state in get_args(LimitState))}
    shown = [way for way in (serving, other) if way is not None]
    uses = [{use.key: use for use in limits(plan, way)} for way in shown]
    rows = [_row(way, use, g, chosen=way is serving) for way, use in zip(shown, uses, strict=True)]
    head = {"": "", **{key: _title(key, uses[0], g) for key in ("ftl", "ttl")}}
    head |= {
        "rate": "tok/s/GPU",
        "usd": "$/Mtok",
        "gpus": "GPUs",
        "user": "tok/s/user",
        "evidence": "evidence",
    }
    limit = {key: f"{g.at_most} {_limit(use, g)}" for key, use in uses[0].items()}
    foot = {key: limit.get(key, "") for key in head} | {"": "  limit"}
    foot |= {
        key: f"{limit[key]}  " for key in ("ftl", "ttl") if key in limit
    }  # under the number, not its mark
    columns = list(head)
    if not any(row["evidence"] for row in rows):
        columns.remove("evidence")
    sizes = {key: max(cell_len(row[key]) for row in (head, *rows, foot)) for key in columns}
    # where they take unlike numbers of GPUs, tokens/s per GPU do not say which makes more
    unlike = len({way.gpus for way in shown}) > 1
    spared = ("user", "evidence", "usd", "gpus") if unlike else ("user", "gpus", "evidence", "usd")
    for key in (*spared, "rate"):
        if key in columns and sum(sizes[c] + 1 for c in columns) - 1 > width:
            columns.remove(key)
    spare = width - (sum(sizes[c] + 1 for c in columns) - 1)
    gap = " " * (1 + min(2, max(spare, 0) // max(len(columns) - 1, 1)))
    lines = [_joined(head, columns, sizes, gap, "$hue-muted", {})]
    for row, way in zip(rows, shown, strict=True):
        hue = "$hue-coloc" if way.pools[0].phase == "colocated" else "$hue-split"
        lines.append(_joined(row, columns, sizes, gap, "bold" if way is serving else "", hues, hue))
    lines.append(_joined(foot, columns, sizes, gap, "$hue-muted", {}))
    left = [
        (rows[0][key], unit) for key, unit in (("rate", "tok/s/GPU"), ("usd", "$/Mtok")) if key not in columns
    ]
    told = "evidence" in columns or not any(row["evidence"] for row in rows)
    return [*(line.truncate(width) for line in lines), *flow(left, width, g)], told


def _row(way: Serving, uses: dict[str, LimitUse], g: Glyphs, *, chosen: bool) -> dict[str, str]:
    """One way of serving, each number by the key of its column."""

    def latency(key: str, value: float) -> str:
        if not math.isfinite(value):
            return "-"
        mark = limit_mark(uses[key].state, g)[0] if key in uses else " "
        return f"{g.plain(format_seconds(value))} {mark}"

    kinds = [pool.evidence.kind for pool in way.pools if pool.evidence]
    phases = {pool.phase for pool in way.pools}
    name = "co-loc." if phases == {"colocated"} else "mix" if "colocated" in phases else "split"
    return {
        "": f"{g.chosen if chosen else g.other} {name}",
        "ftl": latency("ftl", way.ftl_s),
        "ttl": latency("ttl", way.ttl_s),
        "rate": three_digits(way.capacity_tokens_per_s_per_gpu),
        "usd": money(way.usd_per_million_tokens),
        "gpus": f"{way.gpus:,}",
        "user": three_digits(way.tokens_per_s_per_user),
        "evidence": max(kinds, key=KINDS.index) if kinds else "",
    }


def _title(key: str, uses: dict[str, LimitUse], g: Glyphs) -> str:
    """`FTL p95`: what of a latency is told."""
    at = uses[key].at if key in uses else ""
    return f"{named(key)} {at}  " if at else f"{named(key)}  "


def _limit(use: LimitUse, g: Glyphs) -> str:
    return f"{use.limit:,.0f}" if use.key == "gpus" else g.plain(format_seconds(use.limit))


def _joined(
    row: dict[str, str],
    columns: Sequence[str],
    sizes: dict[str, int],
    gap: str,
    style: str,
    hues: dict[str, str],
    name: str = "",
) -> Content:
    """A row of cells; the mark at the end of a latency has a colour of its own."""
    parts: list[tuple[str, str]] = []
    for key in columns:
        text = row[key]
        blank = " " * (sizes[key] - cell_len(text))
        if key == "":
            parts.append((text + blank, f"{style} {name}".strip()))
        elif key in ("ftl", "ttl") and hues.get(text[-1:]):
            parts += [(blank + text[:-1], style), (text[-1], hues[text[-1]])]
        else:
            parts.append((blank + text, style if key != "evidence" else "$hue-muted"))
        parts.append((gap, ""))
    return Content.assemble(*parts[:-1])


def evidence_line(serving: Serving) -> str:
    """`evidence: prefill extrapolated, decode measured`; "" where nothing is known."""
    kinds = [(named(pool.phase), pool.evidence.kind) for pool in serving.pools if pool.evidence]
    if not kinds:
        return ""
    if len({kind for _, kind in kinds}) == 1:
        return f"evidence: {kinds[0][1]}"
    return "evidence: " + ", ".join(dict.fromkeys(f"{phase} {kind}" for phase, kind in kinds))


def ranges(plan: Plan, serving: Serving, g: Glyphs) -> list[tuple[str, str]]:
    """What to expect in four of five cases, as phrases; none where nothing was measured."""
    from planner.output.words import expected, expected_power

    items = expected(plan, serving)
    found = [("", "in 4 of 5 cases")] if items else []
    for item in items:
        low_high = span(*item.range, seconds=item.in_seconds)
        text = f"{item.short} {low_high}" if item.in_seconds else f"{low_high} {item.short}"
        text = text if item.holds else f"{text} expected"
        found.append(("", g.plain(text)))
    for item in expected_power(plan, serving)[:1]:
        scale, unit = (1e3, "kW") if item.range[1] >= 1e3 else (1.0, "W")
        found.append(("", g.plain(f"{span(*(end / scale for end in item.range))} {unit}")))
    return found
