"""The answer: a sentence, the pools, the totals, the other way; or why nothing fits and what would."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from planner.units import format_seconds, format_si, format_tokens, three_digits
from tui.glyphs import UNICODE, Glyphs, bar
from tui.help_texts import page
from tui.panes.limits import limit_lines
from tui.state import View

if TYPE_CHECKING:
    from planner.result import Plan, PoolPlan, Relaxation, Serving
    from planner.sensitivity import Miss


class FixList(OptionList):
    """What would make the scenario feasible; enter applies."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "apply", key_display="enter", id="fix-apply"),
        Binding("down,j", "cursor_down", "next", show=False, id="fix-down"),
        Binding("up,k", "cursor_up", "previous", show=False, id="fix-up"),
    ]
    HELP = """
    ## What would do

    Each line is the smallest change of one input that makes the scenario feasible while all others
    stay. `enter` applies it, `u` takes it back.
    """


class PlanCard(Vertical, can_focus=True):
    """The plan in one pane."""

    HELP = page(
        """
    ## The plan

    What to deploy: a row for each pool, what they give together, and the way not taken below.
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
        self._plan: Plan | None = None
        self._waiting = ""
        self._miss: Miss | None = None  # the feasible plan nearest to an infeasible one
        self._fixes: list[tuple[Relaxation, ...]] = []  # what the list offers
        self._count = -1
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
        miss = view.findings.miss if view.findings.miss_of is view.plan else None
        if view.plan is self._plan and waiting == self._waiting and miss is self._miss:
            return
        self._plan, self._waiting, self._miss = view.plan, waiting, miss
        self._draw()
        self._offer()

    def _offer(self) -> None:
        """List the single changes that would do, or the pair where there is none."""
        relax = self._plan.infeasible.relax if self._plan is not None and self._plan.infeasible else ()
        offered = [(r,) for r in relax] or ([self._miss.relax] if self._miss is not None else [])
        if offered == self._fixes:
            return
        self._fixes = offered
        fixes, g = self.query_one(FixList), self.glyphs
        fixes.clear_options()
        fixes.add_options(
            Option(f"{g.pointer} {g.plain(' and '.join(r.text for r in each))}") for each in offered
        )
        fixes.display = bool(offered)
        if offered:
            fixes.highlighted = 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Apply the fix."""
        event.stop()
        if event.option_index < len(self._fixes):
            self.post_message(self.Fix(*self._fixes[event.option_index]))

    def _frame(self, title: str, subtitle: str) -> None:
        """Set the border's texts; only a change repaints."""
        if (title, subtitle) != (self.border_title, self.border_subtitle):
            self.border_title, self.border_subtitle = title, subtitle

    def _draw(self) -> None:
        width = self.content_size.width
        if width <= 0:
            return
        text = self.query_one("#card-text", Static)
        nearest = closest_miss(self._plan, self._miss, width, self.glyphs)
        below = self.query_one("#card-miss", Static)
        below.display = bool(nearest)
        below.update(Content("\n").join(nearest))
        if self._plan is None:
            text.update(Content.styled(self._waiting, "$hue-muted"))
            self._count = -1
            self._frame("Plan", "")
            return
        plan = self._plan
        self._frame("No plan meets every limit" if plan.chosen is None else "Plan", found(plan, self.glyphs))
        lines = card(plan, width, self.glyphs, self._miss)
        text.update(Content("\n").join(lines), layout=len(lines) != self._count)
        self._count = len(lines)


def found(plan: Plan, g: Glyphs) -> str:
    """What the optimiser says of its answer, and what holds the plan back."""
    if plan.chosen is None:
        return ""
    solver = plan.chosen.solver
    if solver.status == "optimal":
        text = "optimal"
    else:
        text = (
            f"best so far, gap {three_digits(100 * solver.gap)} %"
            if math.isfinite(solver.gap)
            else "best so far"
        )
    from planner.summary import limit_rows

    tight = [name for name, _, used, _ in limit_rows(plan, plan.chosen) if used >= 0.95]
    return f"{text} {g.dot} binding: {', '.join(tight)}" if tight else text


def headline(plan: Plan, width: int, g: Glyphs) -> str:
    """The answer in a few words: split or not, and what it brings."""
    from planner.summary import advantage, gain, money

    chosen, limits = plan.chosen, plan.scenario.limits
    assert chosen is not None
    split = plan.choice == "disaggregated"
    verdict = "Split" if split else "Do not split"
    other, name = (plan.colocated, "co-located") if split else (plan.disaggregated, "a split")
    if other is None:
        return f"{verdict}: {name} cannot meet these limits"
    goal = plan.scenario.goal
    if goal == "fewest-gpus":
        return f"{verdict}: {chosen.gpus:,} GPUs, {name} needs {other.gpus:,}"
    if goal == "cost":
        mine, theirs = money(chosen.usd_per_million_tokens), money(other.usd_per_million_tokens)
        return f"{verdict}: ${mine} per million tokens, {name} ${theirs}"
    ratio, sure = gain(plan, chosen, other), ""
    if (found := advantage(plan)) is not None:
        sure = ", beyond the error" if found[0] > 1 else ", within the error"
    at = g.plain(f" at TTL {g.at_most} {format_seconds(limits.ttl_s)}")
    if abs(ratio - 1) < 0.005:
        return f"{verdict}: the same throughput as {name}"
    texts = [f"{verdict}: {ratio:.2f}{g.times} {the}{name}{sure}" for the in ("the throughput of ", "")]
    return next((text for text in (texts[0] + at, *texts) if len(text) <= width), texts[1])


def card(plan: Plan, width: int, g: Glyphs, miss: Miss | None = None) -> list[Content]:
    """The lines of the card."""
    if plan.chosen is None:
        return why_not(plan, width, g, miss)
    lines = wrap(headline(plan, width, g), width, "bold $foreground")
    table, dropped = pool_table(plan, plan.chosen, width, g)
    lines += table
    lines += flow(totals(plan.chosen, g, dropped), width, g)
    other = plan.colocated if plan.choice == "disaggregated" else plan.disaggregated
    if other is not None:
        lines += alternative(other, width, g)
    if plan.mix is not None and (plan.scenario.mix or plan.mix.gain >= 0.001):
        pools = " + ".join(deployment(plan.mix.serving, g))
        lines.append(Content.assemble(("mixed  ", "$hue-muted"), f"{pools} ({100 * plan.mix.gain:+.1f} %)"))
    lines += wrap(g.plain(expected(plan)), width, "$hue-muted")
    return lines


def expected(plan: Plan) -> str:
    """What measurements make of the numbers; "" where nothing was measured."""
    from planner.summary import band_rows

    spans = [f"{short(name)} {span}" for name, _, span in reversed(band_rows(plan))]
    return f"80 % between: {', '.join(spans)}" if spans else ""


def short(name: str) -> str:
    """The name of a number in a report, in its shortest form.

    >>> short("token to token (TTL)"), short("tokens/s per GPU")
    ('TTL', 'tok/s/GPU')
    """
    return name.partition("(")[2].rstrip(")") or name.replace("tokens/s per ", "tok/s/")


def wrap(text: str, width: int, style: str) -> list[Content]:
    """Words over as many lines as they need."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [Content.styled(part, style) for part in (*lines, line) if part]


def pool_cells(plan: Plan, pool: PoolPlan, g: Glyphs) -> dict[str, str]:
    """One row of the table of pools."""
    limits = plan.scenario.limits
    latency, limit = (
        (pool.ftl_s, limits.ftl_s) if not math.isfinite(pool.ttl_s) else (pool.ttl_s, limits.ttl_s)
    )
    used = latency / limit
    mark = g.bad if used > 1 + 1e-6 else g.tight if used >= 0.9 else g.ok
    return {
        "": {"colocated": "co-loc."}.get(pool.phase, pool.phase),
        "pool": f"{pool.instances}{g.times}{pool.layout.label}",
        "GPUs": f"{pool.gpus:,}",
        "batch": f"{pool.batch:,}",
        "chunk": format_tokens(pool.chunk_tokens) if pool.chunk_tokens else "-",
        "latency": f"{g.plain(format_seconds(latency))} {mark}",
        "busy": f"{100 * pool.utilisation:.0f}%",
        "mem": f"{100 * pool.memory.used_share:.0f}%",
    }


def pool_table(plan: Plan, serving: Serving, width: int, g: Glyphs) -> tuple[list[Content], list[str]]:
    """The pools as a table, and what found no place in it, as phrases."""
    rows = [pool_cells(plan, pool, g) for pool in serving.pools]
    columns = list(rows[0])
    dropped: list[str] = []
    sizes = {c: max(len(c), *(len(row[c]) for row in rows)) for c in columns}
    for name in ("chunk", "busy", "mem", "batch"):
        if sum(sizes[c] + 1 for c in columns) - 1 > width:
            columns.remove(name)
            values = [row[name] for row in rows if row[name] != "-"]
            if values:
                dropped.append(f"{name} {'/'.join(values)}")
    spare = width - (sum(sizes[c] + 1 for c in columns) - 1)
    gap = " " * (1 + min(2, max(spare, 0) // max(len(columns) - 1, 1)))

    def padded(column: str, text: str) -> str:
        return f"{text:{'<' if column in ('', 'pool') else '>'}{sizes[column]}}"

    header = gap.join(padded(column, column) for column in columns)
    body = []
    for row, pool in zip(rows, serving.pools, strict=True):
        hue = "$hue-coloc" if pool.phase == "colocated" else "$hue-split"
        styles = {"": f"bold {hue}", "pool": "bold"}
        parts: list[tuple[str, str]] = []
        for column in columns:
            text = padded(column, row[column])
            if column == "latency":
                parts += [(text[:-1], ""), (text[-1], mark_hues(g)[text[-1]]), (gap, "")]
            else:
                parts += [(text, styles.get(column, "")), (gap, "")]
        body.append(Content.assemble(*parts[:-1]).truncate(width))
    return [Content.styled(header, "$hue-muted").truncate(width), *body], dropped


def mark_hues(g: Glyphs) -> dict[str, str]:
    """The colour of each mark of a limit."""
    return {g.ok: "$hue-good", g.tight: "$hue-tight", g.bad: "$hue-bad"}


def totals(serving: Serving, g: Glyphs, more: Iterable[str] = ()) -> list[tuple[str, str]]:
    """What the serving brings, as (number, unit) phrases in order of need."""
    from planner.summary import money

    phrases = [
        (three_digits(serving.tokens_per_s_per_gpu), "tok/s/GPU"),
        (three_digits(serving.tokens_per_s_per_user), "tok/s/user"),
        (three_digits(serving.requests_per_s), "req/s"),
        (f"${money(serving.usd_per_million_tokens)}", "/Mtok"),
    ]
    if math.isfinite(serving.ctx_gen_ratio):
        phrases.append(("", f"ctx:gen {three_digits(serving.ctx_gen_ratio)}"))
    phrases += [("", phrase) for phrase in more]
    out, into = serving.kv_egress_bytes_per_s_per_gpu, serving.kv_ingress_bytes_per_s_per_gpu
    if math.isfinite(out) and math.isfinite(into):
        phrases.append(("", f"KV {format_si(out, 'B/s')} out, {format_si(into, 'B/s')} in per GPU"))
    return phrases


def flow(phrases: Sequence[tuple[str, str]], width: int, g: Glyphs) -> list[Content]:
    """Phrases side by side with dots between, as many lines as they need."""
    lines: list[Content] = []
    line: list[tuple[str, str]] = []
    length = 0
    for number, unit in phrases:
        joint = " " if number and not unit.startswith("/") else ""
        size = len(number) + len(joint) + len(unit)
        if line and length + 3 + size > width:
            lines.append(Content.assemble(*line))
            line, length = [], 0
        if line:
            line.append((f" {g.dot} ", "$hue-muted"))
            length += 3
        line += [(number, "bold"), (joint + unit, "$hue-muted" if number else "")]
        length += size
    return [*lines, Content.assemble(*line)] if line else lines


def deployment(serving: Serving, g: Glyphs) -> list[str]:
    """Its pools, instances times layout."""
    return [f"{pool.instances}{g.times}{pool.layout.label}" for pool in serving.pools]


def alternative(other: Serving, width: int, g: Glyphs) -> list[Content]:
    """The way not taken, on one line."""
    colocated = all(pool.phase == "colocated" for pool in other.pools)
    name, hue = ("co-located", "$hue-coloc") if colocated else ("split", "$hue-split")
    glyph = g.colocated if colocated else g.split
    rate = f"{three_digits(other.tokens_per_s_per_gpu)} tok/s/GPU"
    text = f" {' + '.join(deployment(other, g))} {g.dot} {rate}"
    more = f" {g.dot} {three_digits(other.tokens_per_s_per_user)} tok/s/user"
    if len(glyph) + 1 + len(name) + len(text) + len(more) <= width:
        text += more
    line = Content.assemble((f"{glyph} {name}", hue), (text, "$hue-muted"))
    return [line.truncate(width, ellipsis=not g.ascii)]


def why_not(plan: Plan, width: int, g: Glyphs, miss: Miss | None = None) -> list[Content]:
    """What stops the design points, and the heading of the list of fixes."""
    if plan.infeasible is None:
        return [Content("No plan meets every limit.")]
    total = sum(points for _, points, _ in plan.infeasible.reasons)
    lines = []
    size = max((len(limit) for limit, _, _ in plan.infeasible.reasons), default=0)
    room = 8 if width < 70 else 16
    for limit, points, sentence in plan.infeasible.reasons:
        filled = bar(points / total, room, g) if total else ""
        share = f"{100 * points / total:>3.0f}%" if total else ""
        head = f"{g.bad} {limit:<{size}} "
        gap = " " * (room - len(filled)) if total else ""
        first, *rest = wrap(g.plain(sentence), max(width - len(head) - room - 6, 16), "")
        lines.append(
            Content.assemble(
                (head, "$hue-bad"), (filled, "$hue-bad"), (f"{gap} {share} ", "$hue-muted"), first
            )
        )
        indent = len(head) + (room + 6 if total else 2)
        lines += [Content.assemble(" " * indent, more) for more in rest]
    lines.append(Content(""))
    if plan.infeasible.relax:
        lines += wrap("Change one of these, keep the rest:", width, "bold")
    else:
        more = " These two together are:" if miss is not None else ""
        lines += wrap(f"No change of a single input is enough.{more}", width, "bold")
    return lines


def closest_miss(plan: Plan | None, miss: Miss | None, width: int, g: Glyphs) -> list[Content]:
    """The feasible plan nearest to an infeasible scenario, against the limits that it misses."""
    near = miss.plan.chosen if miss is not None else None
    if plan is None or plan.infeasible is None or near is None:
        return []
    head = Content.assemble(("Closest miss: ", "bold"), " + ".join(deployment(near, g)))
    lines = [Content(""), head.truncate(width, ellipsis=not g.ascii), *limit_lines(plan, near, width, g)]
    wanted = plan.scenario.traffic.requests_per_s
    if plan.scenario.goal != "throughput" and wanted and near.requests_per_s < wanted * (1 - 1e-9):
        served = f"{three_digits(near.requests_per_s)} of {three_digits(wanted)} req/s"
        lines.append(Content.assemble(("rate ", "$hue-muted"), f"{served} ", (g.bad, "$hue-bad")))
    return lines
