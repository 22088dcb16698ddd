"""What is laid over the picture of the frontiers: limit line, plan, series glyphs, legend, readout.

Pure functions from results to characters; the chart widget draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.units import format_seconds, three_digits
from tui.glyphs import Glyphs

if TYPE_CHECKING:
    from planner.result import Frontier, Plan
    from tui.plotting import Picture

SPLIT, COLOC = 0, 1  # the series, in the order of the frontiers
SPACING = 4  # columns between the glyphs on a line, at least
Marks = dict[tuple[int, int], tuple[str, str]]  # column and row to glyph and hue


@dataclass(frozen=True, slots=True)
class Mark:
    """A glyph at a point in data units."""

    x: float
    y: float
    glyph: str
    hue: str


def plan_marks(plan: Plan | None, g: Glyphs) -> list[Mark]:
    """The serving that was not chosen, then the chosen one."""
    if plan is None:
        return []
    marks = []
    servings = (("disaggregated", "split"), ("colocated", "coloc"))
    for name, hue in sorted(servings, key=lambda item: item[0] == plan.choice):
        serving = getattr(plan, name)
        if serving is not None:
            glyph, colour = (g.chosen, "chosen") if name == plan.choice else (g.other, hue)
            marks.append(Mark(serving.tokens_per_s_per_user, serving.tokens_per_s_per_gpu, glyph, colour))
    return marks


def lay(
    picture: Picture,
    frontiers: tuple[Frontier, Frontier],
    plan: Plan | None,
    ttl_s: float,
    g: Glyphs,
    cloud_hue: str,
) -> Marks:
    """All that lies on the picture whatever the cursor does; later marks cover earlier ones."""
    marks = _limit(picture, ttl_s, g, cloud_hue)
    if not g.ascii:  # in ASCII the line itself is made of the series' glyphs
        for series in (COLOC, SPLIT):
            marks.update(_along(picture, frontiers[series], series, g))
    for mark in plan_marks(plan, g):
        at = picture.geometry.cell(mark.x, mark.y)
        if at is not None:
            marks[at] = (mark.glyph, mark.hue)
    return marks


def _limit(picture: Picture, ttl_s: float, g: Glyphs, cloud_hue: str) -> Marks:
    """A line at 1/TTL, and its name at the foot of it where nothing is in the way."""
    place = picture.geometry
    col = place.column(1 / ttl_s)
    if col is None:
        return {}

    def free(col: int, row: int) -> bool:
        """Whether a cell holds no line: blank, or only dots of the cloud."""
        if not place.left <= col < place.width:
            return False
        char, hue = picture.cells[row][col]
        return char == " " or hue.lower() == cloud_hue.lower()

    rows = range(place.top, place.top + place.rows)
    marks = {(col, row): (g.limit, "limit") for row in rows if free(col, row)}
    text = f"TTL {g.at_most} {g.plain(format_seconds(ttl_s))}"
    start = col + 2 if col + 2 + len(text) < place.width // 2 else col - 1 - len(text)
    if all(free(c, rows[-1]) for c in range(start, start + len(text))):
        marks.update({(start + i, rows[-1]): (char, "limit") for i, char in enumerate(text)})
    return marks


def _along(picture: Picture, frontier: Frontier, series: int, g: Glyphs) -> Marks:
    """The glyph of a series on its line every few columns: told apart without colour."""
    look = ((g.split, "split"), (g.colocated, "coloc"))[series]
    marks: Marks = {}
    last = -SPACING
    x, y = frontier.tokens_per_s_per_user.tolist(), frontier.tokens_per_s_per_gpu.tolist()
    for point in zip(x, y, strict=True):
        at = picture.geometry.cell(*point)
        if at is not None and at[0] - last >= SPACING:
            marks[at] = look
            last = at[0]
    return marks


def legend(picture: Picture | None, plan: Plan | None, ttl_s: float, g: Glyphs) -> str:
    """The series and marks, as markup; a limit off the chart is told in words."""
    parts = [f"[$hue-split]{g.split}[/] split", f"[$hue-coloc]{g.colocated}[/] co-located"]
    if plan is not None and plan.chosen is not None:
        parts.append(f"[$hue-chosen]{g.chosen}[/] plan")
    if picture is not None and picture.geometry.column(1 / ttl_s) is not None:
        parts.append(f"[$hue-limit]{g.limit}[/] TTL limit")
    else:
        parts.append(f"TTL limit {g.plain(format_seconds(ttl_s))} is off the chart")
    return "  ".join(parts)


def readout(frontier: Frontier, index: int, series: int, g: Glyphs) -> list[str]:
    """What a point is, a line each."""
    x = float(frontier.tokens_per_s_per_user[index])
    y = float(frontier.tokens_per_s_per_gpu[index])
    lines = [
        f"{g.cursor} {three_digits(x)} tok/s/user {g.dot} {three_digits(y)} tok/s/GPU",
        f"TTL {g.plain(format_seconds(1 / x))} {g.dot} {frontier.gpus[index]:,.0f} GPUs",
    ]
    if series == COLOC:
        return [*lines, f"co-located {frontier.decode[index]}"]
    lines[1] += f" {g.dot} ctx:gen {three_digits(float(frontier.ctx_gen_ratio[index]))}"
    return [*lines, f"{frontier.prefill[index]} + {frontier.decode[index]}"]
