"""A plan as data: JSON for programs, CSV of the frontier for spreadsheets. SI units."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from planner.inputs.fields import FIELDS
from planner.output import encoder_words, fleets, goodput
from planner.output.as_json import clean, counts, dumps
from planner.output.below import below_data
from planner.output.limits import MayMeet, may_meet
from planner.output.loss_words import survival_data
from planner.output.notes import notes
from planner.output.reasons import change_text, reason_text
from planner.output.verdict import found_of
from planner.output.words import (
    capacity_range,
    served_range,
    tokens_factors,
    usd_of_all_tokens,
)
from planner.planning.bands import SHARE

if TYPE_CHECKING:
    from planner.inputs.scenario import Scenario
    from planner.planning.bands import Band
    from planner.planning.result import Frontier, Infeasible, Plan, PoolPlan, Serving

SERVED = "requests_per_s_per_gpu"  # of a frontier that is drawn as goodput
CSV_COLUMNS = (
    "kind",
    "tokens_per_s_per_user",
    "tokens_per_s_per_gpu",
    "ctx_gen_ratio",
    "gpus",
    "prefill",
    "decode",
)


def to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, SI units: what `plan --json` prints.

    Every value is valid JSON: an infinite or undefined number is None, and so is a way of serving
    that does not exist ("disaggregated", "colocated", "mix") and "infeasible" where a plan was found.
    """
    from planner.output.deploy.write import flags

    serving = plan.deployed
    document = {
        "status": plan.status,
        "choice": plan.way or None,
        "verdict": found_of(plan) or None,
        "scenario": {field.key: field.get(plan.scenario) for field in FIELDS},
        "disaggregated": plan.disaggregated and _split(plan, plan.disaggregated),
        "colocated": plan.colocated and _colocated(plan, plan.colocated),
        "robust": _robust(plan),
        "within_measured": _within_measured(plan),
        "survival": survival_data(plan),
        "short_of_demand": plan.short_of_demand,
        "may_meet": [_may_meet(one) for one in may_meet(plan)],
        "mix": plan.mix and {"gain": plan.mix.gain, **_serving(plan.scenario, plan.mix.serving, pools=True)},
        **({"frontier_counts": goodput.REQUESTS} if plan.scenario.frontier == "goodput" else {}),
        "frontier": {
            "disaggregated": _points(plan.frontier_disaggregated, plan.scenario),
            "colocated": _points(plan.frontier_colocated, plan.scenario),
        },
        "below_frontier": below_data(plan),
        "design_points": dict(plan.design_points),
        "seconds": dict(plan.seconds),
        "infeasible": plan.infeasible and _infeasible(plan.scenario, plan.infeasible),
        "notes": notes(plan),
        "precision": plan.precision
        and {
            "weights": plan.precision.weights,
            "experts": plan.precision.experts,
            "kv": plan.precision.kv,
            "kv_bytes_per_token": plan.precision.kv_bytes_per_token,
        },
        "drafts": plan.drafts
        and {
            "tokens": plan.drafts.tokens,
            "acceptance": plan.drafts.acceptance,
            "tokens_per_step": plan.drafts.tokens_per_step,
            "source": plan.drafts.source or "assumed",
        },
        "engine": plan.engine and {"name": plan.engine.name, "version": plan.engine.version or None},
        "pools": [_deployed(pool) for pool in (serving.pools if serving else ())],
        "deploy": flags(plan),
        "load": serving and _load(serving),
        "bands": {
            "share": SHARE,
            **{mode: {"level": band.level, "rows": band.rows} for mode, band in plan.bands.items()},
        },
    }
    if plan.not_read:  # of an imported model: a plan of any other has no such key
        document["model"] = {"name": plan.scenario.model, "not_read": list(plan.not_read)}
    if plan.alone:  # of a fleet of several systems
        document["fleet"] = fleets.as_data(plan)
    if serving is not None and serving.encoder is not None:  # of requests with images
        document["encoder"] = encoder_words.as_data(plan, serving.encoder)
    if plan.one_more:  # of caps on what all GPUs take
        document["one_more"] = [
            {"cap": one.field, "rise": one.rise, "gain": one.gain, "yardstick": one.value}
            for one in plan.one_more
        ]
    if plan.caches is not None:  # of a trace whose prompts share prefixes
        document["caches"] = asdict(plan.caches)
    plain: dict[str, Any] = clean(document)
    return plain


def to_json(plan: Plan, *, indent: int | None = 2) -> str:
    """`to_dict` as text. Never contains NaN or Infinity, which JSON has not."""
    return dumps(to_dict(plan), indent=indent)


def to_csv(plan: Plan) -> str:
    """Both frontiers, one row per point, with a header; six digits, empty where a column has no meaning."""
    out = io.StringIO()
    more = ("systems",) if plan.alone else ()
    served = (SERVED,) if plan.scenario.frontier == "goodput" else ()
    columns = (*CSV_COLUMNS, *more, *served)
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for kind in ("disaggregated", "colocated"):
        frontier = plan.frontier_disaggregated if kind == "disaggregated" else plan.frontier_colocated
        for point in clean(_points(frontier, plan.scenario)):
            shown = {
                key: f"{value:.6g}" if isinstance(value, float) else value for key, value in point.items()
            }
            writer.writerow({"kind": kind, **shown})
    return out.getvalue()


def _infeasible(scenario: Scenario, why: Infeasible) -> dict[str, Any]:
    reasons = [{"limit": r.limit, "points": r.points, "text": reason_text(scenario, r)} for r in why.reasons]
    relax = [{"field": c.field, "value": c.value, "text": change_text(scenario, c)} for c in why.relax]
    return {"reasons": reasons, "relax": relax}


def _split(plan: Plan, serving: Serving) -> dict[str, Any]:
    pools = {"prefill": _pool(serving.prefill), "decode": _pool(serving.decode)}
    banded = _banded(plan.scenario, serving, plan.bands.get("disaggregated"))
    return {**pools, **_serving(plan.scenario, serving), **banded}


def _colocated(plan: Plan, serving: Serving) -> dict[str, Any]:
    """One pool: its fields stand beside the totals, and once more under "pool"."""
    pool = _pool(serving.colocated)
    banded = _banded(plan.scenario, serving, plan.bands.get("colocated"))
    return {**pool, **_serving(plan.scenario, serving), "pool": pool, **banded}


def _load(serving: Serving) -> dict[str, Any] | None:
    """What requests see when many are in flight, means with queues; None for a mix of layouts."""
    load = serving.load
    if load is None:
        return None
    queued = load.queued
    percentiles = {
        "ftl_s": {"mean": load.ftl_s} if queued is None else asdict(queued.ftl),
        "ttl_s": {"mean": load.ttl_s} if queued is None else asdict(queued.ttl),
    }
    if queued is not None:
        percentiles["e2e_s"] = asdict(queued.e2e)
    told: dict[str, Any] = {}
    if queued is not None:
        told = {"routing": queued.routing, "breaks_at_utilisation": queued.breaks_at}
        told |= {"fragile": queued.fragile, "sure": queued.sure}
        if queued.replayed is not None:  # else its percentiles are of closed forms
            told["replayed"] = asdict(queued.replayed)
    return {
        "arrivals": "closed" if queued is None else queued.arrivals,
        **told,
        "requests_in_flight": load.requests_in_flight,
        "requests_per_s": load.requests_per_s,
        "utilisation": {
            pool.phase: pool.utilisation * load.requests_per_s / serving.requests_per_s
            for pool in serving.pools
        },
        "alone": {"ftl_s": load.alone_ftl_s},
        **percentiles,
    }


def _serving(scenario: Scenario, serving: Serving, *, pools: bool = False) -> dict[str, Any]:
    listed = {"pools": [_pool(pool) for pool in serving.pools]} if pools else {}
    return {
        **listed,
        "gpus": serving.gpus,
        "ctx_gen_ratio": serving.ctx_gen_ratio,
        "requests_per_s": serving.requests_per_s,
        "tokens_per_s_per_gpu": serving.tokens_per_s_per_gpu,
        "tokens_per_s_per_user": serving.tokens_per_s_per_user,
        "ftl_s": serving.ftl_s,
        "ttl_s": serving.ttl_s,
        "load": _load(serving),
        "kv_egress_bytes_per_s_per_gpu": serving.kv_egress_bytes_per_s_per_gpu,
        "kv_ingress_bytes_per_s_per_gpu": serving.kv_ingress_bytes_per_s_per_gpu,
        "kv_transfer_s": serving.kv_transfer_s,
        "expected_requests_per_s": serving.expected_requests_per_s,
        "expected_tokens_per_s_per_gpu": serving.expected_tokens_per_s_per_gpu,
        "knee": serving.knee and {"best_ftl_s": serving.knee.best_ftl_s, "costs": serving.knee.costs},
        "usd_per_million_tokens": serving.usd_per_million_tokens,
        "usd_per_million_output_tokens": serving.usd_per_million_tokens,
        "usd_per_million_input_output_tokens": usd_of_all_tokens(scenario, serving),
        "capacity_requests_per_s": serving.capacity_requests_per_s,
        "capacity_tokens_per_s_per_gpu": serving.capacity_tokens_per_s_per_gpu,
        "watts": serving.watts,
        "power": _power(serving),
        "solver": {
            "status": serving.solver.status,
            "gap": serving.solver.gap,
            "seconds": serving.solver.seconds,
        },
    }


def _power(serving: Serving) -> dict[str, Any] | None:
    """Watts of the boards at the load, idle and at capacity; `watts` beside it is all-in and as rated."""
    power = serving.power
    if power is None:
        return None
    return {
        "gpu_watts": power.watts,
        "gpu_watts_idle": power.idle_watts,
        "gpu_watts_busy": power.busy_watts,
        "joules_per_output_token": power.joules_per_token,
        "rated_watts": serving.watts,
        "pools": [
            {
                "phase": pool.phase,
                "watts_per_gpu": pool.watts,
                "watts_per_gpu_idle": pool.idle_watts,
                "watts_per_gpu_busy": pool.busy_watts,
            }
            for pool in power.pools
        ],
    }


def _robust(plan: Plan) -> dict[str, Any] | None:
    """The counts of the split against those of the study's match, which takes rates as known."""
    study, split = plan.study, plan.disaggregated
    if study is None or split is None:
        return None
    return {
        "on": plan.scenario.robust,
        "counts": counts(split.pools),
        "expected_requests_per_s": split.expected_requests_per_s,
        "paper": {
            "counts": counts(study.pools),
            "gpus": study.gpus,
            "ftl_s": study.ftl_s,
            "requests_per_s": study.requests_per_s,
            "expected_requests_per_s": study.expected_requests_per_s,
        },
    }


def _within_measured(plan: Plan) -> dict[str, Any] | None:
    """The best plan of layouts that were measured; None where nothing is known or meets the limits."""
    best = plan.within_measured
    if best is None or not best.choice:
        return None
    return {
        "is_best": best.is_best,
        "choice": best.choice,
        "counts": counts(best.pools),
        "gpus": best.gpus,
        "requests_per_s": best.requests_per_s,
        "tokens_per_s_per_gpu": best.tokens_per_s_per_gpu,
        "expected_tokens_per_s_per_gpu": best.expected_tokens_per_s_per_gpu,
        "ftl_s": best.ftl_s,
        "ttl_s": best.ttl_s,
    }


def _may_meet(one: MayMeet) -> dict[str, Any]:
    return {
        "choice": one.way,
        "layouts": one.layouts.split(" + "),
        "misses": list(one.misses),
        "ftl_s": one.ftl_s,
        "ttl_s": one.ttl_s,
        "gpus": one.gpus,
        "tokens_per_s_per_gpu": one.tokens_per_s_per_gpu,
    }


def _evidence(pool: PoolPlan) -> dict[str, Any]:
    """What a pool rests on, what the nearest runs have other, and the level of its error band."""
    known = pool.evidence
    return {
        "evidence": known and known.kind,
        "evidence_differs": list(known.differs) if known else [],
        "evidence_level": known and known.level,
    }


def _banded(scenario: Scenario, serving: Serving, band: Band | None) -> dict[str, list[float]]:
    """The ranges that hold 80 % of what was measured, beside the predictions; none without measurements."""
    if band is None:
        return {}
    latencies = {
        f"{key}_band": [getattr(serving, key) * factor for factor in factors]
        for key, factors in (
            ("ftl_s", band.ftl),
            ("ttl_s", band.ttl),
            ("tokens_per_s_per_user", band.throughput),
        )
    }
    return {
        **_drawn_band(scenario, serving, band),
        **latencies,
        "tokens_per_s_per_gpu_band": list(served_range(scenario, serving, band)),
        "capacity_tokens_per_s_per_gpu_band": list(capacity_range(serving, band)),
    }


def _drawn_band(scenario: Scenario, serving: Serving, band: Band) -> dict[str, list[float]]:
    power = serving.power
    if power is None:
        return {}
    joules = power.joules_range(tokens_factors(scenario, serving, band))
    return {"gpu_watts_band": list(power.watts_range), "joules_per_output_token_band": list(joules)}


def _pool(pool: PoolPlan) -> dict[str, Any]:
    layout, memory = pool.layout, pool.memory
    return {
        "phase": pool.phase,
        "layout": _layout(pool),
        "mode": pool.mode or None,
        "chunk_tokens": pool.chunk_tokens,
        "batch": pool.batch,
        "gpus_per_instance": layout.gpus,
        "instances": pool.instances,
        "gpus": pool.gpus,
        **_evidence(pool),
        "ftl_s": pool.ftl_s,
        "ttl_s": pool.ttl_s,
        "requests_per_s": pool.requests_per_s,
        "utilisation": pool.utilisation,
        "memory": {
            "weights_bytes": memory.weights_bytes,
            "kv_bytes": memory.kv_bytes,
            "kv_pool_bytes": memory.pool_bytes,
            "activation_bytes": memory.activation_bytes,
            "reserve_bytes": memory.reserve_bytes,
            "capacity_bytes": memory.capacity_bytes,
            "used_share": memory.used_share,
        },
        "breakdown": [{"name": o.name, "seconds": o.seconds, "light_s": o.light_s} for o in pool.breakdown],
    }


def _deployed(pool: PoolPlan) -> dict[str, Any]:
    """What a deployment of a pool is set to."""
    return {
        "phase": pool.phase,
        "system": pool.system,
        "layout": _layout(pool),
        "instances": pool.instances,
        "gpus": pool.gpus,
        **_evidence(pool),
        "max_batch": pool.max_batch,
        "max_batched_tokens": pool.max_batched_tokens,
        "memory_fraction": pool.memory_fraction,
        "expert_slots": pool.expert_slots or None,
        "exchange": pool.exchange if pool.layout.attention_dp > 1 and pool.expert_slots else None,
        "two_batches": pool.two_batches,
        "link_bytes_per_s": pool.link_bytes_per_s,
        "domain_gpus": pool.domain_gpus or None,
    }


def _layout(pool: PoolPlan) -> dict[str, Any]:
    layout = pool.layout
    return {
        "tp": layout.tp,
        "pp": layout.pp,
        "ep": layout.ep,
        "attention_dp": layout.attention_dp,
        "moe_tp": layout.moe_tp,
        "label": layout.label,
    }


def _points(frontier: Frontier, scenario: Scenario) -> list[dict[str, Any]]:
    columns = (
        frontier.tokens_per_s_per_user.tolist(),
        frontier.tokens_per_s_per_gpu.tolist(),
        frontier.ctx_gen_ratio.tolist(),
        frontier.gpus.tolist(),
        frontier.prefill,
        frontier.decode,
    )
    rows = [dict(zip(CSV_COLUMNS[1:], row, strict=True)) for row in zip(*columns, strict=True)]
    for row, systems in zip(rows, frontier.systems, strict=False):  # of a fleet of several alone
        row["systems"] = " + ".join(systems)
    if scenario.frontier == "goodput":
        for row in rows:
            row[SERVED] = row["tokens_per_s_per_gpu"] / goodput.tokens_of_one(scenario)
    return rows
