"""The reasons in full: both pools, operator by operator; memory; the cache's way; assumptions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from planner.output.spelling import count, money, named, percent
from planner.units import format_seconds, format_si, format_tokens, three_digits
from tui.glyphs import UNICODE, Glyphs
from tui.help_texts import in_rows, page
from tui.panes.breakdown import memory_lines, optimiser_text, power_rows, time_bars
from tui.panes.limits import limit_lines
from tui.panes.page import Page
from tui.panes.words import wrap
from tui.state import View

if TYPE_CHECKING:
    from planner.inputs.kernels import Provenance
    from planner.planning.result import Plan, PoolPlan, Serving

GAP = 1  # between numbers at the right and the scrollbar, which without colours looks like a part of them
WIDE = 100  # columns from which the two halves stand side by side


class Scrolled(VerticalScroll, can_focus=True):
    """A part of the page that scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "down,j", "scroll_down", "scroll", key_display="up_down", tooltip="scroll down", id="reasons-down"
        ),
        Binding("up,k", "scroll_up", "scroll up", show=False, id="reasons-up"),
    ]
    HELP = page(
        """
    ## Breakdown

    **Time**: one forward pass of each pool. The solid part of a bar is what the work takes at the
    speed of light (peak FLOP/s or bandwidth, whichever binds), the shaded part is what is lost; the
    percentage is light over time. **Memory** is of the fullest GPU. **Cache**: what each prefill GPU
    sends and each decode GPU receives, against one GPU's link to the other pool. **Kernels**: where
    the constants of each operator were measured, and the mean error of the fit.
    """,
        "breakdown",
    )

    def __init__(self, write: Callable[[], None], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._write = write

    def on_resize(self) -> None:
        """Its text fits the width. The page may keep its size while its parts change theirs."""
        self._write()


class BreakdownPage(Page):
    """Page 5."""

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self._plan: Plan | None = None

    def compose(self) -> ComposeResult:
        """Two parts: the pools, and all else."""
        with Scrolled(self._draw_pools, id="pools") as pools:
            pools.border_title = "Pools"
            yield Static(id="pools-text")
        with Scrolled(self._draw_reasons, id="reasons") as reasons:
            reasons.border_title = "Cache, cost and assumptions"
            yield Static(id="reasons-text")

    def show(self, view: View) -> None:
        """Draw the plan of a view."""
        if view.plan is not self._plan:
            self._plan = view.plan
            self._draw_pools()
            self._draw_reasons()

    def stops(self) -> list[Widget]:
        """Both parts."""
        return list(self.query(Scrolled))

    def _draw_pools(self) -> None:
        self._draw("pools", pool_lines)

    def _draw_reasons(self) -> None:
        self._draw("reasons", reason_lines)

    def _draw(self, name: str, write: Callable[[Plan | None, int, Glyphs], list[Content]]) -> None:
        width = self.query_one(f"#{name}").scrollable_content_region.width - GAP
        if width > 0:
            lines = write(self._plan, width, self.glyphs)
            self.query_one(f"#{name}-text", Static).update(Content("\n").join(lines))


def _heading(text: str, right: str, width: int) -> Content:
    gap = " " * max(width - len(text) - len(right), 1)
    return Content.assemble((text, "bold"), (gap + right, "$hue-muted")).truncate(width)


def pool_lines(plan: Plan | None, width: int, g: Glyphs) -> list[Content]:
    """Each pool: what it is, where a pass spends its time, what fills the memory."""
    if plan is None:
        return [Content.styled(f"computing{g.ellipsis}", "$hue-muted")]
    from planner.output.verdict import NO_PLAN

    serving = plan.deployed
    if serving is None:
        return wrap(f"{NO_PLAN}: page 1 says why, and what would.", width, "$hue-bad")
    lines = _encoder(plan, serving, width, g)
    for pool in serving.pools:
        lines += [*_pool(pool, width, g), Content("")]
    return [*lines, *_places(plan, serving, width, g)]


def _encoder(plan: Plan, serving: Serving, width: int, g: Glyphs) -> list[Content]:
    """What encodes images, and what either place to do it in gives; nothing where there are none."""
    from planner.output import encoder_words

    if (of := serving.encoder) is None:
        return []
    said = [g.plain(text) for text in encoder_words.phrases(of)]
    lines = [_heading("encoder", "", width), *wrap(said[0], width, "")]
    table = encoder_words.rows(plan)
    sizes = [max(len(row[i]) for row in table) for i in range(len(table[0]))] if table else []
    for drop in (5, 5, 3, 3):  # per GPU first, then FTL, the GPUs of encoders, tokens/s
        if not sizes or sum(sizes) + 2 * (len(sizes) - 1) <= width:
            break
        sizes.pop(drop)
        table = [row[:drop] + row[drop + 1 :] for row in table]
    for i, row in enumerate(table):
        cells = [
            f"{g.plain(text):{'<' if k < 2 else '>'}{size}}"
            for k, (text, size) in enumerate(zip(row, sizes, strict=True))
        ]
        lines.append(Content.styled("  ".join(cells), "" if i else "$hue-muted").truncate(width))
    return [*lines, Content("")]


def _places(plan: Plan, serving: Serving, width: int, g: Glyphs) -> list[Content]:
    """Which instance lies on which GPUs."""
    from planner.output import place_map

    drawn = place_map.lines(plan, serving, width, ascii=g.ascii)
    lines = [Content(g.plain(line)).truncate(width) for line in drawn]
    return [_heading("Places", "", width), *lines]


def _pool(pool: PoolPlan, width: int, g: Glyphs) -> list[Content]:
    name = f"{named(pool.phase)} {pool.instances}{g.times}{pool.layout.label}"
    facts = [count(pool.gpus, "GPU"), f"batch {pool.batch:,}"]
    if pool.chunk_tokens:
        facts.append(f"chunk {format_tokens(pool.chunk_tokens)}")
    facts += [pool.mode] if pool.mode else []
    facts.append(f"{percent(pool.utilisation)} busy")
    while len(facts) > 1 and len(name) + 1 + len(f" {g.dot} ".join(facts)) > width:
        facts.pop()
    lines = [_heading(name, f" {g.dot} ".join(facts), width)]
    total = sum(part.seconds for part in pool.breakdown)
    light = sum(part.light_s for part in pool.breakdown)
    if total > 0:
        share = f"one pass {g.plain(format_seconds(total))}, {percent(light / total)}"
        head = f"{share} at the speed of light"
        head = head if len(head) <= width else f"{share} of it light"
        lines.append(Content.styled(head, "$hue-muted").truncate(width))
        lines += time_bars(pool, width, len(pool.breakdown), g)
    return [*lines, *memory_lines(pool.phase, pool.memory, width, g)]


def reason_lines(plan: Plan | None, width: int, g: Glyphs) -> list[Content]:
    """The cache's way, limits, cost, search, notes and kernels."""
    if plan is None:
        return []
    from planner.output.notes import notes

    lines: list[Content] = []
    serving = plan.deployed
    if serving is not None:
        bars = limit_lines(plan, serving, width, g)
        lines += [_heading("Limits", "used", width), *bars, Content("")]
        lines += _cache(plan, serving, width, g)
        lines += [*_expected(plan, serving, width, g), *_cost(serving, width)]
        lines += _survival(plan, width, g)
    lines += _search(plan, width, g)
    if told := notes(plan):
        lines.append(_heading("Assumptions", "", width))
        for note in told:
            lines += wrap(g.plain(in_rows(note)), width, "")
        lines.append(Content(""))
    return [*lines, *_kernels(plan, width, g)]


def _facts(rows: list[tuple[str, str]], width: int) -> list[Content]:
    return [
        Content.assemble((name, "$hue-muted"), f"{value:>{max(width - len(name), 1)}}").truncate(width)
        for name, value in rows
    ]


def _cache(plan: Plan, serving: Serving, width: int, g: Glyphs) -> list[Content]:
    """KV bandwidth of a split against the link."""
    from planner.output.words import transfer

    moved = transfer(plan, serving)
    if moved is None:
        return []
    rows = [
        ("out of each prefill GPU", format_si(moved.out_bytes_per_s, "B/s")),
        ("into each decode GPU", format_si(moved.in_bytes_per_s, "B/s")),
    ]
    if math.isfinite(moved.link_share):
        link = format_si(moved.link_bytes_per_s, "B/s")
        rows.append(("link of one GPU", f"{link}, {moved.link_text} used"))
    rows.append(("added to the first token", g.plain(format_seconds(moved.added_ftl_s))))
    return [_heading("Cache between the pools", "", width), *_facts(rows, width), Content("")]


def _expected(plan: Plan, serving: Serving, width: int, g: Glyphs) -> list[Content]:
    """How far measurements lie from such predictions."""
    from planner.output.verdict import advantage_sentence
    from planner.output.words import EXPECTED, band_source, expected, expected_power, power_source

    items = [*expected(plan, serving), *expected_power(plan, serving)]
    if not items:
        return []
    rows = [(item.short, g.plain(f"{item.text}, {item.range_text}")) for item in items]
    lines = [_heading(EXPECTED, "", width), *_facts(rows, width), *wrap(advantage_sentence(plan), width, "")]
    source = f"{band_source(plan)} {power_source(plan, serving)}"
    return [*lines, *wrap(source, width, "$hue-muted"), Content("")]


def _cost(serving: Serving, width: int) -> list[Content]:
    tokens = serving.tokens_per_s_per_gpu * serving.gpus
    per_hour = serving.usd_per_million_tokens * tokens * 3600 / 1e6
    rows = [
        ("output tokens/s", three_digits(tokens)),
        ("requests/s", three_digits(serving.requests_per_s)),
        ("$ per million output tokens", money(serving.usd_per_million_tokens)),
        ("$ per hour", money(per_hour)),
        *power_rows(serving),
    ]
    return [_heading("Yield and cost", "", width), *_facts(rows, width), Content("")]


def _survival(plan: Plan, width: int, g: Glyphs) -> list[Content]:
    """What is left after the loss that the plan survives, if it is to survive one."""
    from planner.output.loss_words import survival_sentences

    lines: list[Content] = []
    for said in survival_sentences(plan):
        lines += wrap(g.plain(said), width, "")
    return [_heading("After a loss", "", width), *lines, Content("")] if lines else []


def _search(plan: Plan, width: int, g: Glyphs) -> list[Content]:

    rows = [(f"{named(phase)} points", f"{number:,}") for phase, number in plan.design_points.items()]
    serving = plan.deployed
    if serving is not None:
        rows.append(("optimiser", optimiser_text(serving, g)))
    rows += [(name, g.plain(format_seconds(value))) for name, value in plan.seconds.items()]
    return [_heading("Search", "", width), *_facts(rows, width), Content("")]


def _kernels(plan: Plan, width: int, g: Glyphs) -> list[Content]:
    """Where each operator's constants come from: measured on this system, or inherited."""
    if not plan.kernels:
        return []
    from planner.output.notes import inherited

    measured = sum(not inherited(plan, kernel) for kernel in plan.kernels)
    lines = [_heading("Kernels", f"{measured} of {len(plan.kernels)} measured here", width)]
    size = max(len(f"{k.operator} {k.dtype}") for k in plan.kernels) + 1
    for kernel in plan.kernels:
        of_this_system = not inherited(plan, kernel)
        mark, hue = (g.ok, "$hue-good") if of_this_system else (g.arrow[-1:], "$hue-tight")
        name, source = f"{kernel.operator} {kernel.dtype}", _source(kernel, of_this_system)
        if len(mark) + 1 + size + len(source) <= width:
            told = Content.styled(source, "$hue-muted")
            lines.append(Content.assemble((f"{mark} ", hue), name.ljust(size), told))
        else:  # below its operator
            lines.append(Content.assemble((f"{mark} ", hue), name))
            lines += [Content.assemble("    ", part) for part in wrap(source, width - 4, "$hue-muted")]
    return lines


def _source(kernel: Provenance, of_this_system: bool) -> str:
    error = f", error {100 * kernel.mape:.0f} %" if math.isfinite(kernel.mape) else ""
    where = "" if of_this_system else f"inherited from {kernel.system}: "
    return f"{where}{kernel.engine}, {kernel.measurements:,} points{error}"
