"""The columns of a study's dataset: what a row says of one scenario, in SI units (docs/studies.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from planner.inputs.fields import FIELDS
from planner.inputs.scenario import Scenario
from planner.output.reasons import reason_text
from planner.output.words import served_range
from planner.planning.bands import Band
from planner.planning.result import PoolPlan, Serving
from planner.planning.several import Answer, Refused
from planner.words import Phase

SCHEMA = 1  # of the dataset: columns are added, never renamed
ColumnType: TypeAlias = Literal["integer", "number", "text", "flag"]
Group: TypeAlias = Literal["input", "verdict", "chosen", "split", "colocated", "measured"]
GROUPS: tuple[Group, ...] = ("chosen", "split", "colocated", "measured")  # that a study may keep or leave out
DEFAULT_GROUPS: tuple[Group, ...] = ("chosen", "split", "colocated")
NO_PLAN, FAILED = "none", "failed"  # verdicts of rows without a plan
VERDICTS = ("split", "tie", "colocated", NO_PLAN, FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column; `of` reads it from an answer and gives None where it says nothing."""

    name: str
    group: Group
    type: ColumnType
    text: str  # what it means, with its unit
    of: Callable[[Answer], Any]


def _inputs() -> list[Column]:
    """What was asked: one column for each field of a scenario, named as in a scenario file."""
    kinds: Mapping[str, ColumnType] = {"choice": "text", "layout": "text", "file": "text", "switch": "flag"}
    return [
        Column(
            name=field.key.replace("-", "_"),
            group="input",
            type=kinds.get(field.kind, "integer" if field.integer else "number"),
            text=_unit(field.kind, " or ".join(filter(None, (field.none, *field.words)))),
            of=_getter(field.get),
        )
        for field in FIELDS
    ]


def _getter(get: Callable[[Scenario], Any]) -> Callable[[Answer], Any]:
    return lambda answer: get(answer.scenario)


def _unit(kind: str, none: str) -> str:
    units = {"seconds": "seconds", "tokens": "tokens", "usd": "$ per GPU-hour", "rate": "requests/s"}
    text = f"as in a scenario file{', ' + units[kind] if kind in units else ''}"
    return f"{text}; empty: {none}" if none else text


def _of_way(
    get: Callable[[Answer], Serving | None], value: Callable[[Serving], Any]
) -> Callable[[Answer], Any]:
    def read(answer: Answer) -> Any:
        serving = get(answer)
        return None if serving is None else value(serving)

    return read


def _percentiles(
    of: Literal["ftl", "ttl"], name: str
) -> list[tuple[str, ColumnType, str, Callable[[Serving], Any]]]:
    """What requests see that come at their own time; empty where arrivals are steady."""

    def read(percentile: str) -> Callable[[Serving], Any]:
        def value(serving: Serving) -> Any:
            queued = serving.load and serving.load.queued
            return queued and getattr(queued.ftl if of == "ftl" else queued.ttl, percentile)

        return value

    return [
        (f"load_{of}_{p}_s", "number", f"{p.upper()} of {name} under load, seconds; empty: steady", read(p))
        for p in ("p50", "p90", "p95", "p99")
    ]


_SERVING: tuple[tuple[str, ColumnType, str, Callable[[Serving], Any]], ...] = (
    ("gpus", "integer", "GPUs in use, all pools", lambda s: s.gpus),
    ("requests_per_s", "number", "requests/s served", lambda s: s.requests_per_s),
    ("tokens_per_s_per_gpu", "number", "output tokens/s per GPU in use, as predicted",
     lambda s: s.tokens_per_s_per_gpu),
    ("expected_tokens_per_s_per_gpu", "number", "the same, errors considered",
     lambda s: s.expected_tokens_per_s_per_gpu),
    ("ftl_s", "number", "first token, no queue before it, seconds", lambda s: s.ftl_s),
    ("ttl_s", "number", "token to token, seconds", lambda s: s.ttl_s),
    ("usd_per_million_tokens", "number", "$ per million output tokens", lambda s: s.usd_per_million_tokens),
    ("watts", "number", "power of the GPUs in use, watts", lambda s: s.watts),
    ("load_ftl_s", "number", "mean first token under load, queues included, seconds",
     lambda s: s.load and s.load.ftl_s),
    ("load_ttl_s", "number", "mean token to token under load, seconds", lambda s: s.load and s.load.ttl_s),
    *_percentiles("ftl", "first token"),
    *_percentiles("ttl", "token to token"),
    ("requests_in_flight", "number", "requests in flight under that load",
     lambda s: s.load and s.load.requests_in_flight),
    ("load_sure", "flag", "closed forms are sure of these waits, which no replay has told; empty: steady",
     lambda s: s.queued and s.queued.sure),
)  # fmt: skip
_POOL: tuple[tuple[str, ColumnType, str, Callable[[PoolPlan], Any]], ...] = (
    ("layout", "text", "layout of an instance", lambda p: p.layout.label),
    ("instances", "integer", "instances", lambda p: p.instances),
    ("batch", "integer", "sequences in flight per instance", lambda p: p.batch),
    ("chunk_tokens", "integer", "prompt tokens per chunk; 0: no prompt work", lambda p: p.chunk_tokens),
    ("evidence", "text", "measured, neighbour or extrapolated", lambda p: p.evidence and p.evidence.kind),
)


def _servings(group: Group, get: Callable[[Answer], Serving | None]) -> list[Column]:
    return [
        Column(name=f"{group}_{name}", group=group, type=kind, text=text, of=_of_way(get, value))
        for name, kind, text, value in _SERVING
    ]


def _pools(prefix: str, group: Group, phase: Phase, get: Callable[[Answer], Serving | None]) -> list[Column]:
    """The first pool of a phase: a mix has more, a plain answer one."""

    def of(value: Callable[[PoolPlan], Any]) -> Callable[[Serving], Any]:
        def read(serving: Serving) -> Any:
            pool = next((pool for pool in serving.pools if pool.phase == phase), None)
            return None if pool is None else value(pool)

        return read

    return [
        Column(name=f"{prefix}_{name}", group=group, type=kind, text=text, of=_of_way(get, of(value)))
        for name, kind, text, value in _POOL
    ]


def _bands(
    group: Group, get: Callable[[Answer], Serving | None], band: Callable[[Answer], Band | None]
) -> list[Column]:
    def end(at: int) -> Callable[[Answer], Any]:
        def read(answer: Answer) -> Any:
            serving, known = get(answer), band(answer)
            if serving is None or known is None:
                return None
            return served_range(answer.scenario, serving, known)[at]

        return read

    name, text = f"{group}_tokens_per_s_per_gpu", "end of the range that holds it in 80 % of cases"
    return [
        Column(name=f"{name}_{side}", group=group, type="number", text=f"{side} {text}", of=end(at))
        for at, side in enumerate(("low", "high"))
    ]


def _split(answer: Answer) -> Serving | None:
    return answer.split


def _colocated(answer: Answer) -> Serving | None:
    return answer.colocated


def _chosen(answer: Answer) -> Serving | None:
    return answer.chosen


def _weakest(answer: Answer) -> str | None:
    """The least that the pools of the chosen way rest on."""
    kinds = [pool.evidence.kind for pool in (answer.chosen.pools if answer.chosen else ()) if pool.evidence]
    order = ("measured", "neighbour", "extrapolated")
    return max(kinds, key=order.index) if kinds else None


def _level(answer: Answer) -> str | None:
    band = answer.split_band if answer.found == "split" else answer.colocated_band
    return None if band is None else band.level


COLUMNS: tuple[Column, ...] = (
    *_inputs(),
    Column(name="verdict", group="verdict", type="text",
           text="split, colocated, or tie (a gain within its error); none: no plan meets the limits; failed",
           of=lambda a: a.found or NO_PLAN),
    Column(name="reason", group="verdict", type="text", text="why there is no plan, or what failed",
           of=lambda a: "; ".join(reason_text(a.scenario, reason) for reason in a.reasons) or None),
    Column(name="gain", group="verdict", type="number",
           text="expected split over co-located in what the goal counts; empty where one meets no limits",
           of=lambda a: a.gain),
    Column(name="gain_low", group="verdict", type="number", text="low end of the range that holds it in 80 %",
           of=lambda a: a.gain_range and a.gain_range[0]),
    Column(name="gain_high", group="verdict", type="number", text="high end of that range",
           of=lambda a: a.gain_range and a.gain_range[1]),
    Column(name="error_level", group="verdict", type="text",
           text="of model and system, how many were measured: both, one, neither", of=_level),
    Column(name="weights_used", group="verdict", type="text", text="format of the weights behind auto",
           of=lambda a: a.weights),
    Column(name="kv_used", group="verdict", type="text", text="format of the cache behind auto",
           of=lambda a: a.kv),
    Column(name="design_points", group="verdict", type="integer", text="design points that were compared",
           of=lambda a: a.design_points),
    Column(name="seconds", group="verdict", type="number",
           text="time it took; of those that share a sweep the first has it", of=lambda a: a.seconds),
    *_servings("chosen", _chosen),
    Column(name="chosen_evidence", group="chosen", type="text", text="the weakest of its pools", of=_weakest),
    *_servings("split", _split),
    *_bands("split", _split, lambda a: a.split_band),
    Column(name="split_ctx_gen_ratio", group="split", type="number", text="prefill GPUs over decode GPUs",
           of=_of_way(_split, lambda s: s.ctx_gen_ratio)),
    *_pools("split_prefill", "split", "prefill", _split),
    *_pools("split_decode", "split", "decode", _split),
    *_servings("colocated", _colocated),
    *_bands("colocated", _colocated, lambda a: a.colocated_band),
    *_pools("colocated_pool", "colocated", "colocated", _colocated),
    Column(name="colocated_batching", group="colocated", type="text", text="inflight or piggyback",
           of=_of_way(_colocated, lambda s: s.colocated.mode or None)),
    Column(name="measured_choice", group="measured", type="text",
           text="the better way within layouts that were measured",
           of=lambda a: (a.within_measured and a.within_measured.choice) or None),
    Column(name="measured_tokens_per_s_per_gpu", group="measured", type="number",
           text="output tokens/s per GPU of that plan",
           of=lambda a: a.within_measured and a.within_measured.tokens_per_s_per_gpu),
)  # fmt: skip
NUMBER = "scenario"  # the first column of every dataset: the scenario's number in its study, from 0
BY_NAME: Mapping[str, Column] = {column.name: column for column in COLUMNS}


def kept(groups: tuple[str, ...]) -> tuple[Column, ...]:
    """The columns of a dataset that keeps some groups, in order; inputs and verdicts always."""
    return tuple(c for c in COLUMNS if c.group in ("input", "verdict") or c.group in groups)


def row(answer: Answer | Refused, columns: tuple[Column, ...]) -> tuple[Any, ...]:
    """One row; None where a column says nothing."""
    if isinstance(answer, Answer):
        return tuple(_plain(column, column.of(answer)) for column in columns)
    told = {"verdict": FAILED, "reason": answer.reason, "seconds": answer.seconds}
    known = {field.key.replace("-", "_"): field.get(answer.scenario) for field in FIELDS}
    return tuple(_plain(column, {**known, **told}.get(column.name)) for column in columns)


def _plain(column: Column, value: Any) -> Any:
    """As the dataset has it: no nan, and of the column's type."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, str) and column.type == "number":  # a word for what a preset says
        return None
    kinds: Mapping[ColumnType, Callable[[Any], Any]] = {
        "integer": round, "number": float, "text": str, "flag": bool,
    }  # fmt: skip
    return kinds[column.type](value)
