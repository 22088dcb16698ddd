"""Results of guidellm: its JSON, and both forms of its CSV, become the columns of measured runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from planner.evidence.results.columns import Record, leaves, number, text

# its CSV with a header of three lines (0.5 on): group and unit, to the name that its JSON has
_GROUPS: Mapping[tuple[str, str], str] = {
    ("time to first token", "ms"): "time_to_first_token_ms",
    ("time per output token", "ms"): "time_per_output_token_ms",
    ("inter token latency", "ms"): "inter_token_latency_ms",
    ("request latency", "sec"): "request_latency",
    ("server throughput", "requests/sec"): "requests_per_second",
    ("server throughput", "concurrency"): "request_concurrency",
    ("token metrics", "input tokens"): "prompt_token_count",
    ("token metrics", "output tokens"): "output_token_count",
    ("token throughput", "output tokens/sec"): "output_tokens_per_second",
}
# metrics of its JSON, the columns of their means, and what a value is multiplied by; the later stands above
METRICS: Sequence[tuple[str, str, float]] = (
    ("time_to_first_token_ms", "ttft_ms", 1.0),
    ("time_per_output_token_ms", "tpot_ms", 1.0),
    ("inter_token_latency_ms", "tpot_ms", 1.0),
    ("request_latency", "e2e_ms", 1e3),
    ("output_tokens_per_second", "output_tokens_per_s", 1.0),
    ("prompt_token_count", "isl", 1.0),
    ("output_token_count", "osl", 1.0),
    ("request_concurrency", "concurrency", 1.0),
)
_FLAT = re.compile(r"^successful (?P<metric>.+) (?P<what>mean|median|\[min.*\])$")
_PERCENTILES = {"p90": 7, "p99": 9}  # places in a list of min, 0.1, 1, 5, 10, 25, 75, 90, 95, 99, max
_STRATEGY = re.compile(r"^(?P<type>[a-z_]+)(@(?P<at>[\d.]+))?$")
OPEN = ("constant", "poisson")  # strategies that send at a rate, whatever comes back
TITLES = 3  # lines of the header of the later CSV


def columns(record: Record) -> dict[str, str]:
    """The columns of one benchmark: its successful requests."""
    metrics = record.get("metrics")
    metrics = metrics if isinstance(metrics, Mapping) else {}
    row: dict[str, str] = {}

    def put(column: str, metric: str, scale: float = 1.0, *path: str) -> None:
        of: Any = metrics.get(metric)
        for key in ("successful", *(path or ("mean",))):
            of = of.get(key) if isinstance(of, Mapping) else None
        value = number(of)
        if value > 0:
            row[column] = text(value * scale)

    for metric, column, scale in METRICS:
        put(column, metric, scale)
    put("ttft_p90_ms", "time_to_first_token_ms", 1.0, "percentiles", "p90")
    put("ttft_p99_ms", "time_to_first_token_ms", 1.0, "percentiles", "p99")
    put("requests", "time_to_first_token_ms", 1.0, "count")
    for column in ("isl", "osl"):
        if column in row:
            row[column] = text(max(round(number(row[column])), 1))
            row["lengths"] = "fixed"
    strategy = _strategy(record)
    if strategy.get("type_") in OPEN:
        put("requests_per_s", "requests_per_second")  # where the strategy does not say its rate
    for column, keys in (("concurrency", ("streams", "max_concurrency")), ("requests_per_s", ("rate",))):
        for key in keys:
            if number(strategy.get(key)) > 0:
                row[column] = text(number(strategy[key]))
    if strategy.get("type_") == "synchronous":
        row["concurrency"] = "1"
    for key, value in leaves({k: v for k, v in record.items() if k not in ("metrics", "requests")}):
        if key == "model" and isinstance(value, str) and value.strip():
            row.setdefault("model", value.strip())
    if "requests_per_s" in row:
        row.pop("concurrency", None)
    return row


def _strategy(record: Record) -> Mapping[str, Any]:
    """How the load of a benchmark was made: under `args`, `scheduler` or `config`, by the version."""
    for place in ("config", "scheduler", "args"):
        holder = record.get(place)
        found = holder.get("strategy") if isinstance(holder, Mapping) else None
        if isinstance(found, Mapping):
            return found
    return {}


def is_csv(lines: Sequence[Sequence[str]]) -> bool:
    """Whether lines of cells are of guidellm's CSV."""
    head = {cell.strip().lower() for cell in lines[0]}
    return "successful requests" in head or {"run info", "request counts"} <= head


def records(lines: Sequence[Sequence[str]]) -> list[Record]:
    """The benchmarks in lines of its CSV, one a line, as its JSON has them; short lines are filled up."""
    plain = [[cell.strip() for cell in line] for line in lines]
    if "run info" in map(str.lower, plain[0]):
        rows = plain[TITLES:]
        heads = [_titled(titles) for titles in zip(*plain[:TITLES], strict=False)] if rows else []
    else:
        heads, rows = [_flat(title) for title in plain[0]], plain[1:]
    return [_record(dict(zip(heads, row, strict=False))) for row in rows]


def _titled(titles: Sequence[str]) -> tuple[str, str]:
    """Metric and what of it, of a column with three titles; other columns by their group and name."""
    group, name, what = (title.lower() for title in titles)
    metric = _GROUPS.get((group, name.removeprefix("successful ")), "")
    return (metric, what) if metric and name.startswith("successful ") else (group, name)


def _flat(title: str) -> tuple[str, str]:
    """The same of a column with one title: `Successful Time to first token ms mean`."""
    found = _FLAT.match(title.lower())
    return (found["metric"].replace(" ", "_"), found["what"]) if found else ("", title.lower())


def _record(row: Mapping[tuple[str, str], str]) -> Record:
    metrics: dict[str, Any] = {}
    for (metric, what), cell in row.items():
        if not metric:
            continue
        kept = metrics.setdefault(metric, {"successful": {"percentiles": {}}})["successful"]
        if what in ("mean", "median"):
            kept[what] = cell
        elif what == "percentiles" or what.startswith("["):
            values = cell.strip("[] ").split(",")
            kept["percentiles"] = {key: values[at] for key, at in _PERCENTILES.items() if at < len(values)}
    told = {"strategy": dict(_told_strategy(row))}
    backend = _parsed(row.get(("run info", "backend")) or row.get(("", "worker")))
    return {"metrics": metrics, "config": told, "backend": backend}


def _told_strategy(row: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, object]]:
    """Type, streams and rate: of a name such as `concurrent@16.00`, of arguments, or of the whole profile."""
    if isinstance(args := _parsed(row.get(("", "args"))), Mapping) and isinstance(
        args.get("strategy"), Mapping
    ):
        yield from args["strategy"].items()
        return
    named = _STRATEGY.match((row.get(("benchmark", "strategy")) or row.get(("", "name")) or "").lower())
    if named is None:
        return
    yield "type_", named["type"]
    key = "rate" if named["type"] in OPEN else "streams"
    if named["at"] is not None:
        yield key, named["at"]
        return
    profile, at = _parsed(row.get(("run info", "profile"))), number(row.get(("run info", "run index")))
    values = profile.get(key) if isinstance(profile, Mapping) else None
    if isinstance(values, list) and 0 <= at < len(values):
        yield key, values[int(at)]
    elif not isinstance(values, list) and values is not None:
        yield key, values


def _parsed(cell: str | None) -> Any:
    try:
        return json.loads(cell or "null")
    except (ValueError, RecursionError):
        return None
