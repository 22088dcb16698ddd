"""What a chart is about, before it has a size: curves, marked plans and limits on a choice of axes.

Under a GPU budget throughput counts per GPU of the budget: that is what a frontier ranks by, and per
GPU in use it would zigzag with the GPUs a deployment leaves idle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.units import format_seconds, three_digits
from tui.glyphs import Glyphs

if TYPE_CHECKING:
    from planner.arrays import FloatArray, IntArray
    from planner.inputs.scenario import Scenario
    from planner.planning.result import Frontier, Plan, Serving
    from tui.state import Pin, View

SPLIT, COLOC = 0, 1  # the series of a plan's chart, in the order of its frontiers
Y_TITLE = "tokens/s per GPU"
TALL = 12  # rows of a chart from which the readout has a line more


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What runs along x: the frontier's own interactivity, or another property of its points."""

    key: str
    title: str
    log: bool = True


AXES = (
    Axis(key="user", title="tokens/s per user"),
    Axis(key="ftl", title="first token, s"),
    Axis(key="usd", title="$ per million tokens"),
    Axis(key="gpus", title="GPUs in use", log=False),
)
USER = AXES[0]


def per_gpu(tokens_per_s_per_gpu: FloatArray, gpus: IntArray, budget: int | None) -> FloatArray:
    """Tokens/s per GPU: of the budget, or of those in use where there is none."""
    return tokens_per_s_per_gpu if budget is None else tokens_per_s_per_gpu * gpus / budget


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """A frontier and how it is drawn."""

    name: str
    frontier: Frontier
    budget: int | None
    glyph: str
    hue: str
    plain: str = "*"  # what its line is made of in ASCII

    def xy(self, axis: Axis) -> tuple[FloatArray, FloatArray]:
        """The points on an axis, in the frontier's order."""
        f = self.frontier
        x = {
            "user": f.tokens_per_s_per_user,
            "ftl": f.ftl_s,
            "usd": f.usd_per_million_tokens,
            "gpus": f.gpus.astype(float),  # an axis like the others
        }[axis.key]
        return x, per_gpu(f.tokens_per_s_per_gpu, f.gpus, self.budget)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mark:
    """A plan as a glyph."""

    serving: Serving
    budget: int | None
    glyph: str
    hue: str

    def xy(self, axis: Axis) -> tuple[float, float]:
        """Its point on an axis."""
        s = self.serving
        x = {
            "user": s.tokens_per_s_per_user,
            "ftl": s.ftl_s,
            "usd": s.usd_per_million_tokens,
            "gpus": float(s.gpus),
        }[axis.key]
        used = 1.0 if self.budget is None else s.gpus / self.budget
        return x, s.capacity_tokens_per_s_per_gpu * used


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """Everything a chart shows but its cursor."""

    curves: tuple[Curve, ...]
    marks: tuple[Mark, ...] = ()  # later ones over earlier ones
    scenario: Scenario  # whose limits are drawn
    start: int = 0  # the curve that the cursor starts on
    start_ttl_s: float = math.inf  # TTL it starts at
    of: str = "tokens/s per GPU"  # what runs along y

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for scenes that look the same (both must be alive: arrays are told apart by identity)."""
        curves = tuple((id(c.frontier), c.budget, c.glyph, c.name) for c in self.curves)
        marks = tuple((id(m.serving), m.budget, m.glyph) for m in self.marks)
        return (curves, marks, self.scenario.limits, self.scenario.fleet.gpus, self.start, self.start_ttl_s)

    def limit(self, axis: Axis, g: Glyphs) -> tuple[float, str]:
        """Where the limit on an axis lies and what it is called; (nan, "") where there is none."""
        limits, gpus = self.scenario.limits, self.scenario.fleet.gpus
        if axis.key == "user":
            return 1 / limits.ttl_s, f"TTL {g.at_most} {g.plain(format_seconds(limits.ttl_s))}"
        if axis.key == "ftl":
            return limits.ftl_s, f"FTL {g.at_most} {g.plain(format_seconds(limits.ftl_s))}"
        if axis.key == "gpus" and gpus is not None:
            return float(gpus), f"{gpus:,} GPUs"
        return math.nan, ""


def y_title(budgets: Sequence[int | None]) -> str:
    """What runs along y.

    >>> y_title([64, 64]), y_title([None]), y_title([64, 32])
    ('tokens/s per GPU of 64', 'tokens/s per GPU', 'tokens/s per GPU of each budget')
    """
    if all(budget is None for budget in budgets):
        return Y_TITLE
    if len(set(budgets)) == 1:
        return f"{Y_TITLE} of {budgets[0]:,}"
    return f"{Y_TITLE} of each budget"


def fitting(texts: Sequence[str], room: int) -> str:
    """The first text that fits; the last, if none does.

    >>> fitting(["tokens/s per GPU of 64", "tokens/s per GPU"], 20)
    'tokens/s per GPU'
    """
    return next((text for text in texts if len(text) <= room), texts[-1])


def plan_scene(view: View, g: Glyphs) -> Scene | None:
    """Both frontiers of a view, its plan and its pins; None before there are frontiers."""
    if view.frontiers is None:
        return None
    budget, plan = view.budget, view.plan
    looks = (("split", g.split, "split", "*"), ("co-located", g.colocated, "coloc", "o"))
    curves = tuple(
        Curve(name=name, frontier=frontier, budget=budget, glyph=glyph, hue=hue, plain=plain)
        for (name, glyph, hue, plain), frontier in zip(looks, view.frontiers, strict=True)
    )
    chosen = plan.chosen if plan else None
    return Scene(
        curves=curves,
        marks=(*pin_marks(view.pins), *plan_marks(plan, g)),
        scenario=view.scenario,
        start=COLOC if plan is not None and plan.choice == "colocated" else SPLIT,
        start_ttl_s=chosen.ttl_s if chosen else view.scenario.limits.ttl_s,
        of=y_title([budget]),
    )


def plan_marks(plan: Plan | None, g: Glyphs) -> list[Mark]:
    """The serving that was not chosen, then the chosen one."""
    if plan is None:
        return []
    marks = []
    budget = plan.scenario.fleet.gpus
    servings = (("disaggregated", "split"), ("colocated", "coloc"))
    for name, hue in sorted(servings, key=lambda item: item[0] == plan.choice):
        serving = getattr(plan, name)
        if serving is not None:
            glyph, colour = (g.chosen, "chosen") if name == plan.choice else (g.other, hue)
            marks.append(Mark(serving=serving, budget=budget, glyph=glyph, hue=colour))
    return marks


def pin_marks(pins: Sequence[Pin]) -> list[Mark]:
    """Pinned plans by their letters."""
    return [
        Mark(serving=pin.plan.chosen, budget=pin.scenario.fleet.gpus, glyph=pin.letter, hue="cursor")
        for pin in pins
        if pin.plan is not None and pin.plan.chosen is not None
    ]


PIN_HUES = ("split", "coloc", "cursor", "limit")


def pins_scene(pins: Sequence[Pin], scenario: Scenario, g: Glyphs) -> Scene | None:
    """The better frontier of each pin, overlaid; None without pins."""
    shown = [pin for pin in pins if pin.plan is not None]
    if not shown:
        return None
    curves = []
    for pin, glyph, hue in zip(shown, g.pins, PIN_HUES, strict=False):
        assert pin.plan is not None
        colocated = pin.plan.choice == "colocated"
        frontier = pin.plan.frontier_colocated if colocated else pin.plan.frontier_disaggregated
        curves.append(
            Curve(
                name=pin.letter,
                frontier=frontier,
                budget=pin.scenario.fleet.gpus,
                glyph=glyph,
                hue=hue,
                plain=glyph,
            )
        )
    return Scene(
        curves=tuple(curves),
        marks=tuple(pin_marks(shown)),
        scenario=scenario,
        start_ttl_s=scenario.limits.ttl_s,
        of=y_title([curve.budget for curve in curves]),
    )


def legend(scene: Scene, axis: Axis, limit_drawn: bool, g: Glyphs, room: int) -> str:
    """The curves and marks that fit, as markup; a limit off the chart is told in words."""
    parts = [
        (f"{curve.glyph} {curve.name}", f"[$hue-{curve.hue}]{curve.glyph}[/] {curve.name}")
        for curve in scene.curves
    ]
    if any(mark.glyph == g.chosen for mark in scene.marks):
        parts.append((f"{g.chosen} plan", f"[$hue-chosen]{g.chosen}[/] plan"))
    letters = [mark.glyph for mark in scene.marks if mark.glyph.isalpha() and mark.glyph.isupper()]
    if letters and axis is not None and not any(curve.name in letters for curve in scene.curves):
        pinned = " ".join(letters)
        parts.append((f"{pinned} pinned", f"[$hue-cursor]{pinned}[/] pinned"))
    _, name = scene.limit(axis, g)
    if limit_drawn and axis.key == "gpus":
        parts.append((name, name))
    elif limit_drawn:
        limit = f"{name.split()[0]} limit"
        parts.append((f"{g.limit} {limit}", f"[$hue-limit]{g.limit}[/] {limit}"))
    elif name:
        taken = sum(len(plain) + 2 for plain, _ in parts)
        far = fitting([f"{name} is off the chart", f"{name} off the chart"], room - taken)
        parts.append((far, far))
    while len(parts) > 1 and sum(len(plain) + 2 for plain, _ in parts) - 2 > room:
        del parts[-2]  # the limit is told last, and where it is off the chart it is told nowhere else
    return "  ".join(markup for _, markup in parts)


def readout(curve: Curve, index: int, g: Glyphs, *, tall: bool = False) -> list[str]:
    """What a point is, a line each; one more on a tall chart."""
    f = curve.frontier
    ttl_s, user = float(f.ttl_s[index]), float(f.tokens_per_s_per_user[index])
    y = float(curve.xy(USER)[1][index])
    dot = f" {g.dot} "
    lines = [
        f"{g.cursor} {three_digits(user)} tok/s/user{dot}{three_digits(y)} tok/s/GPU",
        f"TTL {g.plain(format_seconds(ttl_s))}{dot}{f.gpus[index]:,.0f} GPUs",
    ]
    ratio = float(f.ctx_gen_ratio[index])
    if math.isfinite(ratio):
        lines[1] += f"{dot}ctx:gen {three_digits(ratio)}"
    if tall:
        cost = three_digits(float(f.usd_per_million_tokens[index]))
        lines.append(f"FTL {g.plain(format_seconds(float(f.ftl_s[index])))}{dot}${cost}/Mtok")
    prefill = f.prefill[index]
    return [*lines, f"{prefill} + {f.decode[index]}" if prefill else f"co-located {f.decode[index]}"]
