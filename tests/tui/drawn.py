"""Charts for the tests to draw."""

from __future__ import annotations

import numpy as np

from planner.inputs.scenario import Fleet, Limits, Scenario
from planner.planning.result import Frontier
from tui.charts import plotting
from tui.charts.scene import plan_scene
from tui.glyphs import UNICODE
from tui.state import View

BLUE, RED, GREEN = "#0000ff", "#ff0000", "#00ff00"


def points(x, y, cloud_x=(), cloud_y=()) -> Frontier:
    """A frontier through these points."""
    n = len(x)
    with np.errstate(divide="ignore"):
        ttl_s, cloud_ttl_s = 1 / np.array(x, float), 1 / np.array(cloud_x, float)
    return Frontier(
        ttl_s=ttl_s,
        tokens_per_s_per_gpu=np.array(y, float),
        ctx_gen_ratio=np.full(n, 1.0),
        gpus=np.full(n, 8.0),
        prefill=("TP8",) * n,
        decode=("TP8",) * n,
        cloud_ttl_s=cloud_ttl_s,
        cloud_tokens_per_s_per_gpu=np.array(cloud_y, float),
        ftl_s=np.linspace(2.0, 1.0, n),
        usd_per_million_tokens=1000.0 / np.array(y, float),
    )


def axes(frontiers, extra=(), limit_x=50.0, width=80, height=20, **options):
    """Axes for frontiers on their own axis."""
    series = [(f.tokens_per_s_per_user, f.tokens_per_s_per_gpu) for f in frontiers]
    return plotting.axes(series, extra, limit_x, width, height, **options)


def draw(split, coloc, limits, width, height, **options):
    """Two frontiers, blue over red, on a green cloud."""
    lines = [
        plotting.Line(x=f.tokens_per_s_per_user, y=f.tokens_per_s_per_gpu, hue=hue, plain=plain)
        for f, hue, plain in ((coloc, RED, "o"), (split, BLUE, "*"))
    ]
    cloud = [
        plotting.Line(x=1 / f.cloud_ttl_s, y=f.cloud_tokens_per_s_per_gpu, hue=GREEN) for f in (split, coloc)
    ]
    return plotting.draw(lines, cloud, limits, width, height, **options)


def scene(frontiers, plan, scenario, glyphs=UNICODE):
    """What the main screen shows of them."""
    view = View(scenario=scenario, base=scenario, plan=plan, frontiers=frontiers, budget=scenario.fleet.gpus)
    return plan_scene(view, glyphs)


NONE = points([], [])
FREE = Scenario(limits=Limits(ttl_s=0.02), fleet=Fleet(gpus=None))  # no budget
SIZES = [(52, 9), (90, 20), (70, 40), (31, 8), (150, 50)]
