"""The frontiers as an SVG picture of nothing but shapes and text: no script, no style sheet, no web font."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from planner.output import goodput
from planner.output.spelling import named
from planner.units import format_seconds, three_digits

if TYPE_CHECKING:
    from planner.arrays import FloatArray
    from planner.planning.result import Frontier, Plan, Serving
    from planner.words import Way

INK, MUTED, GRID, LIMIT, PAPER = "#1a1a1a", "#595959", "#e3e3e3", "#8a6d00", "#ffffff"
HUES = {"disaggregated": "#1f6fb2", "colocated": "#b4500a"}  # can be told apart without red and green
PLACES = ("#1f6fb2", "#b4500a", "#4d7c0f", "#7b3fa0", "#0f766e", "#9f1239")  # who does what on a fleet
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 44  # margins, px
FONT = "Helvetica, Arial, sans-serif"


class Scale:
    """Interactivity on a log axis and throughput on a linear one, as px."""

    def __init__(self, x: FloatArray, y: FloatArray, width: int, height: int) -> None:
        self.low, self.high = float(x.min()), max(float(x.max()), float(x.min()) * 1.01)
        self.step = _nice(float(y.max()) / 5)
        self.top = self.step * math.ceil(float(y.max()) * 1.02 / self.step)
        self.width, self.height = width, height

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point of the chart."""
        share = math.log(x / self.low) / math.log(self.high / self.low)
        return (
            LEFT + share * (self.width - LEFT - RIGHT),
            self.height - BOTTOM - y / self.top * (self.height - TOP - BOTTOM),
        )

    @property
    def x_ticks(self) -> list[float]:
        """1, 2 and 5 times the powers of ten within the axis."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [m * 10.0**p for p in powers for m in (1, 2, 5)]
        return [tick for tick in ticks if self.low <= tick <= self.high]

    @property
    def y_ticks(self) -> list[float]:
        """Multiples of the step."""
        return [self.step * i for i in range(round(self.top / self.step) + 1)]


def to_svg(plan: Plan, width: int = 760, height: int = 420) -> str:
    """Both frontiers, the plan and the limit, throughput over the GPUs in use; the ranges of 80 % shaded."""
    curves = fronts(plan)
    if not curves:
        words = _text(width / 2, height / 2, "no deployment meets the limits", MUTED, anchor="middle")
        return _page([words], width, height)
    spread = {way: plan.bands[way].throughput for way, _ in curves if way in plan.bands}
    highest = [front.tokens_per_s_per_gpu * spread.get(way, (1.0, 1.0))[1] for way, front in curves]
    plans = marks(plan)
    x = np.concatenate([front.tokens_per_s_per_user for _, front in curves])
    y = np.concatenate([*highest, [height_of(plan, way) for _, way in plans]])
    scale = Scale(x, y, width, height)
    drawn = {way: [scale.at(*at) for at in zip(*_xy(front), strict=True)] for way, front in curves}
    room = Room(scale, drawn.values())
    for _, serving in plans:
        room.keep_off(*scale.at(serving.tokens_per_s_per_user, height_of(plan, serving)))
    parts = [*_axes(scale, y_title(plan)), *_limit(scale, plan.scenario.limits.ttl_s, room)]
    for way, front in curves:
        if way in spread:
            parts.append(_band(scale, front, spread[way], HUES[way]))
    places = _places(curves)
    parts += _placed(places)
    for way, front in curves:
        points = drawn[way]
        parts.append(
            f'<polyline points="{_points(points)}" fill="none" stroke="{HUES[way]}" stroke-width="2" '
            'stroke-linejoin="round"/>'
        )
        dots = [places[systems] for systems in front.systems] or [HUES[way]] * len(points)
        large = 3.5 if front.systems else 2.5
        parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{large}" fill="{hue}"/>'
            for (a, b), hue in zip(points, dots, strict=True)
        ]
        parts += _names(scale, front, HUES[way], room, above=way == "disaggregated")
    for name, serving in plans:
        parts += _mark(scale, serving, height_of(plan, serving), HUES[name], chosen=name == plan.way)
    return _page([*parts, *_legend(plan, [way for way, _ in curves], bool(spread))], width, height)


def fronts(plan: Plan) -> list[tuple[Way, Frontier]]:
    """The frontiers that have a point, split first."""
    both: tuple[tuple[Way, Frontier], ...] = (
        ("disaggregated", plan.frontier_disaggregated),
        ("colocated", plan.frontier_colocated),
    )
    return [(way, goodput.counted(plan, front)) for way, front in both if len(front)]


def _places(curves: Sequence[tuple[Way, Frontier]]) -> dict[tuple[str, ...], str]:
    """A hue for every placement on the frontiers of a fleet of several systems, the most frequent first."""
    found = Counter(systems for _, front in curves for systems in front.systems)
    ranked = sorted(found, key=lambda systems: -found[systems])
    return {systems: PLACES[i % len(PLACES)] for i, systems in enumerate(ranked)}


def _placed(places: Mapping[tuple[str, ...], str]) -> Iterable[str]:
    """What the dots of a fleet say, in a row of its own."""
    x = float(LEFT)
    for systems, hue in places.items():
        name = " → ".join(systems)
        yield f'<circle cx="{x:.1f}" cy="31" r="3.5" fill="{hue}"/>'
        yield _text(x + 8, 35, name, INK, size=10)
        x += 26 + 6 * len(name)


def height_of(plan: Plan, serving: Serving) -> float:
    """Where a plan lies in what its frontiers count."""
    return serving.capacity_tokens_per_s_per_gpu / goodput.tokens_of_one(plan.scenario)


def y_title(plan: Plan) -> str:
    """`output tokens/s per GPU in use`, or requests/s."""
    said = goodput.unit(plan.scenario)
    return f"output {said} in use" if said == goodput.TOKENS else f"{said} in use within both limits"


def _xy(front: Frontier) -> tuple[list[float], list[float]]:
    return front.tokens_per_s_per_user.tolist(), front.tokens_per_s_per_gpu.tolist()


def marks(plan: Plan) -> list[tuple[Way, Serving]]:
    """The way that was not chosen, then what to deploy; [] where nothing meets the limits."""
    chosen = plan.deployed
    if chosen is None:
        return []
    if plan.way == "disaggregated":
        found: list[tuple[Way, Serving | None]] = [("colocated", plan.colocated), ("disaggregated", chosen)]
    else:
        found = [("disaggregated", plan.disaggregated), ("colocated", chosen)]
    return [(way, serving) for way, serving in found if serving is not None]


def _axes(scale: Scale, title: str) -> Iterable[str]:
    bottom, right = scale.height - BOTTOM, scale.width - RIGHT
    for value in scale.y_ticks:
        y = scale.at(scale.low, value)[1]
        yield _line(LEFT, y, right, y, GRID)
        yield _text(LEFT - 8, y + 4, three_digits(value) if value else "0", MUTED, anchor="end")
    for value in scale.x_ticks:
        x = scale.at(value, 0.0)[0]
        yield _line(x, bottom, x, bottom + 4, MUTED)
        yield _text(x, bottom + 17, three_digits(value), MUTED, anchor="middle")
    yield _line(LEFT, bottom, right, bottom, MUTED)
    yield _text((LEFT + right) / 2, scale.height - 8, "tokens/s per user (1/TTL)", INK, anchor="middle")
    yield _text(8, 18, title, INK)


def _limit(scale: Scale, ttl_s: float, room: Room) -> Iterable[str]:
    """The line, and its name beside it where no curve runs: at the foot, else at the head."""
    if not scale.low <= 1 / ttl_s <= scale.high:
        return
    x = scale.at(1 / ttl_s, 0.0)[0]
    near = x > scale.width * 0.75
    room.keep_off(x)
    yield _line(x, TOP, x, scale.height - BOTTOM, LIMIT, dashed=True)
    text = f"TTL ≤ {format_seconds(ttl_s)}"
    width = 7.0 * len(text)
    left = x - 6 - width if near else x + 6
    foot, head = scale.height - BOTTOM - 6, TOP + 12
    base = foot if room.take(left, width, foot) or not room.take(left, width, head) else head
    yield _text(x + (-6 if near else 6), base, text, LIMIT, anchor="end" if near else "start")


def _band(scale: Scale, front: Frontier, factors: tuple[float, float], hue: str) -> str:
    """The range that holds the throughput in 80 % of cases."""
    x, y = _xy(front)
    high = [scale.at(a, b * factors[1]) for a, b in zip(x, y, strict=True)]
    low = [scale.at(a, b * factors[0]) for a, b in zip(x, y, strict=True)]
    return f'<polygon points="{_points([*high, *low[::-1]])}" fill="{hue}" fill-opacity="0.1"/>'


class Room:
    """Where names may stand: not on each other, not on a curve, and within the axes. All in px."""

    def __init__(self, scale: Scale, curves: Iterable[Sequence[tuple[float, float]]]) -> None:
        self.scale = scale
        self._taken: list[tuple[float, float, float]] = []  # left, right, baseline
        self._curves = [np.array(sorted(points)).T for points in curves]
        self._lines: list[float] = []

    def keep_off(self, x: float, y: float | None = None) -> None:
        """No name over the sign of a plan at a point, or over an upright line at `x`."""
        if y is None:
            self._lines.append(x)
        else:
            self._taken.append((x - 9.0, x + 9.0, y + 4.0))

    def take(self, left: float, width: float, base: float, gap: float = 16.0) -> bool:
        """Keep the place of a name, `gap` px from its neighbours; False where there is none."""
        right = left + width
        if left < LEFT or right > self.scale.width - RIGHT or base > self.scale.height - BOTTOM - 4:
            return False
        if any(
            left < end + gap and start - gap < right and abs(base - at) < 14 for start, end, at in self._taken
        ):
            return False
        if any(left < x < right for x in self._lines):
            return False
        if any(self._crosses(x, y, left, right, base) for x, y in self._curves):
            return False
        self._taken.append((left, right, base))
        return True

    @staticmethod
    def _crosses(x: FloatArray, y: FloatArray, left: float, right: float, base: float) -> bool:
        """Whether a curve runs through the letters, 10 px high."""
        across = np.linspace(left, right, 32)
        across = across[(across >= x[0]) & (across <= x[-1])]
        at = np.interp(across, x, y)
        return bool(((at > base - 12) & (at < base + 5)).any())


def _names(scale: Scale, front: Frontier, hue: str, room: Room, *, above: bool) -> Iterable[str]:
    """The layouts along a curve, where they change and there is room: right above it, or left below."""
    last = ""
    for i, (x, y) in enumerate(zip(*_xy(front), strict=True)):
        name = " + ".join(filter(None, (front.prefill[i], front.decode[i])))
        if name == last:
            continue
        at, height = scale.at(x, y)
        width = 6.0 * len(name)
        places = (
            ((at, height - 8), (at + 6, height - 8))
            if above
            else ((at - width, height + 16), (at, height + 16))
        )
        for left, base in places:
            if room.take(left, width, base):
                last = name
                yield _text(left, base, name, hue, size=10)
                break


def _mark(scale: Scale, serving: Serving, height: float, hue: str, *, chosen: bool) -> Iterable[str]:
    user = min(max(serving.tokens_per_s_per_user, scale.low), scale.high)
    x, y = scale.at(user, height)
    r = 7 if chosen else 5
    fill = hue if chosen else PAPER
    corners = _points([(x, y - r), (x + r, y), (x, y + r), (x - r, y)])
    yield f'<polygon points="{corners}" fill="{fill}" stroke="{INK if chosen else hue}" stroke-width="1.5"/>'


def _legend(plan: Plan, ways: Sequence[Way], banded: bool) -> Iterable[str]:
    """What each sign says, in one row."""
    x = 250.0
    for way in ways:
        yield _line(x, 14, x + 22, 14, HUES[way], wide=2)
        yield _text(x + 28, 18, named(way), INK)
        x += 44 + 7 * len(named(way))
    if plan.way:
        yield from _sign(x, 14, 6, HUES[plan.way], INK)
        yield _text(x + 12, 18, "the plan", INK)
        x += 84
        if plan.disaggregated is not None and plan.colocated is not None:
            yield from _sign(x, 14, 5, PAPER, MUTED)
            yield _text(x + 12, 18, "the other way", INK)
            x += 112
    if banded:
        yield f'<rect x="{x:.1f}" y="8" width="18" height="12" fill="{MUTED}" fill-opacity="0.2"/>'
        yield _text(x + 24, 18, "4 of 5 cases", INK)


def _sign(x: float, y: float, r: float, fill: str, edge: str) -> Iterable[str]:
    corners = _points([(x, y - r), (x + r, y), (x, y + r), (x - r, y)])
    yield f'<polygon points="{corners}" fill="{fill}" stroke="{edge}" stroke-width="1.5"/>'


def _page(parts: Iterable[str], width: int, height: int) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="Throughput per GPU over interactivity">\n'
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>\n{body}\n</svg>\n'
    )


def _line(
    x1: float, y1: float, x2: float, y2: float, hue: str, *, wide: int = 1, dashed: bool = False
) -> str:
    dashes = ' stroke-dasharray="4 4"' if dashed else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{hue}" '
        f'stroke-width="{wide}"{dashes}/>'
    )


def _text(x: float, y: float, text: str, hue: str, *, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{hue}" font-family="{FONT}" font-size="{size}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _nice(step: float) -> float:
    """The step of 1, 2 or 5 times a power of ten at or above.

    >>> _nice(170.0), _nice(0.3)
    (200.0, 0.5)
    """
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= step * (1 - 1e-9))
