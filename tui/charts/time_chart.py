"""A plan over time as text: traffic above, GPUs of each policy, the windows it misses, a cursor."""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray
from planner.elastic.over_time import Outcome, OverTime
from planner.elastic.why import CALLED, clock
from planner.output.spelling import count
from planner.units import three_digits
from planner.values import dataclass
from tui.glyphs import Glyphs, columns

NAMES = 26  # cells before the columns
LABELS = 58  # and on both sides
GPUS = 9  # of the first of what is said right of the columns
LEAST = 10  # columns of the narrowest picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The lines, how they look, and how many windows a column stands for."""

    lines: tuple[str, ...]
    hues: tuple[str, ...]  # a style for each line
    each: int


def drawn(found: OverTime, cursor: int, width: int, g: Glyphs) -> Drawn:
    """Traffic, then each policy of the better way: GPUs by pool, windows out of limits, dollars."""
    count = len(found.windows)
    each = -(-count // max(width - LABELS, LEAST))
    windows = found.windows

    def row(name: str, values: FloatArray, said: str) -> str:
        return f"{name:<26}{columns(_most(values, each), g)} {said}"

    wide = -(-count // each)
    here = f"{g.down:>{cursor // each + 1}}{'':{wide - cursor // each}}"
    mark = f"{'':{NAMES}}{here}{f'at {g.down}':<{GPUS}}in all"
    lines = [
        row(
            "requests/s",
            windows.requests / windows.window_s,
            _at(windows.requests / windows.window_s, cursor),
        ),
        row("prompts of mean length/s", windows.prompts_per_s, _at(windows.prompts_per_s, cursor)),
        row("outputs of mean length/s", windows.decodes_per_s, _at(windows.decodes_per_s, cursor)),
        mark,
    ]
    hues = ["", "", "", "$hue-cursor"]
    room = width - NAMES - wide - 1  # right of the columns
    for one in found.outcomes:
        if one.way == found.best.way:
            rows, missed = _policy(found, one, cursor, each, room, g)
            lines += rows + missed
            hues += ["bold" if one is found.best else ""] * len(rows) + ["$hue-bad"] * len(missed)
    return Drawn(lines=tuple(lines), hues=tuple(hues), each=each)


def _policy(
    found: OverTime, one: Outcome, cursor: int, each: int, room: int, g: Glyphs
) -> tuple[list[str], list[str]]:
    """A row for each pool, and one of the windows out of limits if there are any.

    How often it changes is left out where there is no `room`, in columns, for it: a row is one line.
    """
    pools = found.ways[one.way].pools
    gpus = one.schedule.instances * pools.gpus
    top = float(max(gpus.sum(axis=1).max(), 1))
    rows = []
    for at, phase in enumerate(pools.phases):
        of = gpus[:, pools.pool == at].sum(axis=1).astype(np.float64)
        picture = columns([*_most(of, each), top], g)[:-1]  # all pools in one scale
        name = one.name if not at else ""
        called = "co-located" if phase == "colocated" else phase
        said = count(round(of[cursor]), "GPU")
        if not at:
            said = f"{said:<{GPUS - 2}}  {three_digits(one.bill.usd):>6} USD"
            changes = f"  {count(one.bill.changes, 'change')}"
            said += changes if len(said) + len(changes) <= room else ""
        rows.append(f"{name:<15}{called:<11}{picture} {said}".rstrip())
    missed = _most((~one.ok).astype(np.float64), each)
    if any(missed):
        row = "".join("x" if value else " " for value in missed)
        return rows, [f"{'':<15}{'missed':<11}{row} {int((~one.ok).sum()):,} of {len(one.ok):,}"]
    return rows, []


def cell(found: OverTime, cursor: int) -> str:
    """What lies under the cursor: the window, what is asked, what the elastic plan has there."""
    windows, best = found.windows, found.best
    pools = found.ways[best.way].pools
    has = " + ".join(
        f"{n} × {kind.label}" + ("" if kind.phase == "colocated" else f" {kind.phase}")
        for n, kind in zip(best.schedule.instances[cursor].tolist(), pools.kinds, strict=True)
    )
    held = int(best.bill.gpus[cursor])
    moving = held - int(best.schedule.instances[cursor] @ pools.gpus)
    rate = three_digits(float(windows.requests[cursor]) / windows.window_s)
    missed = [one.name for one in found.outcomes if one.way == best.way and not one.ok[cursor]]
    return (
        f"{clock(cursor * windows.window_s)}: {rate} requests/s; elastic {CALLED[best.way]} has {has}, "
        f"{count(held, 'GPU')}"
        + (f", {moving:,} of them starting or draining" if moving else "")
        + (f"; limits missed by {', '.join(missed)}" if missed else "")
    )


def _at(values: FloatArray, cursor: int) -> str:
    return f"{three_digits(float(values[cursor]))} of up to {three_digits(float(values.max()))}"


def _most(values: FloatArray, each: int) -> list[float]:
    """The highest of each so many windows."""
    return [float(values[at : at + each].max()) for at in range(0, len(values), each)]
