"""The frontiers as a PNG, drawn with matplotlib, which is imported when one is asked for."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from planner.output.chart_svg import HUES, INK, LIMIT, fronts, height_of, marks, y_title
from planner.output.spelling import named
from planner.units import format_seconds
from tui.charts.paper_figures import NoDrawing

if TYPE_CHECKING:
    from planner.planning.result import Plan


def to_png(plan: Plan, width: int = 1520, height: int = 840) -> bytes:
    """What `planner.output.chart_svg` draws, twice as fine.

    Raises NoDrawing without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise NoDrawing("a PNG needs matplotlib: pip install 'ratematch[figures]'") from None
    figure = Figure(figsize=(width / 200, height / 200), dpi=200, layout="constrained")
    canvas, axis = FigureCanvasAgg(figure), figure.add_subplot()
    for way, front in fronts(plan):
        x, y = front.tokens_per_s_per_user, front.tokens_per_s_per_gpu
        axis.plot(x, y, ".-", color=HUES[way], label=named(way), markersize=4, linewidth=1.5)
        if way in plan.bands:
            low, high = plan.bands[way].throughput
            axis.fill_between(x, low * y, high * y, color=HUES[way], alpha=0.1, linewidth=0)
    for way, serving in marks(plan):
        chosen = way == plan.choice
        axis.plot(
            [serving.tokens_per_s_per_user],
            [height_of(plan, serving)],
            "D",
            color=HUES[way] if chosen else "white",
            markeredgecolor=INK if chosen else HUES[way],
            label="the plan" if chosen else "the other way",
        )
    limit_s = plan.scenario.limits.ttl_s
    axis.axvline(
        1 / limit_s, color=LIMIT, linestyle="--", linewidth=1, label=f"TTL ≤ {format_seconds(limit_s)}"
    )
    axis.set(xscale="log", xlabel="tokens/s per user (1/TTL)", ylabel=y_title(plan))
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    out = io.BytesIO()
    canvas.print_png(out)
    return out.getvalue()
