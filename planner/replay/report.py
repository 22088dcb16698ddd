"""A replay as data and as text, and its requests as a table."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import InputError
from planner.output.as_json import clean, dumps
from planner.output.spelling import count, instances, named, percent
from planner.replay.fleet import Fleet, Options
from planner.replay.result import Result, spread
from planner.units import format_seconds, format_si, three_digits

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from planner.replay.plans import Proof, Started

ROWS = 16384  # of a table that become text at a time


def to_dict(result: Result, fleet: Fleet) -> dict[str, Any]:
    """The replay as plain data, SI units: what `replay --json` prints; an unknown number is None."""
    span = result.span_s
    finished = result.finished
    good = result.good
    came = result.arrival_s <= result.simulated_s  # of a replay that was stopped, the rest has not come yet
    prompts = int(result.isl[finished].sum())
    pools = [_pool(result, index, fleet) for index in range(len(fleet.pools))]
    document = {
        "requests": len(result),
        "finished": int(finished.sum()),
        "refused": result.refused,
        "seconds_simulated": result.simulated_s,
        "seconds": result.seconds,
        "events": result.events,
        "ftl_s": spread(result.ftl_s),
        "ttl_s": spread(result.ttl_s),
        "e2e_s": spread(result.e2e_s),
        "good_share": float(good[came].mean()) if came.any() else None,
        "goodput_requests_per_s": float(good.sum()) / span if span else None,
        "requests_per_s": float(finished.sum()) / span if span else None,
        "tokens_per_s": float(result.osl[finished].sum()) / span if span else None,
        "loaded_share": float(sum(use.loaded for use in result.instances)) / prompts if prompts else None,
        "cached_share": float(result.found[finished].sum()) / prompts if prompts else None,
        "evictions": result.evictions,
        "restarts": result.restarts,
        "utilisation": _by_phase(pools),
        "pools": pools,
        "encoders": _encoders(result, fleet),
        "gpu_hours": _gpu_seconds(result) / 3600.0,
        "routing": result.options.routing,
        "in_flight": result.options.in_flight,
        "seed": result.options.seed,
    }
    plain: dict[str, Any] = clean(document)
    return plain


def _pool(result: Result, index: int, fleet: Fleet) -> dict[str, Any]:
    """What the instances of a pool did, over the time that each had its GPUs."""
    kind = fleet.pools[index].kind
    uses = [use for use in result.instances if use.pool == index]
    up = sum(use.up_s for use in uses)
    decoding = sum(use.decode_s for use in uses)

    def total(name: str) -> float:
        return float(sum(getattr(use, name) for use in uses))

    decodes = kind.phase != "prefill"
    return {
        "phase": kind.phase,
        "layout": kind.label,
        "instances": fleet.pools[index].instances,
        "gpus_per_instance": kind.gpus,
        "busy_share": total("busy_s") / up if up else None,
        "places": kind.slots if decodes else None,
        "places_share": total("sequence_s") / up / kind.slots if decodes and up else None,
        "batch": total("sequence_s") / decoding if decodes and decoding else None,
        "prompts": total("prompts"),
        "tokens": total("tokens"),
    }


def _gpu_seconds(result: Result) -> float:
    of_instances = sum(use.up_s * use.gpus for use in result.instances)
    return of_instances + sum(use.up_s * use.gpus for use in result.encoders)


def _encoders(result: Result, fleet: Fleet) -> dict[str, Any] | None:
    """What a pool of encoders did; None where there is none."""
    if fleet.encoding is None:
        return None
    uses = result.encoders
    up, passes, requests = (
        sum(getattr(use, name) for use in uses) for name in ("up_s", "passes", "requests")
    )
    return {
        "instances": fleet.encoding.instances,
        "gpus_per_instance": fleet.encoding.gpus,
        "busy_share": sum(use.busy_s for use in uses) / up if up else None,
        "requests": requests,
        "passes": passes,
        "batch": requests / passes if passes else None,
        "most_batch": len(fleet.encoding.pass_s),
    }


def _by_phase(pools: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Of prefill the share of time at work, of the others the share of places in use."""
    found: dict[str, list[float]] = {}
    for pool in pools:
        share = pool["busy_share"] if pool["phase"] == "prefill" else pool["places_share"]
        if share is not None:
            found.setdefault(pool["phase"], []).append(share)
    return {phase: float(np.mean(shares)) for phase, shares in found.items()}


def to_json(result: Result, fleet: Fleet, more: Mapping[str, Any] | None = None) -> str:
    """`to_dict` as text, with `more` beside it."""
    return dumps({**to_dict(result, fleet), **(more or {})})


def headline(of: Proof | Started) -> str:
    """What is replayed and how much came, which the plan's own rate is not where nothing asks for one.

    `plan: 32 × TP2, 64 GPUs; 24.5 req/s came, 86 % of its capacity: no rate is asked for`.
    """
    serving = of.serving
    pools = " + ".join(instances(pool) for pool in serving.pools)
    if (encoder := serving.encoder) is not None and encoder.instances:
        pools = f"{count(encoder.instances, 'encoder')} + {pools}"
    share = ""
    if of.unsaid:
        used = percent(of.requests_per_s / serving.capacity_requests_per_s)
        share = f", {used} of its capacity: no rate is asked for"
    return f"plan: {pools}, {count(serving.gpus, 'GPU')}; {of.requests_per_s:.3g} req/s came{share}"


def to_text(result: Result, fleet: Fleet, planned: Mapping[str, Mapping[str, float]] | None = None) -> str:
    """The replay for people; what was `planned` of ftl_s, ttl_s and e2e_s stands under each."""
    found, options = to_dict(result, fleet), result.options
    loop = f", {options.in_flight:,} in flight" if options.in_flight else ""
    lines = [
        f"{count(found['finished'], 'request')} of {found['requests']:,} ended in "
        f"{_long(result.simulated_s)} of service,",
        f"replayed in {format_seconds(max(result.seconds, 1e-6))}"
        f" ({options.routing} routing{loop}, seed {options.seed})",
        "",
    ]
    lines += _latencies(found, options, planned or {}) if found["finished"] else [_nothing(result), ""]
    if found["requests_per_s"]:
        lines.append(
            f"served {three_digits(found['requests_per_s'])} req/s and "
            f"{format_si(found['tokens_per_s'], 'tok/s')}; within both limits "
            f"{percent(found['good_share'])}, {three_digits(found['goodput_requests_per_s'])} req/s"
        )
    if found["encoders"]:
        lines.append(_encoder_line(found["encoders"]))
    lines += [_pool_line(pool) for pool in found["pools"]]
    for number, what in (
        (result.refused, "longer than any instance has room for: refused"),
        (len(result) - found["finished"] - result.refused, "left without an end"),
        (result.restarts, "started over as their instance failed"),
        (result.evictions, "started over as a cache was full"),
    ):
        if number:
            lines.append(f"{count(number, 'request')} {what}")
    if found["cached_share"]:
        host = f", {percent(found['loaded_share'])} in the host's memory" if found["loaded_share"] else ""
        lines.append(f"{percent(found['cached_share'])} of all prompt tokens were found in a cache{host}")
    return "\n".join(lines)


def _latencies(
    found: Mapping[str, Any], options: Options, planned: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """The table of latencies, an empty line behind it."""
    each = ("mean", "p50", "p90", "p95", "p99")
    lines = [f"{'':12}" + "".join(f"{name:>10}" for name in ("mean", "P50", "P90", "P95", "P99", "limit"))]
    for name, key, limit in (
        ("FTL (TTFT)", "ftl_s", options.ftl_limit_s),
        ("TTL (TPOT)", "ttl_s", options.ttl_limit_s),
        ("end to end", "e2e_s", float("inf")),
    ):
        cells = [_seconds(found[key][p]) for p in each]
        lines.append(f"{name:12}" + "".join(f"{c:>10}" for c in (*cells, _seconds(limit))))
        if key in planned:
            cells = [_seconds(planned[key][p]) for p in each]
            lines.append(f"{'  planned':12}" + "".join(f"{c:>10}" for c in cells))
    return [*lines, ""]


def _nothing(result: Result) -> str:
    """Why there are no latencies to tell."""
    refused = len(result) > 0 and result.refused == len(result)
    why = "no instance has room for any of them" if refused else "none of them ended"
    return f"nothing is measured of {count(len(result), 'request')}: {why}"


def _encoder_line(of: Mapping[str, Any]) -> str:
    head = f"image encoder: {of['instances']} × {count(of['gpus_per_instance'], 'GPU')}"
    busy = f"at work {percent(of['busy_share'] or 0.0)} of the time"
    if not of["passes"]:
        return f"{head}, {busy}"
    most = count(of["most_batch"], "request")
    return f"{head}, {busy}, images of {three_digits(of['batch'])} of {most} a pass"


def _pool_line(pool: Mapping[str, Any]) -> str:
    head = f"{named(pool['phase'])}: {pool['instances']} × {pool['layout'] or 'instance'}"
    busy = f"at work {percent(pool['busy_share'] or 0.0)} of the time"
    if pool["places"] is None or pool["batch"] is None:
        return f"{head}, {busy}"
    return f"{head}, {busy}, {three_digits(pool['batch'])} sequences of {pool['places']:,} places"


def _seconds(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else format_seconds(value)


def _long(seconds: float) -> str:
    if seconds < 120:
        return format_seconds(max(seconds, 1e-6))
    return f"{three_digits(seconds / 60)} min" if seconds < 7200 else f"{three_digits(seconds / 3600)} h"


def columns(result: Result) -> dict[str, npt.NDArray[Any]]:
    """The table of requests: what `--out` writes, one array per column."""
    return {
        "arrival_s": result.arrival_s,
        "isl": result.isl,
        "osl": result.osl,
        "ftl_s": result.ftl_s,
        "ttl_s": result.ttl_s,
        "e2e_s": result.e2e_s,
        "prefill_instance": np.maximum(result.entry, -1),
        "decode_instance": result.decode,
        "cached_tokens": result.found,
        "computed_tokens": result.computed,
    }


def table(result: Result, path: Path) -> bytes:
    """The requests as the file's name says: .csv or .parquet.

    Raises InputError for another name, or where Parquet's library is missing.
    """
    if path.suffix == ".parquet":
        return _parquet(result)
    if path.suffix == ".csv":
        return _csv(result)
    raise InputError("out", str(path), "a name that ends in .csv or .parquet")


def _csv(result: Result) -> bytes:
    found = columns(result)
    text = io.StringIO()
    text.write(",".join(("request", *found)) + "\n")
    for start in range(0, len(result), ROWS):
        part = [values[start : start + ROWS].tolist() for values in found.values()]
        for number, row in enumerate(zip(*part, strict=True), start):
            cells = (
                str(value) if isinstance(value, int) else "" if value != value else f"{value:.9g}"
                for value in row
            )
            text.write(f"{number},{','.join(cells)}\n")
    return text.getvalue().encode()


def _parquet(result: Result) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError("out", "parquet", "a .csv, or pip install 'ratematch[traces]' first") from None
    sink = io.BytesIO()
    pq.write_table(pa.table(columns(result)), sink)
    return sink.getvalue()
