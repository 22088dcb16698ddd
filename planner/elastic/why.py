"""The sentences of a plan over time: what it saves, risks and changes, and what moved it."""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.elastic.over_time import Outcome, OverTime
from planner.elastic.policies import Policy, static_mean
from planner.elastic.schedule import TOLERANCE, ready, short
from planner.output.spelling import percent
from planner.units import three_digits
from planner.words import Way

ROLLING: tuple[Policy, ...] = ("seasonal-naive", "smoothing", "reactive")
STATIC: tuple[Policy, ...] = ("static-peak", "static-mean")
CALLED: dict[Way, str] = {"disaggregated": "split", "colocated": "co-located"}


def clock(seconds: float) -> str:
    """A time of the trace, as days, hours and minutes.

    >>> clock(90.0), clock(3 * 86400.0 + 7 * 3600.0)
    ('0:01:30', 'day 4 7:00')
    """
    whole = int(seconds)
    day, rest = divmod(whole, 86_400)
    hours, minutes = divmod(rest // 60, 60)
    if day:
        return f"day {day + 1} {hours}:{minutes:02d}"
    return f"{hours}:{minutes:02d}:{rest % 60:02d}"


def sentences(found: OverTime) -> list[str]:
    """Why the plan is as it is: one sentence each."""
    if not found.outcomes:
        return []
    best = found.best
    if not best.ok.any():  # what buys nothing costs least, and is no answer
        return ["No window keeps its limits, with any number of instances of the layouts that were found."]
    return [
        _saves(found, best),
        _risks(found, best),
        _changes(found, best),
        *_breaks(found, best),
        *_ratio(found, best),
        *_foresight(found, best),
        *_known(found, best),
        *_starting(best),
    ]


def static(found: OverTime) -> Outcome:
    """The fleet all along, of either way, to hold the elastic one to.

    The cheapest that keeps as many windows; where none does that which keeps most.
    """
    fleets = [one for one in found.outcomes if one.name in STATIC]
    most = max(int(one.ok.sum()) for one in fleets)
    enough = min(most, int(found.best.ok.sum()))
    return min((one for one in fleets if one.ok.sum() >= enough), key=lambda one: one.bill.usd)


def _saves(found: OverTime, best: Outcome) -> str:
    beside, kept = static(found), int(best.ok.sum())
    less = 1.0 - best.bill.usd / beside.bill.usd if beside.bill.usd else 0.0
    than = f"{percent(abs(less))} {'less' if less > 0 else 'more'} than" if less else "as much as"
    of = f"{beside.name}, {CALLED[beside.way]}, {three_digits(beside.bill.usd)} USD"
    missed = kept - int(beside.ok.sum())
    which = f"that keeps most windows, {missed:,} fewer" if missed > 0 else "that keeps as many windows"
    return (
        f"Elastic {CALLED[best.way]} costs {three_digits(best.bill.usd)} USD, {than} the cheapest fleet all "
        f"along {which} ({of}).{_margin(beside) if less < 0 else ''}"
    )


def _margin(fleet: Outcome) -> str:
    """Why a fleet that keeps as much may cost less."""
    lacks = int((fleet.bill.missing > TOLERANCE).any(axis=1).sum())
    where = "1 window" if lacks == 1 else f"{lacks:,} windows"
    return f" In {where} that one has no room for layouts that serve less than predicted." if lacks else ""


def _risks(found: OverTime, best: Outcome) -> str:
    total = len(found.windows)
    live = [found.of(name, best.way) for name in ROLLING]
    safest = max(live, key=lambda one: int(one.ok.sum()))
    last = found.of("reactive", best.way)
    other = "" if safest is last else f"{int(safest.ok.sum()):,} by {safest.name} and "
    return (
        f"With foresight {int(best.ok.sum()):,} of {total:,} windows keep their limits; without, "
        f"{other}{int(last.ok.sum()):,} by reactive scaling."
    )


def _changes(found: OverTime, best: Outcome) -> str:
    hours = found.windows.hours
    rate = f", {best.bill.changes / (hours / 24.0):.0f} a day" if hours >= 24.0 else ""
    instances = "1 instance" if best.bill.changes == 1 else f"{best.bill.changes:,} instances"
    lasted = f"{hours:,.1f} hours" if hours >= 2.0 else f"{three_digits(60.0 * hours)} min"
    return f"It changes {instances} in {lasted}{rate}."


def _breaks(found: OverTime, best: Outcome) -> list[str]:
    """The first window that a fleet for the mean load does not serve."""
    asked = found.ways[best.way]
    schedule = static_mean(asked)
    lacks = short(asked.pools, ready(asked.pools, schedule, asked.costs))
    late = np.flatnonzero((lacks > 1e-6).any(axis=1))
    if not len(late):
        return []
    window = int(late[0])
    pool = int(np.argmax(lacks[window]))
    kind = asked.pools.kinds[asked.pools.main(asked.pools.phases[pool])]
    load = found.windows.asked(kind.prompt_share)
    times = load[window] / max(float(load.mean()), 1e-12)
    phase = "co-located" if kind.phase == "colocated" else kind.phase
    alike = "1 window is like that" if len(late) == 1 else f"{len(late):,} windows are like that"
    missed = int((~found.of("static-mean", best.way).ok).sum())
    if missed > len(late):
        alike += f", and with the queues that are left {missed:,} miss their limits"
    return [
        f"A fleet for the mean load first breaks at {clock(window * found.windows.window_s)}: {phase} is "
        f"asked for {times:.1f} times its mean; {alike}."
    ]


def ratio(found: OverTime, of: Outcome) -> FloatArray:
    """Prefill over decode GPUs in each window; nan for co-located serving."""
    pools = found.ways[of.way].pools
    if len(pools.phases) < 2:
        return np.full(len(found.windows), np.nan)
    gpus = _gpus(found, of)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gpus[:, 1] > 0, gpus[:, 0] / gpus[:, 1], np.nan)


def _gpus(found: OverTime, of: Outcome) -> IntArray:
    """GPUs of each pool in each window."""
    pools = found.ways[of.way].pools
    each = of.schedule.instances * pools.gpus
    return np.stack([each[:, pools.pool == at].sum(axis=1) for at in range(len(pools.phases))], axis=1)


def _ratio(found: OverTime, best: Outcome) -> list[str]:
    over = ratio(found, best)
    if not np.isfinite(over).any():
        return []
    low, high = int(np.nanargmin(over)), int(np.nanargmax(over))
    if over[low] == over[high]:
        return [f"Its ctx:gen ratio stays {over[low]:.2g}."]
    windows, step = found.windows, found.windows.window_s
    with np.errstate(divide="ignore", invalid="ignore"):
        heavy = windows.prompts_per_s / windows.decodes_per_s
    return [
        f"Its ctx:gen ratio goes from {over[low]:.2g} at {clock(low * step)} to {over[high]:.2g} at "
        f"{clock(high * step)}: prompts are {heavy[low]:.1f} and {heavy[high]:.1f} times their usual "
        "share of the work there."
    ]


def _foresight(found: OverTime, best: Outcome) -> list[str]:
    live = [found.of(name, best.way) for name in ROLLING]
    near = max(live, key=lambda one: (int(one.ok.sum()), -one.bill.usd))
    more = near.bill.usd - best.bill.usd
    lost = int(best.ok.sum()) - int(near.ok.sum())
    spent = f"{three_digits(abs(more))} USD {'more' if more >= 0 else 'less'}"
    if not lost:
        return [f"Foresight is worth no window: {near.name} keeps as many and costs {spent}."]
    said = "1 window: that one is missed by" if lost == 1 else f"{lost:,} windows: those are missed by"
    return [f"Foresight is worth {said} {near.name}, which costs {spent}."]


def _starting(best: Outcome) -> list[str]:
    """What a second of start time costs; nothing where nothing starts."""
    if not best.bill.start_usd_per_s:
        return []
    return [f"A second more of start time costs {best.bill.start_usd_per_s:.2g} USD over the horizon."]


def _known(found: OverTime, best: Outcome) -> list[str]:
    """How the counts of each window were found."""
    said = []
    told = found.settled.get(best.way)
    if told is not None:
        rounds = "1 replay" if told.replays == 1 else f"{told.replays} replays"
        said.append(
            f"Counts of each window are those of {rounds} of all requests; {percent(told.kept)} of windows "
            "keep their limits with them."
        )
    elif found.settles != "off":
        said.append("Counts are those of closed forms: there are too many requests to replay (--settle on).")
    if found.too_small:
        said.append("The fleet is too small for what layouts are expected to serve: counts are as predicted.")
    return said
