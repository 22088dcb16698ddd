"""What a chart is about, before it has a size: curves, marked plans and limits on a choice of axes.

Throughput counts per GPU in use, as the plan's does. Under a budget a frontier ranks by all tokens/s, so
that it may zigzag a little with the GPUs that a deployment leaves idle.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from planner.output import goodput
from planner.output.spelling import count
from planner.units import format_seconds, three_digits
from planner.values import dataclass
from tui.glyphs import Glyphs

if TYPE_CHECKING:
    from planner.arrays import FloatArray
    from planner.inputs.scenario import Scenario
    from planner.planning.result import Frontier, Plan, Serving
    from tui.state import Pin, View

WAYS = ("disaggregated", "colocated")  # as plans call them
SPLIT, COLOC = 0, 1  # the series of a plan's chart, in the order of its frontiers
Y_TITLE = goodput.TOKENS
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The systems that a deployment runs on, and the sign of all that run there."""

    systems: tuple[str, ...]  # one, or that of prefill and that of decode
    sign: tuple[str, str]  # glyph and hue

    @property
    def name(self) -> str:
        """`h200`, or `h100>h200`: prefill hands over to decode."""
        return ">".join(self.systems)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """A frontier and how it is drawn."""

    name: str
    frontier: Frontier
    glyph: str
    hue: str
    plain: str = "*"  # what its line is made of in ASCII
    places: tuple[Place, ...] = ()  # of each point, on a fleet of several systems: what runs where
    band: tuple[float, float] | None = None  # factors on its throughput: the range of 80 % of cases
    tokens: float = 1.0  # of one of what is counted: a request's, where it is goodput

    def sign(self, index: int) -> tuple[str, str]:
        """Glyph and hue of a point: the curve's, or those of where it runs."""
        return self.places[index].sign if self.places else (self.glyph, self.hue)

    def xy(self, axis: Axis) -> tuple[FloatArray, FloatArray]:
        """The points on an axis, in the frontier's order."""
        f = self.frontier
        x = {
            "user": f.tokens_per_s_per_user,
            "ftl": f.ftl_s,
            "usd": f.usd_per_million_tokens,
            "gpus": f.gpus.astype(float),  # an axis like the others
        }[axis.key]
        return x, f.tokens_per_s_per_gpu / self.tokens


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mark:
    """A plan as a glyph."""

    serving: Serving
    glyph: str
    hue: str
    apart: bool = False  # of another question: the axes need not reach it
    tokens: float = 1.0  # as its curve's

    def xy(self, axis: Axis) -> tuple[float, float]:
        """Its point on an axis."""
        s = self.serving
        x = {
            "user": s.tokens_per_s_per_user,
            "ftl": s.ftl_s,
            "usd": s.usd_per_million_tokens,
            "gpus": float(s.gpus),
        }[axis.key]
        return x, s.capacity_tokens_per_s_per_gpu / self.tokens


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """Everything a chart shows but its cursor."""

    curves: tuple[Curve, ...]
    marks: tuple[Mark, ...] = ()  # later ones over earlier ones
    scenario: Scenario  # whose limits are drawn
    start: int = 0  # the curve that the cursor starts on
    start_ttl_s: float = math.inf  # TTL it starts at
    unit: str = Y_TITLE  # of what is counted

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for scenes that look the same (both must be alive: arrays are told apart by identity)."""
        curves = tuple((id(c.frontier), c.glyph, c.name, c.band, c.tokens) for c in self.curves)
        marks = tuple((id(m.serving), m.glyph, m.apart) for m in self.marks)
        return (curves, marks, self.scenario.limits, self.scenario.fleet.gpus, self.start, self.start_ttl_s)

    def limit(self, axis: Axis, g: Glyphs) -> tuple[float, str]:
        """Where the limit on an axis lies and what it is called; (nan, "") where there is none."""
        limits, gpus = self.scenario.limits, self.scenario.fleet.gpus
        if axis.key == "user":
            return 1 / limits.ttl_s, f"TTL {g.at_most} {g.plain(format_seconds(limits.ttl_s))}"
        if axis.key == "ftl":
            return limits.ftl_s, f"FTL {g.at_most} {g.plain(format_seconds(limits.ftl_s))}"
        if axis.key == "gpus" and gpus is not None:
            return float(gpus), count(gpus, "GPU")
        return math.nan, ""


def fitting(texts: Sequence[str], room: int) -> str:
    """The first text that fits; the last, if none does.

    >>> fitting(["tokens/s per GPU in use", "tokens/s per GPU"], 20)
    'tokens/s per GPU'
    """
    return next((text for text in texts if len(text) <= room), texts[-1])


def plan_scene(view: View, g: Glyphs) -> Scene | None:
    """Both frontiers of a view, its plan and its pins; None before there are frontiers."""
    if view.frontiers is None:
        return None
    plan = view.plan
    looks = (("split", g.split, "split", "*"), ("co-located", g.colocated, "coloc", "o"))
    places = placed(view.frontiers)
    # a trace's own lengths are known with its plan; then the picture counts requests, until then tokens
    known = plan.scenario if plan is not None else view.scenario
    counts = known.traffic.trace is None or plan is not None
    tokens = goodput.tokens_of_one(replace(known, frontier=view.scenario.frontier)) if counts else 1.0
    curves = tuple(
        Curve(
            name=name,
            frontier=frontier,
            glyph=glyph,
            hue=hue,
            plain=plain,
            places=tuple(places[systems] for systems in frontier.systems),
            band=plan.bands[way].throughput if plan is not None and way in plan.bands else None,
            tokens=tokens,
        )
        for way, (name, glyph, hue, plain), frontier in zip(WAYS, looks, view.frontiers, strict=True)
    )
    chosen = plan.chosen if plan else None
    # until the plan of new frontiers is there, they alone set the axes, which then stay
    older = plan is not None and plan.frontier_disaggregated is not view.frontiers[0]
    marks = (replace(mark, apart=older) for mark in plan_marks(plan, g))
    return Scene(
        curves=curves,
        marks=tuple(replace(mark, tokens=tokens) for mark in (*pin_marks(view.pins, view.scenario), *marks)),
        unit=goodput.unit(view.scenario) if counts else Y_TITLE,
        scenario=view.scenario,
        start=COLOC if plan is not None and plan.choice == "colocated" else SPLIT,
        start_ttl_s=chosen.ttl_s if chosen else view.scenario.limits.ttl_s,
    )


PLACE_HUES = ("split", "coloc", "cursor", "limit", "chosen", "muted")


def placed(frontiers: Sequence[Frontier]) -> dict[tuple[str, ...], Place]:
    """A letter and a hue for every placement on the frontiers of a fleet, the most frequent first."""
    found = Counter(systems for frontier in frontiers for systems in frontier.systems)
    ranked = sorted(found, key=lambda systems: -found[systems])
    letters = (chr(ord("a") + min(i, 25)) for i in range(len(ranked)))
    return {
        systems: Place(systems=systems, sign=(letter, PLACE_HUES[i % len(PLACE_HUES)]))
        for i, (systems, letter) in enumerate(zip(ranked, letters, strict=True))
    }


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
            marks.append(Mark(serving=serving, glyph=glyph, hue=colour))
    return marks


def pin_marks(pins: Sequence[Pin], scenario: Scenario | None = None) -> list[Mark]:
    """Pinned plans by their letters; those that answer another question than a scenario's lie apart.

    The question is what is served and what it must hold; another answer to it has another fleet or engine.
    """
    found = []
    for pin in pins:
        if pin.plan is not None and pin.plan.chosen is not None:
            apart = scenario is not None and not _alike(pin.scenario, scenario)
            hue = "muted" if apart else "cursor"
            found.append(Mark(serving=pin.plan.chosen, glyph=pin.letter, hue=hue, apart=apart))
    return found


def _alike(one: Scenario, other: Scenario) -> bool:
    return (one.model, one.traffic) == (other.model, other.traffic)


PINS = "pins"  # in a legend
PIN_HUES = ("split", "coloc", "cursor", "limit")
NOW_HUE = "muted"


def pins_scene(
    pins: Sequence[Pin], scenario: Scenario, g: Glyphs, now: tuple[str, Plan] | None = None
) -> Scene | None:
    """The better frontier of each pin, overlaid, and that of a plan which is none of them, under its name.

    None without pins.
    """
    shown = [pin for pin in pins if pin.plan is not None]
    if not shown:
        return None
    drawn = [
        (pin.letter, pin.plan, glyph, hue)
        for pin, glyph, hue in zip(pins, g.pins, PIN_HUES, strict=False)  # its own, whoever has a plan by now
        if pin.plan is not None
    ]
    marks = pin_marks(shown)
    if now is not None:
        drawn.append((*now, g.now, NOW_HUE))
        if now[1].chosen is not None:
            marks.append(Mark(serving=now[1].chosen, glyph=g.chosen, hue="chosen"))
    return Scene(
        curves=tuple(
            Curve(
                name=name,
                frontier=plan.frontier_colocated
                if plan.choice == "colocated"
                else plan.frontier_disaggregated,
                glyph=glyph,
                hue=hue,
                plain=glyph,
            )
            for name, plan, glyph, hue in drawn
        ),
        marks=tuple(marks),
        scenario=scenario,
        start_ttl_s=scenario.limits.ttl_s,
    )


def legend(
    scene: Scene,
    axis: Axis,
    limit_drawn: bool,
    g: Glyphs,
    room: int,
    *,
    cloud: bool = False,
    band: str = "",
) -> str:
    """Every sign of the picture with its meaning, as markup: in full, in brief, or as many as fit.

    A limit off the chart is told in words. `cloud`: whether other deployments are drawn as faint dots,
    `band`: what shades the ranges of 80 % of cases, if they are.
    """
    full = _signs(scene, axis, limit_drawn, g, cloud=cloud, band=band)
    for gap in ("  ", " "):
        if sum(len(f"{sign} {name}".strip()) + len(gap) for sign, name, _, _ in full) - len(gap) <= room:
            return gap.join(_marked(sign, name, hue) for sign, name, _, hue in full)
    kept = list(full)
    while len(kept) > 1 and sum(len(f"{sign} {brief}".strip()) + 1 for sign, _, brief, _ in kept) - 1 > room:
        pins = next((at for at, part in enumerate(kept) if part[2] == PINS), len(kept) - 2)
        del kept[pins]  # letters are known to who has set them; a limit off the chart is told here alone
    return " ".join(_marked(sign, brief, hue) for sign, _, brief, hue in kept)


def _marked(sign: str, name: str, hue: str) -> str:
    return f"[$hue-{hue}]{sign}[/] {name}" if sign else name


def _signs(
    scene: Scene, axis: Axis, limit_drawn: bool, g: Glyphs, *, cloud: bool, band: str
) -> list[tuple[str, str, str, str]]:
    """Glyph, name, name in brief and hue of each sign."""
    short = {"co-located": "co-loc."}
    parts = [
        (g.rule if c.places else c.glyph, c.name, short.get(c.name, c.name), c.hue) for c in scene.curves
    ]
    places = {place.sign[0]: place for curve in scene.curves for place in curve.places}
    parts += [(place.sign[0], place.name, place.name, place.sign[1]) for _, place in sorted(places.items())]
    if any(mark.glyph == g.chosen for mark in scene.marks):
        parts.append((g.chosen, "plan", "plan", "chosen"))
    other = next((mark for mark in scene.marks if mark.glyph == g.other), None)
    if other is not None:
        parts.append((g.other, "other way", "other", other.hue))
    letters = [mark.glyph for mark in scene.marks if mark.glyph.isalpha() and mark.glyph.isupper()]
    if letters and not any(curve.name in letters for curve in scene.curves):
        parts.append((" ".join(letters), "pinned", PINS, "cursor"))
    if cloud:
        parts.append((g.cloud, "other layouts", "rest", "cloud"))
    if band:
        parts.append((band, "4 of 5 cases", "4 of 5", "muted"))
    _, name = scene.limit(axis, g)
    if limit_drawn and axis.key == "gpus":
        parts.append(("", name, name, ""))
    elif limit_drawn:
        limit = f"{name.split()[0]} limit"
        parts.append((g.limit, limit, name.split()[0], "limit"))
    elif name:
        parts.append((g.limit, f"{name} is off the chart", f"{name} off chart", "limit"))
    return parts


def readout(curve: Curve, index: int, g: Glyphs, *, tall: bool = False) -> list[str]:
    """What a point is, a line each; one more on a tall chart."""
    f = curve.frontier
    ttl_s, user = float(f.ttl_s[index]), float(f.tokens_per_s_per_user[index])
    y = float(curve.xy(USER)[1][index])
    counted = "tok/s/GPU" if curve.tokens == 1.0 else "req/s/GPU"
    dot = f" {g.dot} "
    lines = [
        f"{g.cursor} {three_digits(user)} tok/s/user{dot}{three_digits(y)} {counted}",
        f"TTL {g.plain(format_seconds(ttl_s))}{dot}{count(int(f.gpus[index]), 'GPU')}",
    ]
    ratio = float(f.ctx_gen_ratio[index])
    if math.isfinite(ratio):
        lines[1] += f"{dot}ctx:gen {three_digits(ratio)}"
    if tall:
        cost = three_digits(float(f.usd_per_million_tokens[index]))
        lines.append(f"FTL {g.plain(format_seconds(float(f.ftl_s[index])))}{dot}${cost}/Mtok")
    prefill = f.prefill[index]
    if curve.places:
        lines.append(f"on {curve.places[index].name}")
    return [*lines, f"{prefill} + {f.decode[index]}" if prefill else f"co-located {f.decode[index]}"]
