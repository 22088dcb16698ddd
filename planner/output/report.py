"""A plan as sections of sentences and tables, for reports that travel: Markdown and HTML are made of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from planner.output import encoder_words, fleets, words
from planner.output.command import command_line
from planner.output.layout_words import legend, pool_phrases
from planner.output.limits import MAY_MEET
from planner.output.loss_words import survival_sentences
from planner.output.notes import notes
from planner.output.reasons import change_text, reason_text, ways_out
from planner.output.spelling import instances, named, percent
from planner.output.tables import comparison_rows, frontier_table, latencies, limit_rows, may_meet_rows
from planner.output.verdict import expectation_sentences, ways
from planner.units import format_seconds, format_tokens, three_digits
from planner.values import dataclass

if TYPE_CHECKING:
    from planner.planning.result import Plan, PoolPlan, Serving

CHART = "Frontier: the best throughput at each interactivity"  # the section that a picture belongs to
COUNTED = {
    "auto": "",
    "saturation": ", at saturation",
    "goodput": ", as requests/s in limits",
}
TIMES = "Where the time goes"  # the section whose second column is a share that bars may show
COMMAND = "The same again"  # the section whose sentences are commands


def chart_title(plan: Plan) -> str:
    """`CHART`, and what it counts where that was asked for."""
    return f"{CHART}{COUNTED[plan.scenario.frontier]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, sentences, and a table whose first row is the head; `align` holds l or r for its columns."""

    title: str
    sentences: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    align: str = ""


def sections(plan: Plan) -> list[Section]:
    """The report below its answer, in the order of the page; what has nothing to say is left out."""
    serving = plan.deployed
    found = _of_plan(plan, serving) if serving is not None else _of_none(plan)
    found += [
        Section(title="Notes", sentences=tuple(notes(plan))),
        Section(title=COMMAND, sentences=(command_line(plan.scenario),)),
    ]
    return [section for section in found if section.sentences or len(section.rows) > 1]


def _of_plan(plan: Plan, serving: Serving) -> list[Section]:
    _, other = ways(plan)
    mix = words.mix_sentence(plan)
    labels = [pool.layout.label for way in (serving, other) if way is not None for pool in way.pools]
    return [
        _pools("Deploy", plan, serving),
        Section(title=encoder_words.TITLE, rows=tuple(encoder_words.rows(plan)), align="llrrrrr"),
        *_fleet(plan, serving),
        *([_in_words("The other way", other)] if other is not None else []),
        Section(
            title="Limits",
            rows=(("limit", "value", "used", "state"), *_limits(plan, serving)),
            sentences=tuple(fleets.one_more_sentences(plan)),
            align="lrrl",
        ),
        Section(
            title="The two ways", rows=(("", "split", "co-located"), *comparison_rows(plan)), align="lrr"
        ),
        _frontier(plan),
        _expected(plan, serving),
        _may_meet(plan),
        Section(title="Under load", sentences=tuple(words.load_sentences(plan, serving))),
        Section(title="After a loss", sentences=tuple(survival_sentences(plan))),
        Section(title="Between the pools", sentences=tuple(words.transfer_sentences(plan, serving))),
        _times(serving),
        Section(title="Mixed layouts", sentences=(mix,) if mix else ()),
        Section(title="Names of layouts, by example", sentences=tuple(legend(tuple(labels)))),
    ]


def _limits(plan: Plan, serving: Serving) -> Iterator[tuple[str, ...]]:
    """Those of `limit_rows`, under a head that says what the share is of."""
    for name, value, used, state in limit_rows(plan, serving):
        yield name, value, used.removesuffix(" used"), state


def _frontier(plan: Plan) -> Section:
    rows = frontier_table(plan)
    limit = format_seconds(plan.scenario.limits.ttl_s)
    starred = any(row[0].startswith("*") for row in rows)
    told = (f"The row with a star is at the limit TTL {limit}.",) if starred else ()
    return Section(title=chart_title(plan), rows=tuple(rows), sentences=told, align="rrrrrl")


def _of_none(plan: Plan) -> list[Section]:
    if plan.infeasible is None:
        return []
    reasons = [
        (named(r.limit), f"{r.points:,}", reason_text(plan.scenario, r)) for r in plan.infeasible.reasons
    ]
    return [
        Section(title="Why", rows=(("limit", "design points it stops first", "why"), *reasons), align="lrl"),
        Section(
            title=ways_out(len(plan.infeasible.relax)),
            sentences=tuple(change_text(plan.scenario, change) for change in plan.infeasible.relax),
        ),
        _may_meet(plan),
    ]


def pool_sentence(pool: PoolPlan) -> str:
    """`prefill 8 × CPP4xTP1: 8 instances of 4 GPUs, a 4-stage chunked pipeline.`"""
    return f"{named(pool.phase)} {instances(pool)}: {pool_phrases(pool)[0]}."


def _in_words(title: str, serving: Serving) -> Section:
    of = serving.encoder
    encoder = (
        () if of is None else (f"image encoder {encoder_words.title(of)}: {encoder_words.phrases(of)[0]}.",)
    )
    return Section(title=title, sentences=(*encoder, *map(pool_sentence, serving.pools)))


def _fleet(plan: Plan, serving: Serving) -> list[Section]:
    """What is used of each system of several, and what each would do alone."""
    if not plan.alone:
        return []
    said = tuple(filter(None, (fleets.spent(serving) + ".", fleets.together_sentence(plan))))
    return [
        Section(title=fleets.USED, sentences=said, rows=tuple(fleets.used_rows(plan, serving)), align="lrr"),
        Section(title=fleets.ALONE, rows=tuple(fleets.alone_rows(plan)), align="llrrrrrr"),
    ]


def _pools(title: str, plan: Plan, serving: Serving) -> Section:
    """Each pool as a sentence and as a row."""
    head = ("pool", "instances", "layout", "GPUs", "batch", "chunk", "latency", "used", "memory", "evidence")
    rows = [
        (
            named(pool.phase),
            f"{pool.instances:,}",
            f"{pool.layout.label}{fleets.on(plan, pool)}",
            f"{pool.gpus:,}",
            f"{pool.batch:,}",
            format_tokens(pool.chunk_tokens) if pool.chunk_tokens else "-",
            latencies(pool),
            percent(pool.utilisation),
            percent(pool.memory.used_share),
            pool.evidence.kind if pool.evidence else "-",
        )
        for pool in serving.pools
    ]
    return Section(
        title=title,
        sentences=tuple(map(pool_sentence, serving.pools)),
        rows=(head, *rows),
        align="lrlrrrlrrl",
    )


def _expected(plan: Plan, serving: Serving) -> Section:
    """The error bands, whether the two ways differ by more, and what stands behind that."""
    items = [*words.expected(plan, serving), *words.expected_power(plan, serving)]
    rows = [(item.name, item.text, item.range_text) for item in items]
    return Section(
        title=words.EXPECTED,
        sentences=expectation_sentences(plan, serving) if rows else (),
        rows=(("", "predicted", "range"), *rows),
        align="lrr",
    )


def _may_meet(plan: Plan) -> Section:
    """Layouts that a limit rules out by less than the error."""
    rows = may_meet_rows(plan)
    head = ("way", "layouts", "misses", "FTL", "TTL", "tokens/s/GPU")
    return Section(title=MAY_MEET, rows=(head, *rows), align="lllrrr")


def _times(serving: Serving) -> Section:
    """One pass of the pool that holds the others back, operator by operator, against its speed of light."""
    pool = words.binding_pool(serving)
    total = sum(part.seconds for part in pool.breakdown)
    if total <= 0:
        return Section(title=TIMES)
    rows = [("one pass", "share", "time", "over light")]
    for part in sorted(pool.breakdown, key=lambda part: -part.seconds):
        light = f"{three_digits(part.seconds / part.light_s)} ×" if part.light_s > 0 else "-"
        rows.append((part.name, percent(part.seconds / total), format_seconds(part.seconds), light))
    return Section(
        title=TIMES,
        sentences=(f"One {named(pool.phase)} pass of {format_seconds(total)}, against its speed of light.",),
        rows=tuple(rows),
        align="lrrr",
    )
