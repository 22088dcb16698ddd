"""The answer: a sentence, the pools, the totals, the other way; or why nothing fits and what would."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, get_args

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from planner.output.spelling import money, named
from planner.units import format_seconds, format_si, format_tokens, three_digits
from planner.words import EvidenceKind, LimitState
from tui.glyphs import UNICODE, Glyphs, limit_mark
from tui.help_texts import page
from tui.panes.why_not import LETTERS, FixList, closest_miss, line, why_not
from tui.panes.words import flow, layouts, span, wrap
from tui.state import View

if TYPE_CHECKING:
    from planner.planning.result import Plan, PoolPlan, Relaxation, Serving
    from planner.planning.what_if import Miss


RANGE = "80 %"  # the column of the error bands
RESTS = "evidence"  # the column of what was measured
KINDS = get_args(EvidenceKind)


class PlanCard(Vertical, can_focus=True):
    """The plan in one pane."""

    HELP = page(
        """
    ## The plan

    What to deploy: a row for each pool, what they give, and the way not taken below.
    """,
        "plan",
    )

    class Fix(Message):
        """The user wants a relaxation applied, or two at once."""

        def __init__(self, *relaxations: Relaxation) -> None:
            super().__init__()
            self.relaxations = relaxations

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        # the plan, or why there is none yet; the feasible plan nearest to it; whether that is still sought
        self._drawn: tuple[Plan | None, str, Miss | None, bool] = (None, "", None, True)
        self._old = False  # whether it is the plan of an earlier scenario
        self.fixes: list[tuple[Relaxation, ...]] = []  # what the list offers
        self.fix_texts: list[str] = []  # and in words
        self._count = -1
        self._nearest = Content()  # the closest miss, as last drawn
        self.border_title = "Plan"

    def compose(self) -> ComposeResult:
        """Text, and the list of fixes when there is one to offer."""
        yield Static(id="card-text")
        yield FixList(id="fixes", compact=True)
        yield Static(id="card-miss")

    def on_mount(self) -> None:
        """Nothing to fix yet."""
        self.query_one(FixList).display = False
        self.query_one("#card-miss").display = False

    def on_resize(self) -> None:
        """Text flows to the width."""
        self._draw()

    def show(self, view: View) -> None:
        """Draw the plan of a view."""
        waiting = ""
        if view.plan is None:
            waiting = view.error or (view.problem if view.invalid else f"computing{self.glyphs.ellipsis}")
        looked = view.findings.miss_of is view.plan
        miss = view.findings.miss if looked else None
        old = view.late or bool(view.invalid or view.error)
        if old != self._old:
            self._old = old
            self._entitle()
        shown = (view.plan, waiting, miss, not looked)
        if all(a is b or a == waiting == b for a, b in zip(shown, self._drawn, strict=True)):
            return
        self._drawn = shown
        self._draw()
        self._offer()

    def _offer(self) -> None:
        """List the single changes that would do, or those that do together where there is none."""
        plan, _, miss, _ = self._drawn
        ways: list[tuple[Relaxation, ...]] = []
        if plan is not None and plan.infeasible:
            ways = [(change,) for change in plan.infeasible.relax]
        if not ways and miss is not None:
            ways = [miss.relax, *miss.others]
        texts: list[str] = []
        if plan is not None and ways:
            from planner.output.reasons import way_text

            texts = [way_text(plan.scenario, way) for way in ways]
        if (ways, texts) == (self.fixes, self.fix_texts):
            return
        self.fixes, self.fix_texts = ways, texts
        fixes = self.query_one(FixList)
        fixes.clear_options()
        fixes.add_options(
            Option(line(letter, text, self.glyphs)) for letter, text in zip(LETTERS, texts, strict=False)
        )
        fixes.display = bool(ways)
        if ways:
            fixes.highlighted = 0

    def fix(self, at: int) -> None:
        """Apply one of the ways out."""
        if at < len(self.fixes):
            self.post_message(self.Fix(*self.fixes[at]))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Apply the fix."""
        event.stop()
        self.fix(event.option_index)

    def _entitle(self) -> None:
        """Set the border's texts; only a change repaints."""
        plan = self._drawn[0]
        title, subtitle = "Plan", ""
        if plan is not None:
            from planner.output.verdict import NO_PLAN

            fixed = ", layouts fixed" if plan.scenario.deployment.given else ""
            title = NO_PLAN if plan.chosen is None else f"Plan{fixed}"
            title, subtitle = f"{title}, before the edit" if self._old else title, found(plan, self.glyphs)
        if (title, subtitle) != (self.border_title, self.border_subtitle):
            self.border_title, self.border_subtitle = title, subtitle

    def _draw(self) -> None:
        width = self.content_size.width
        if width <= 0:
            return
        self._entitle()
        plan, waiting, miss, looking = self._drawn
        text = self.query_one("#card-text", Static)
        nearest = Content("\n").join(closest_miss(plan, miss, width, self.glyphs))
        if not nearest.is_same(self._nearest):  # setting it lays the screen out anew
            self._nearest = nearest
            below = self.query_one("#card-miss", Static)
            below.display = bool(nearest)
            below.update(nearest)
        if plan is None:
            text.update(Content.styled(waiting, "$hue-muted"))
            self._count = -1
            return
        if plan.chosen is None:
            lines = why_not(plan, width, self.glyphs, miss, looking=looking)
        else:
            lines, height = card(plan, width, self.glyphs, knee=True), self.styles.height
            if height is not None and not height.is_auto and len(lines) > self.content_size.height:
                lines = card(plan, width, self.glyphs)
                if len(lines) > self.content_size.height:
                    lines = card(plan, width, self.glyphs, brief=True)
        text.update(Content("\n").join(lines), layout=len(lines) != self._count)
        self._count = len(lines)


def found(plan: Plan, g: Glyphs) -> str:
    """What the optimiser says of its answer, and what holds the plan back."""
    from planner.output.limits import limits
    from planner.output.words import deployment, optimality

    serving = deployment(plan)
    if serving is None:
        return ""
    binding = ", ".join(use.name for use in limits(plan, serving) if use.binds)
    text = optimality(serving)
    return f"{text} {g.dot} binding: {binding}" if binding else text


def headline(plan: Plan, width: int, g: Glyphs) -> str:
    """The longest form of the answer that fits."""
    from planner.output.verdict import verdict

    answer = verdict(plan)
    assert answer is not None
    texts = [g.plain(text) for text in answer.headlines]
    return next((text for text in texts if len(text) <= width), texts[-1])


def card(plan: Plan, width: int, g: Glyphs, *, brief: bool = False, knee: bool = False) -> list[Content]:
    """The lines of the card; `brief` where there are few, what the FTL costs (`knee`) where many."""
    from planner.output import words
    from planner.output.verdict import ways

    serving = words.deployment(plan)
    assert serving is not None
    lines = wrap(headline(plan, width, g), width, "bold $foreground")
    table, dropped = pool_table(plan, serving, width, g)
    lines += table
    if brief:
        dropped = [phrase for phrase in dropped if not phrase.startswith(KINDS)]
    lines += flow(totals(plan, serving, g, dropped, brief=brief), width, g)
    _, other = ways(plan)
    if other is not None:
        lines += alternative(other, width, g)
    mix = words.mix_offer(plan)
    if mix is not None:
        pools = " + ".join(layouts(mix.serving, g))
        lines.append(Content.assemble(("mixed  ", "$hue-muted"), f"{pools} ({100 * mix.gain:+.1f} %)"))
    if knee and (said := words.knee_sentence(serving)):
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
        dropped += ["/".join(kinds)] if kinds else []
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


def totals(
    plan: Plan, serving: Serving, g: Glyphs, more: Iterable[str] = (), *, brief: bool = False
) -> list[tuple[str, str]]:
    """What the serving brings, as (number, unit) phrases in order of need."""
    from planner.output.words import expected, transfer

    items = {item.short: item for item in expected(plan, serving)}

    def within(short: str) -> str:
        if short not in items:
            return ""
        kind = "" if items[short].holds else "expected "
        return f" ({kind}{span(*items[short].range, seconds=short == 'FTL')})"

    phrases = [
        (three_digits(serving.capacity_tokens_per_s_per_gpu), g.plain(f"tok/s/GPU{within('tok/s/GPU')}")),
        (three_digits(serving.tokens_per_s_per_user), "tok/s/user"),
        (three_digits(serving.requests_per_s), f"{_of_capacity(plan, serving)}req/s"),
        (f"${money(serving.usd_per_million_tokens)}", "/Mtok"),
    ]
    if math.isfinite(serving.ctx_gen_ratio):
        phrases.append(("", f"ctx:gen {three_digits(serving.ctx_gen_ratio)}"))
    else:  # one pool, whose row has its TTL
        phrases.append(("", g.plain(f"FTL {format_seconds(serving.ftl_s)}{within('FTL')}")))
    phrases += [("", phrase) for phrase in more]
    moved = transfer(plan, serving)
    if moved is not None:
        sent, received = format_si(moved.out_bytes_per_s, "B/s"), format_si(moved.in_bytes_per_s, "B/s")
        text = f"KV {shared_unit([sent, received])}" if brief else f"KV {sent} out, {received} in per GPU"
        phrases.append(("", text))
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


def alternative(other: Serving, width: int, g: Glyphs) -> list[Content]:
    """The way not taken, on one line."""
    colocated = all(pool.phase == "colocated" for pool in other.pools)
    name = named("colocated" if colocated else "disaggregated")
    hue = "$hue-coloc" if colocated else "$hue-split"
    glyph = g.colocated if colocated else g.split
    rate = f"{three_digits(other.tokens_per_s_per_gpu)} tok/s/GPU"
    text = f" {' + '.join(layouts(other, g))} {g.dot} {rate}"
    ftl = g.plain(f"FTL {format_seconds(other.ftl_s)}")
    for more in (ftl, f"{three_digits(other.tokens_per_s_per_user)} tok/s/user"):
        if len(glyph) + 1 + len(name) + len(text) + 3 + len(more) <= width:
            text += f" {g.dot} {more}"
    line = Content.assemble((f"{glyph} {name}", hue), (text, "$hue-muted"))
    return [line.truncate(width, ellipsis=not g.ascii)]
