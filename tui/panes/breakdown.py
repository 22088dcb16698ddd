"""Where the time goes and where the memory goes, as bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from planner.output.spelling import count, named
from planner.units import format_memory, format_seconds, format_si, gib, three_digits
from planner.words import Phase
from tui.glyphs import UNICODE, Glyphs
from tui.help_texts import in_rows, page
from tui.panes.words import wrap
from tui.state import View

if TYPE_CHECKING:
    from planner.planning.result import MemoryUse, Plan, PoolPlan, Serving


MOST = 10  # operators shown; the rest is summed up
LEAST_BAR, SHARE = 4, 5  # cells of the longest bar, and of a share of light


class PlanPane(Static, can_focus=True):
    """A pane that redraws when the plan or its own size changes."""

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self._plan: Plan | None = None
        self._count = -1

    def show(self, view: View) -> None:
        """Draw the plan of a view."""
        if view.plan is not self._plan:
            self._plan = view.plan
            self._draw()

    def on_resize(self) -> None:
        """Bars fit the width."""
        self._draw()

    def _draw(self) -> None:
        width, height = self.content_size
        if width > 0:
            lines = self.lines(width, height)
            self.update(Content("\n").join(lines), layout=len(lines) != self._count)
            self._count = len(lines)
            if self.styles.height is not None and self.styles.height.is_auto and self._count != height:
                # Textual drops what is asked of a layout while another is to come
                self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        if self.content_size.height != self._count:
            self.refresh(layout=True)

    def lines(self, width: int, height: int) -> list[Content]:
        """What to draw in this much room."""
        raise NotImplementedError


class BreakdownPane(PlanPane):
    """One forward pass of the pool that holds the others back, operator by operator."""

    HELP = page(
        """
    ## Where the time goes

    One forward pass of the binding pool. The solid part of each bar is what the work takes at the
    **speed of light** (peak FLOP/s or bandwidth, whichever binds), the shaded part is what is lost
    on top; the percentage is light over time.
    """,
        "time",
    )

    def lines(self, width: int, height: int) -> list[Content]:
        """A bar for each operator, the longest first."""
        self.border_title, self.border_subtitle = "Where the time goes", ""
        from planner.output.words import binding_pool

        serving = self._plan.deployed if self._plan is not None else None
        if serving is None:
            return [Content()]
        pool = binding_pool(serving)
        total = sum(part.seconds for part in pool.breakdown)
        light = sum(part.light_s for part in pool.breakdown)
        g = self.glyphs
        told = f"{named(pool.phase)} pass: {g.plain(format_seconds(total))}"
        titles = (
            f"Time of a {told}",
            told.capitalize(),
            told.removeprefix(f"{named(pool.phase)} ").capitalize(),
        )
        self.border_title = next((title for title in titles if len(title) <= width - 4), titles[-1])
        if total > 0:
            share = f"light {100 * light / total:.0f} %  {g.shade} lost"
            whole = f"{g.full} speed of {share}"
            self.border_subtitle = whole if len(whole) + 2 <= width else f"{g.full} {share}"
        return time_bars(pool, width, MOST, g)


def time_bars(pool: PoolPlan, width: int, most: int, g: Glyphs) -> list[Content]:
    """Operators as bars, the longest first; what does not fit in `most` lines is summed up.

    Where a bar would be too short beside its name, the shares of light are left to the bars.
    """
    parts = sorted(pool.breakdown, key=lambda part: -part.seconds)
    rows = [(part.name, part.seconds, part.light_s) for part in parts]
    if len(rows) > most:
        rest = rows[most - 1 :]
        rows = [*rows[: most - 1], ("other", sum(r[1] for r in rest), sum(r[2] for r in rest))]
    if not rows:
        return []
    times = {seconds: g.plain(format_seconds(seconds)) for _, seconds, _ in rows}
    time_size = max(len(time) for time in times.values())
    name_size = min(max(len(name) for name, _, _ in rows), 18)
    room = width - name_size - 1 - 1 - time_size - SHARE
    shares = room >= LEAST_BAR
    if not shares:
        name_size = min(name_size, max(width - 1 - LEAST_BAR - 1 - time_size, 8))
        room = max(width - name_size - 1 - 1 - time_size, LEAST_BAR)
    longest = max(seconds for _, seconds, _ in rows) or 1.0
    lines = []
    for name, seconds, light_s in rows:
        share = min(light_s / seconds, 1.0) if seconds > 0 else 0.0
        size = max(round(room * seconds / longest), 1) if seconds > 0 else 0
        solid = g.full * round(share * size)
        lines.append(
            Content.assemble(
                (f"{name[:name_size]:<{name_size}} ", "$hue-muted"),
                (solid, "$hue-split"),
                (g.shade * (size - len(solid)), "$hue-cloud"),
                " " * (room - size),
                f" {times[seconds]:>{time_size}}",
                (f" {100 * share:>3.0f}%" if shares else "", "$hue-muted"),
            )
        )
    return lines


class DetailsPane(PlanPane):
    """Memory of each pool, money and power, the optimiser's word, and the plan's assumptions."""

    HELP = page(
        """
    ## Memory and assumptions

    Bytes on the fullest GPU of each pool against its capacity, and what the plan takes for granted.
    """,
        "details",
    )

    def lines(self, width: int, height: int) -> list[Content]:
        """Sections, each with a heading."""
        self.border_title = "Memory and assumptions"
        from planner.output.notes import notes

        plan, g = self._plan, self.glyphs
        serving = plan.deployed if plan is not None else None
        if plan is None or serving is None:
            return []
        lines: list[Content] = []
        for pool in serving.pools:
            lines += memory_lines(pool.phase, pool.memory, width, g)
            lines.append(Content(""))
        facts = [
            ("tokens/s", three_digits(serving.tokens_per_s_per_gpu * serving.gpus)),
            ("GPUs", f"{serving.gpus:,}"),
            *power_rows(serving),
        ]
        if serving.kv_transfer_s > 0:
            facts.append(("cache move", g.plain(format_seconds(serving.kv_transfer_s))))
        facts.append(("optimiser", optimiser_text(serving, g)))
        facts += [(f"{named(phase)} points", f"{number:,}") for phase, number in plan.design_points.items()]
        lines += [
            Content.assemble((name, "$hue-muted"), f"{value:>{max(width - len(name), 1)}}")
            for name, value in facts
        ]
        told = [wrap(g.plain(in_rows(note)), width, "$hue-muted") for note in notes(plan)]
        return lines + _fitting(told, height - len(lines))


def _fitting(notes: Sequence[list[Content]], room: int) -> list[Content]:
    """Whole notes below a blank line, and how many more page 5 has where not all fit."""
    if 1 + sum(map(len, notes)) <= room:
        return [Content(""), *(line for note in notes for line in note)] if notes else []
    shown: list[Content] = [Content("")]
    for at, note in enumerate(notes):
        if len(shown) + len(note) + 1 > room:
            more = Content.styled(f"{count(len(notes) - at, 'more note')} on page 5", "$hue-muted")
            return [*shown, more] if len(shown) < room else []
        shown += note
    return shown


def optimiser_text(serving: Serving, g: Glyphs) -> str:
    """How good its answer is and how long it took; no time where no integer program was needed."""
    solver = serving.solver
    return f"{solver.status}, {g.plain(format_seconds(solver.seconds))}" if solver.seconds else solver.status


def power_rows(serving: Serving) -> list[tuple[str, str]]:
    """What the GPUs draw, for a token too, and what a facility is built for."""
    rows = [("rated power, all-in", format_si(serving.watts, "W"))]
    if serving.power is not None:
        joules = three_digits(serving.power.joules_per_token)
        drawn = format_si(serving.power.watts, "W")
        rows = [("GPU power", drawn), ("J per output token", joules), *rows]
    return rows


def memory_lines(phase: Phase, memory: MemoryUse, width: int, g: Glyphs) -> list[Content]:
    """Used over capacity, then a stacked bar and its key."""
    parts = [
        ("weights", memory.weights_bytes, "$hue-split"),
        ("KV", memory.kv_bytes, "$hue-coloc"),
        ("other", memory.activation_bytes + memory.reserve_bytes, "$hue-limit"),
    ]
    used = sum(size for _, size, _ in parts)
    head = f"{gib(used)} of {format_memory(memory.capacity_bytes)}"
    title = f"memory per {named(phase)} GPU"
    if len(title) + len(head) + 1 > width:
        title = named(phase)
    lines = [Content.assemble((title, "$hue-muted"), f"{head:>{max(width - len(title), 1)}}")]
    glyphs = ("#", "=", "-") if g.ascii else ("█", "▓", "▒")
    cells: list[tuple[str, str]] = []
    taken, total = 0, 0.0
    for (_, size, hue), glyph in zip(parts, glyphs, strict=True):
        total += size
        upto = round(width * min(total / memory.capacity_bytes, 1.0)) if memory.capacity_bytes else 0
        cells.append((glyph * max(upto - taken, 0), hue))
        taken = max(taken, upto)
    cells.append((("." if g.ascii else "░") * (width - taken), "$hue-cloud"))
    lines.append(Content.assemble(*cells))
    for form in (gib, lambda size: f"{size / 2**30:.0f}"):  # whole GiB where it is narrow
        key: list[tuple[str, str]] = []
        for (name, size, hue), glyph in zip(parts, glyphs, strict=True):
            value = form(size) if math.isfinite(size) else "-"
            key += [(f"{glyph} ", hue), (f"{name} {value}  ", "$hue-muted")]
        if sum(len(text) for text, _ in key) - 2 <= width:
            break
    lines.append(Content.assemble(*key).truncate(width))
    return lines
