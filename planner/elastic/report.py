"""A plan over time as data, CSV and text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from planner.elastic.over_time import Outcome, OverTime
from planner.elastic.policies import POLICIES
from planner.elastic.proof import Replayed
from planner.elastic.purchase import Purchase
from planner.elastic.why import CALLED, clock, sentences
from planner.output.as_json import dumps
from planner.output.spelling import count
from planner.units import three_digits

Proofs = dict[tuple[str, str], Replayed]  # by policy and way


def data(found: OverTime, proofs: Proofs | None = None) -> dict[str, Any]:
    """Everything, SI units."""
    best = found.best if found.outcomes else None
    return {
        "trace": found.trace,
        "model": found.scenario.model,
        "system": found.scenario.system,
        "window_s": found.windows.window_s,
        "windows": len(found.windows),
        "requests": int(found.windows.requests.sum()),
        "within_windows_variation": found.windows.variation,
        "choice": best.way if best else None,
        "pools": {
            way: [
                {
                    "phase": kind.phase,
                    "layout": kind.label,
                    "gpus": kind.gpus,
                    "requests_per_s": kind.each_per_s,
                    "start_s": float(asked.costs.start_s[at]),
                    "drain_s": float(asked.costs.drain_s[at]),
                }
                for at, kind in enumerate(asked.pools.kinds)
            ]
            for way, asked in found.ways.items()
        },
        "chosen_by": "predicted" if found.too_small or not found.scenario.robust else "expected",
        "settled": {
            way: {"replays": told.replays, "windows_kept": told.kept} for way, told in found.settled.items()
        },
        "policies": [_policy(found, one, proofs or {}) for one in found.outcomes],
        "schedule": schedule(found, best) if best else [],
        "why": sentences(found),
        "gap": best.gap if best else None,
        "seconds": found.seconds,
    }


def _policy(found: OverTime, one: Outcome, proofs: Proofs) -> dict[str, Any]:
    proof = proofs.get((one.name, one.way))
    row: dict[str, Any] = {
        "name": one.name,
        "way": one.way,
        "gpu_hours": one.bill.gpu_hours,
        "windows_ok": int(one.ok.sum()),
        "windows": len(found.windows),
        "requests_within_limits": one.first_tokens.within_limits,
        "changes": one.bill.changes,
        "usd": one.bill.usd,
        "usd_per_million_tokens": 1e6 * one.bill.usd / max(found.output_tokens, 1.0),
        "ftl_p95_s": one.first_tokens.p95_s,
        "most_gpus": int(one.bill.gpus.max()),
        "objective": one.bill.objective,
        "gap": one.gap,
    }
    if one.bought is not None:
        row["bought"] = asdict(one.bought)
    if proof is not None:
        row["replayed"] = proof.data()
    return row


def _bought(bought: Purchase) -> str:
    """`cheapest bought: 12 GPUs reserved, 30 GPU h on demand, 40 as spot (2 taken back), 310 USD`."""
    parts = [
        f"{count(bought.reserved_gpus, 'GPU')} reserved",
        f"{bought.on_demand_gpu_hours:,.1f} GPU h on demand",
    ]
    if bought.spot_gpu_hours:
        parts.append(f"{bought.spot_gpu_hours:,.1f} as spot ({bought.interruptions:,.1f} taken back)")
    return f"cheapest bought: {', '.join(parts)}, {bought.usd:,.1f} USD"


def schedule(found: OverTime, one: Outcome) -> list[dict[str, Any]]:
    """A policy's instances from window to window."""
    windows, pools = found.windows, found.ways[one.way].pools
    return [
        {
            "from_s": at * windows.window_s,
            "requests": int(windows.requests[at]),
            "instances": {
                f"{kind.phase} {kind.label}": int(n)
                for kind, n in zip(pools.kinds, one.schedule.instances[at], strict=True)
            },
            "gpus": int(one.bill.gpus[at]),
            "ok": bool(one.ok[at]),
        }
        for at in range(len(windows))
    ]


def to_json(found: OverTime, proofs: Proofs | None = None) -> str:
    """`data` as text."""
    return dumps(data(found, proofs))


def to_csv(found: OverTime) -> str:
    """A row for each window of each policy."""
    lines = ["policy,way,from_s,requests,phase,layout,instances,instance_gpus,gpus_held,ok,start_s"]
    for one in found.outcomes:
        pools, windows = found.ways[one.way].pools, found.windows
        # how long before a window they start
        ahead = found.ways[one.way].costs.start_s * one.schedule.ahead
        for at in range(len(windows)):
            counts = one.schedule.instances[at].tolist()
            for kind, n, start_s in zip(pools.kinds, counts, ahead, strict=True):
                lines.append(
                    f"{one.name},{one.way},{at * windows.window_s:g},{windows.requests[at]},{kind.phase},"
                    f"{kind.label},{n},{kind.gpus},{one.bill.gpus[at]},{int(one.ok[at])},{start_s:g}"
                )
    return "\n".join(lines)


def to_text(found: OverTime, proofs: Proofs | None = None) -> str:
    """What it would save, what it would risk, how often it would change; then the table."""
    if not found.outcomes:
        return "no layout keeps the limits of any window"
    windows = found.windows
    head = (
        f"{found.scenario.model} on {found.scenario.system}: {int(windows.requests.sum()):,} requests in "
        f"{len(windows):,} window{'' if len(windows) == 1 else 's'} of {windows.window_s:g} s, "
        f"until {clock(windows.hours * 3600)}"
    )
    lines = [head, *sentences(found), ""]
    lines.append(
        f"{'policy':<16}{'serving':<12}{'GPU h':>9}{'USD':>10}{'windows ok':>13}{'requests ok':>13}"
        f"{'TTFT P95':>10}{'changes':>9}{'most GPUs':>11}"
    )
    for one in found.outcomes:
        ok = 100.0 * float(np.mean(one.ok))
        lines.append(
            f"{one.name:<16}{CALLED[one.way]:<12}"
            f"{three_digits(one.bill.gpu_hours):>9}{three_digits(one.bill.usd):>10}"
            f"{ok:>11.1f} %{100 * one.first_tokens.within_limits:>11.1f} %{one.first_tokens.p95_s:>8.2f} s"
            f"{one.bill.changes:>9,}{int(one.bill.gpus.max()):>11,}"
        )
        if one.bought is not None:
            lines.append(f"{'':<16}{_bought(one.bought)}")
        proof = (proofs or {}).get((one.name, one.way))
        if proof is not None:
            lines.append(f"{'':<16}{proof.sentence()}")
    lines += ["", *(f"{name:<16}{text}" for name, text in POLICIES.items())]
    return "\n".join(lines)
