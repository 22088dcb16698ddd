"""`deployment.toml`: what was exported, in the columns of a file of measured runs, and what is predicted.

`ratematch validate` reads it beside a result file of a benchmark, which does not say what it measured.
"""

from __future__ import annotations

from typing import Any

from planner.output.deploy import bench
from planner.output.deploy.parts import Subject
from planner.planning.result import PoolPlan

FILE = "deployment.toml"


def record(of: Subject) -> str:
    """The text of the file."""
    import tomli_w

    document: dict[str, Any] = {
        "schema": 1,
        "name": of.options.name,
        "target": of.target,
        "run": run(of),
        "predicted": predicted(of),
    }
    if _mixed(of):
        document["pools"] = [
            {
                "phase": pool.phase,
                "layout": pool.layout.label,
                "instances": pool.instances,
                "max_batch": pool.max_batch,
            }
            for pool in of.serving.pools
        ]
    return tomli_w.dumps(document)


def _mixed(of: Subject) -> bool:
    """Whether its pools are more than a row of measured runs has columns for: a mix of layouts or ways."""
    return tuple(pool.phase for pool in of.serving.pools) not in (("prefill", "decode"), ("colocated",))


def run(of: Subject) -> dict[str, Any]:
    """The deployment as columns of `planner.evidence.runs`; what is measured is not among them.

    Those of its layouts are not there for a mix, whose pools are told beside them.
    """
    plan, scenario = of.plan, of.scenario
    first, then = of.serving.pools[0], of.serving.pools[-1]
    formats = plan.precision
    found: dict[str, Any] = {} if _mixed(of) else {"mode": "disaggregated" if of.split else "colocated"}
    found |= {
        "model": scenario.model,
        "system": scenario.system,
        "engine": scenario.engine,
        "engine_versions": of.table.version,
    }
    if formats:
        found |= {"gemm_dtype": formats.weights, "moe_dtype": formats.experts or formats.weights}
    found |= {"isl": scenario.traffic.isl, "osl": scenario.traffic.osl}
    if not _mixed(of):
        found |= _layouts(of, first, then)
    if prefix := bench.prefix_tokens(of):
        found["shared_prefix"] = prefix
    if scenario.mtp:
        found["mtp"] = scenario.mtp
    if plan.drafts:
        found["mtp_acceptance"] = plan.drafts.acceptance
    return found


def _layouts(of: Subject, first: PoolPlan, then: PoolPlan) -> dict[str, Any]:
    """The columns of the one layout of each pool."""
    if of.split:
        found: dict[str, Any] = _widths(first, "prefill_") | _widths(then, "decode_")
    else:
        found = _widths(then, "") | {"prefill_workers": then.instances, "decode_workers": then.instances}
    found |= {"max_batch": then.max_batch, "memory_fraction": round(then.memory_fraction, 4)}
    if of.split:
        found["max_batched_tokens"] = first.max_batched_tokens
    elif first.mode == "piggyback":
        found["max_batched_tokens"] = first.chunk_tokens
    return found


def _widths(pool: PoolPlan, prefix: str) -> dict[str, int]:
    layout = pool.layout
    found = {
        f"{prefix}tp": layout.tp,
        f"{prefix}pp": layout.pp,
        f"{prefix}attention_dp": layout.attention_dp,
        f"{prefix}moe_tp": layout.moe_tp,
        f"{prefix}moe_ep": layout.ep,
    }
    return {f"{prefix}workers": pool.instances, **found} if prefix else found


def predicted(of: Subject) -> dict[str, float]:
    """What the plan says of its own load: without waits at the batch limit, which `validate` counts too."""
    serving, load = of.serving, of.serving.load
    osl = of.scenario.traffic.osl
    ftl, ttl = (load.ftl_s, load.ttl_s) if load else (serving.ftl_s, serving.ttl_s)
    rate = load.requests_per_s if load else serving.requests_per_s
    found = {"ttft_ms": 1e3 * ftl, "tpot_ms": 1e3 * ttl, "output_tokens_per_s": rate * osl}
    if load:
        found["concurrency"] = load.requests_in_flight
    return found
