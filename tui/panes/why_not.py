"""Why nothing fits: what stops the design points, what would do, and the plan that comes closest."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList

from planner.output.spelling import named
from planner.units import three_digits
from tui.glyphs import Glyphs, bar
from tui.panes.limits import limit_lines
from tui.panes.words import layouts, wrap

if TYPE_CHECKING:
    from planner.planning.near_miss import Miss
    from planner.planning.result import Plan


LETTERS = "ABCDEFGH"  # the keys that apply a fix; all lower-case ones have a meaning of their own


class FixList(OptionList):
    """What would make the scenario feasible; its letter applies a line from anywhere, enter here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "apply", key_display="enter", id="fix-apply"),
        Binding("down,j", "cursor_down", "next", show=False, id="fix-down"),
        Binding("up,k", "cursor_up", "previous", show=False, id="fix-up"),
    ]
    HELP = """
    ## What would do

    Each line is enough by itself: the smallest change of an input that makes the scenario feasible
    while all others stay. Where no single change of a limit is enough, a line holds as many as it
    takes together. Its letter applies a line, and so do `enter` and a click; `u` takes it back.
    """


def line(letter: str, way: str, g: Glyphs) -> Content:
    """One way out."""
    return Content.assemble((letter, "bold"), f" {g.plain(way)}")


def why_not(
    plan: Plan, width: int, g: Glyphs, miss: Miss | None = None, *, looking: bool = False
) -> list[Content]:
    """What stops the design points, and the heading of the list of fixes.

    `looking`: the search for the closest miss is not over.
    """
    if plan.infeasible is None:
        return []  # the title says that there is none
    from planner.output.reasons import reason_text, ways_out

    total = sum(reason.points for reason in plan.infeasible.reasons)
    lines = []
    size = max((len(reason.limit) for reason in plan.infeasible.reasons), default=0)
    room = 8 if width < 70 else 16
    for reason in plan.infeasible.reasons:
        filled = bar(reason.points / total, room, g) if total else ""
        share = f"{100 * reason.points / total:>3.0f}%" if total else ""
        head = f"{g.bad} {named(reason.limit):<{size}} "
        gap = " " * (room - len(filled)) if total else ""
        said = g.plain(reason_text(plan.scenario, reason))
        first, *rest = wrap(said, max(width - len(head) - room - 6, 16), "")
        lines.append(
            Content.assemble(
                (head, "$hue-bad"), (filled, "$hue-bad"), (f"{gap} {share} ", "$hue-muted"), first
            )
        )
        indent = len(head) + (room + 6 if total else 2)
        lines += [Content.assemble(" " * indent, more) for more in rest]
    lines.append(Content(""))
    if plan.infeasible.relax:
        heading = f"{ways_out(len(plan.infeasible.relax))}; its letter applies it:"
    elif miss is not None:
        several = "each of these" if miss.others else "this"
        heading = f"One limit alone will not do; {several} will:"
    elif looking:
        heading = f"One limit alone will not do; looking further{g.ellipsis}"
    else:
        heading = "No change of limits, precision or system will do: try another model or a shorter input."
    return lines + wrap(heading, width, "bold")


def closest_miss(plan: Plan | None, miss: Miss | None, width: int, g: Glyphs) -> list[Content]:
    """The feasible plan nearest to an infeasible scenario, against the limits that it misses."""
    near = miss.plan.chosen if miss is not None else None
    if plan is None or plan.infeasible is None or near is None:
        return []
    head = wrap(f"Closest miss: {' + '.join(layouts(near, g))}", width, "bold")
    lines = [Content(""), *head, *limit_lines(plan, near, width, g)]
    from planner.output.limits import meets

    wanted = plan.scenario.traffic.requests_per_s
    if plan.scenario.goal != "throughput" and wanted and not meets(wanted, near.requests_per_s):
        served = f"{three_digits(near.requests_per_s)} of {three_digits(wanted)} req/s"
        lines.append(Content.assemble(("rate ", "$hue-muted"), f"{served} ", (g.bad, "$hue-bad")))
    return lines
