"""Plans against tuned deployments: what the best plan promises over what was measured within its limits.

A measured split counts if it stands on the measured frontier of its group (model, system, engine, formats,
lengths): it has at least `NEAR` of the best tokens/s per GPU that its group measured at up to `SLOWER` times
its TPOT and up to the larger of `ANY_TTFT_S` and `LATER` times its TTFT. That best is what the plan for it
is held against.

The plan is the best split on at most the row's GPUs within its TTFT and TPOT, at its formats and mean
lengths, counts for the expected rate: once freely, and once within layouts of either phase that some split
of the file has on that GPU and engine. Limits are sharp where predictions are not: a limit that the
deployment's own prediction misses is eased to that prediction, so that the deployment itself is always
among what may be planned.

Tokens count per GPU over all GPUs, of the row and of the plan. Rows of a group share one sweep.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from planner.arrays import BoolArray, FloatArray
from planner.errors import InputError
from planner.evidence import gather
from planner.evidence.deployment import known_or_none, setup
from planner.evidence.gather import Runs
from planner.evidence.runs import Row, Widths
from planner.inputs.catalog import Catalog
from planner.inputs.fleet import Fleet
from planner.inputs.scenario import Limits, Scenario
from planner.inputs.traffic import Traffic
from planner.match import milp
from planner.planning import bands, solve, sweep
from planner.planning.chosen import judged
from planner.planning.deadline import Deadline
from planner.planning.placed import Placed
from planner.planning.resolve import Question, prepare
from planner.planning.result import Serving
from planner.planning.sweep import Sweep
from planner.simulate.points import Points
from planner.words import Phase

NEAR = 0.7  # of the best of its group: a row with less was not tuned
SLOWER = 1.15  # times its TPOT: what may be held against a row
LATER = 1.5  # times its TTFT, and never less than
ANY_TTFT_S = 10.0
EASED = 1.0 + 1e-9  # a prediction meets the limit that is eased to it

Sharding = tuple[Phase, int, int, int, int, int]  # of one pool: phase, TP, PP, attention DP, expert TP and EP


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A plan for one row."""

    prefill: str  # label of the layout
    decode: str
    instances: tuple[int, int]
    gpus: int
    tokens_per_s_per_gpu: float  # expected
    band: bands.Range  # that holds it in 80 % of cases
    ftl_s: float
    ttl_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One row of the measured frontier, and the plans for it; None where nothing can be planned."""

    row: Row
    measured: float  # tokens/s per GPU that its plan is held against
    free: Promise | None
    within: Promise | None  # within layouts that were measured


def judge(rows: Iterable[Row], catalog: Catalog) -> tuple[list[Judged], list[tuple[Row, str]]]:
    """Plans for every row of the measured frontier, in the order of the file; rows without, and why.

    Runs of builds that were not ready are neither.
    """
    runs = gather.gather([row for row in rows if not row.colocated and not row.immature], catalog)
    missing = list(runs.missing)
    measured = tokens_per_s_per_gpu(runs.rows)
    against = held_against(runs.rows, measured)
    ttft, tpot = gather.predict(runs)
    seen = shardings(runs.rows)
    kept = [int(i) for i in np.flatnonzero(np.isfinite(against))]
    groups: dict[tuple[object, ...], list[int]] = {}
    for i in kept:
        groups.setdefault((runs.engines[i].name, *_group(runs.rows[i])), []).append(i)
    milp.load()
    found: dict[int, Judged] = {}
    for members in groups.values():
        most = int(max(runs.rows[i].gpus for i in members))
        try:
            swept = sweep.run(_question(runs, members[0], catalog, Limits(), most), most)
        except InputError as error:
            missing += [(runs.rows[i], str(error)) for i in members]
            continue
        few = _within(swept, seen[_place(runs.rows[members[0]])])
        for i in members:
            row = runs.rows[i]
            limits = Limits(
                ftl_s=EASED * max(row.ttft_s, float(ttft[i])), ttl_s=EASED * max(row.tpot_s, float(tpot[i]))
            )
            question = _question(runs, i, catalog, limits, int(row.gpus))
            found[i] = Judged(
                row=row,
                measured=float(against[i]),
                free=_best(question, swept),
                within=_best(question, few),
            )
    return [found[i] for i in sorted(found)], missing


def tokens_per_s_per_gpu(rows: Sequence[Row]) -> FloatArray:
    """Measured output tokens/s over all GPUs of each row; nan where TTFT or TPOT was not measured.

    From the rate of an open loop, else by Little's law. Shape ``(rows,)``.
    """
    steps = np.array([max(row.osl * row.length_mean - 1, 1.0) for row in rows])
    in_flight, rate, ttft, tpot, gpus = (
        np.array([getattr(row, name) for row in rows], dtype=float)
        for name in ("concurrency", "requests_per_s", "ttft_s", "tpot_s", "gpus")
    )
    closed = in_flight / (ttft + steps * tpot)
    per_s = np.where(np.isfinite(rate), np.where(np.isfinite(ttft + tpot), rate, np.nan), closed)
    return np.asarray(per_s * steps / gpus)


def held_against(rows: Sequence[Row], measured: FloatArray) -> FloatArray:
    """The best tokens/s per GPU beside each row; nan for a row that is not on the measured frontier.

    Arrays of shape ``(rows,)``.
    """
    ttft = np.array([row.ttft_s for row in rows])
    tpot = np.array([row.tpot_s for row in rows])
    groups = [_group(row) for row in rows]
    best = np.full(len(rows), np.nan)
    for i in np.flatnonzero(np.isfinite(measured)):
        same = np.array([group == groups[i] for group in groups])
        beside = same & (tpot <= SLOWER * tpot[i]) & (ttft <= max(ANY_TTFT_S, LATER * ttft[i]))
        top = float(np.nanmax(measured[beside]))
        if measured[i] >= NEAR * top:
            best[i] = top
    return best


def shardings(rows: Iterable[Row]) -> Mapping[tuple[str, str], frozenset[Sharding]]:
    """What splits of a system and engine ran: how the pools of either phase were sharded."""
    found: dict[tuple[str, str], set[Sharding]] = {}
    for row in rows:
        prefill = _sharding("prefill", row.prefill, row.prefill_pp)
        decode = _sharding("decode", row.decode, row.decode_pp)
        found.setdefault(_place(row), set()).update((prefill, decode))
    return {place: frozenset(ran) for place, ran in found.items()}


def report(found: Sequence[Judged], missing: Sequence[tuple[Row, str]], seconds: float) -> dict[str, Any]:
    """Plan over measured, as `validate --plans --json` prints it: plain data, no nan.

    ``above_band``: the plan's 80 % band lies above what was measured.
    """
    rows = [_line(one) for one in found]
    planned = [line for line in rows if line["ratio"] is not None]
    within = [line["within_measured_ratio"] for line in rows if line["within_measured_ratio"] is not None]
    above, below = (sum(line["band"] == side for line in planned) for side in ("above", "below"))
    return {
        "plans": {
            "n": len(planned),
            "median_ratio": float(np.median([line["ratio"] for line in planned])) if planned else None,
            "within_measured_ratio": float(np.median(within)) if within else None,
            "inside_band": len(planned) - above - below,
            "above_band": above,
            "below_band": below,
        },
        "rows": rows,
        "missing": [{"id": row.id, "why": why} for row, why in missing],
        "seconds": seconds,
    }


def validate(rows: Iterable[Row], catalog: Catalog) -> dict[str, Any]:
    """`report` of the rows of a file."""
    begin = time.perf_counter()
    found, missing = judge(rows, catalog)
    return report(found, missing, time.perf_counter() - begin)


def _line(one: Judged) -> dict[str, Any]:
    row, free = one.row, one.free
    side = None
    if free is not None:
        low, high = free.band
        side = "above" if low > one.measured else "below" if high < one.measured else "inside"
    return {
        "id": row.id,
        "model": row.model,
        "system": row.system,
        "engine": row.engine,
        "formats": f"{row.gemm}/{row.moe}",
        "isl": row.isl,
        "osl": row.osl,
        "gpus": int(row.gpus),
        "ttft_s": row.ttft_s,
        "tpot_s": row.tpot_s,
        "measured_tokens_per_s_per_gpu": one.measured,
        "ratio": _ratio(free, one.measured),
        "band": side,
        "within_measured_ratio": _ratio(one.within, one.measured),
        "plan": _promise(free),
        "within_measured": _promise(one.within),
    }


def _ratio(plan: Promise | None, measured: float) -> float | None:
    return None if plan is None else plan.tokens_per_s_per_gpu / measured


def _promise(plan: Promise | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    return {
        "prefill": {"layout": plan.prefill, "instances": plan.instances[0]},
        "decode": {"layout": plan.decode, "instances": plan.instances[1]},
        "gpus": plan.gpus,
        "expected_tokens_per_s_per_gpu": plan.tokens_per_s_per_gpu,
        "tokens_per_s_per_gpu_band": list(plan.band),
        "ftl_s": plan.ftl_s,
        "ttl_s": plan.ttl_s,
    }


def _group(row: Row) -> tuple[object, ...]:
    return (row.model, row.system, row.engine, row.gemm, row.moe, row.isl, row.osl, *row.drafting)


def _place(row: Row) -> tuple[str, str]:
    return row.system, row.engine


def _sharding(phase: Phase, widths: Widths, pp: float) -> Sharding:
    tp, dp, moe_tp, moe_ep = (
        int(getattr(widths, name)) for name in ("tp", "attention_dp", "moe_tp", "moe_ep")
    )
    return phase, tp, int(pp), dp, moe_tp, moe_ep


def _question(runs: Runs, i: int, catalog: Catalog, limits: Limits, gpus: int) -> Question:
    """What a user would ask who has the row's model, GPUs and limits, in the row's own formats."""
    row, engine = runs.rows[i], runs.engines[i]
    scenario = Scenario(
        model=row.model,
        system=row.system,
        engine=engine.name,
        traffic=Traffic(
            isl=(isl := round(row.isl * row.length_mean)),
            osl=max(round(row.osl * row.length_mean), 2),
            cached_share=min(row.shared_prefix / isl, 0.99),
        ),
        limits=limits,
        fleet=Fleet(gpus=gpus),
        mtp=row.mtp,
        mtp_acceptance=known_or_none(row.mtp_acceptance),
        draft_cost=known_or_none(row.draft_cost),
        memory_fraction=row.memory_fraction if np.isfinite(row.memory_fraction) else None,
    )
    question = prepare(scenario, catalog)
    pool = question.pools["decode"]
    ran = replace(pool.setup, precision=setup(row, catalog, engine).precision)
    return question.on(replace(pool, setup=ran)).remembering()


def _within(swept: Sweep, seen: frozenset[Sharding]) -> Sweep:
    """The points whose sharding was measured in their phase."""
    return replace(
        swept,
        prefill=swept.prefill.take(_measured(swept.prefill, seen)),
        decode=swept.decode.take(_measured(swept.decode, seen)),
        split_ftl_s=swept.split_ftl_s[_measured(swept.prefill, seen)],
    )


def _measured(points: Points, seen: frozenset[Sharding]) -> BoolArray:
    at = points.layouts
    table = zip(at.tp, at.pp, at.attention_dp, at.moe_tp, at.moe_ep, strict=True)
    ran = np.array([(points.phase, *map(int, layout)) in seen for layout in table], dtype=bool)
    return np.asarray(ran[points.layout])


def _best(question: Question, swept: Sweep) -> Promise | None:
    """The best split of the points that fit the question's GPUs and meet its limits."""
    gpus = question.scenario.fleet.gpus
    assert gpus is not None
    fits = swept.prefill.gpus <= gpus
    nothing = np.zeros(len(swept.colocated), dtype=bool)
    ours = replace(
        swept,
        prefill=swept.prefill.take(fits),
        decode=swept.decode.take(swept.decode.gpus <= gpus),
        colocated=swept.colocated.take(nothing),
    )
    ours = replace(ours, split_ftl_s=sweep.split_ftl_s(question, ours.prefill))
    limit_s = question.scenario.time_limit_s
    placed = Placed.of(question, ours)
    serving = judged(placed, solve.choose(placed, Deadline.after(limit_s)).disaggregated)
    return None if serving is None else _promised(serving)


def _promised(serving: Serving) -> Promise:
    per_gpu = serving.capacity_tokens_per_s_per_gpu
    low, high = serving.range or (1.0, 1.0)
    return Promise(
        prefill=serving.prefill.layout.label,
        decode=serving.decode.layout.label,
        instances=(serving.prefill.instances, serving.decode.instances),
        gpus=serving.gpus,
        tokens_per_s_per_gpu=serving.expected_tokens_per_s_per_gpu,
        band=(per_gpu * low, per_gpu * high),
        ftl_s=serving.ftl_s,
        ttl_s=serving.ttl_s,
    )
