"""Measured runs under an open load, as they are stated: how requests come, share prefixes and are routed.

A file of loads has the columns of `planner.evidence.runs` and

    routing                    round-robin or prefix-aware
    prefix_tokens, groups      so many prefixes, each the start of the prompts of its group
    prompts_per_group          prompts that come again and again; empty or 0: each comes once
    requests_file              of requests as they came: time_s, input_tokens, output_tokens
    ttft_p50_ms                more that was measured
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.arrays import FloatArray
from planner.evidence import csv_files, runs
from planner.evidence.csv_files import Range
from planner.evidence.runs import Row
from planner.inputs.requests import Requests, plain
from planner.replay.fleet import Rule

STAGE_S = 30.0  # of a ladder of rates, each; the public ones take 20 to 38 s
FEWEST, MOST = 200, 4000  # requests of a load
WARM_PER_S, REST_S = 15.0, 60.0  # all prompts once, or prefixes, at this rate, then nothing for so long
SATURATED = 5.0  # times the least P90 of a deployment: from the first rate with more on it is saturated

COUNTS = Range(low=0, high=1e6, whole=True, blank=0.0)
MILLISECONDS = Range(low=1e-3, high=1e9, blank=float("nan"))
ROUTINGS: dict[str, Rule] = {"": "round-robin", "round-robin": "round-robin", "prefix-aware": "prefix-aware"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One row: a deployment, what came, and what was measured."""

    row: Row
    source: str
    routing: Rule
    prefix_tokens: int
    groups: int
    prompts_per_group: int
    ttft_p50_s: float
    requests: Requests  # first those that warm the caches
    warm: int  # as many

    @property
    def deployment(self) -> tuple[object, ...]:
        """What tells one ladder of rates from another."""
        row = self.row
        return (row.model, row.system, row.isl, row.osl, row.decode, row.decode_workers, self.routing)


def read(path: Path) -> list[Load]:
    """Loads of a CSV file. Raises InputError naming file, line and column of what cannot be read."""
    table = runs.table(path, "requests_per_s")
    return [_load(path, table, index, row) for index, row in enumerate(runs.rows(table))]


def _load(path: Path, table: csv_files.Table, index: int, row: Row) -> Load:
    line = table.rows[index]

    def figure(column: str, within: Range) -> float:
        value = within.number(csv_files.plain(line.get(column, ""), column))
        if value is None:
            raise table.wrong(index, column, within.accepted)
        return value

    routing = ROUTINGS.get(line.get("routing", ""))
    if routing is None:
        raise table.wrong(index, "routing", "round-robin or prefix-aware")
    prefix, groups = int(figure("prefix_tokens", COUNTS)), int(figure("groups", COUNTS))
    each = int(figure("prompts_per_group", COUNTS))
    if prefix >= row.isl:
        raise table.wrong(index, "prefix_tokens", f"fewer than the prompt's {row.isl}")
    name = line.get("requests_file", "")
    if name and Path(name).name != name:
        raise table.wrong(index, "requests_file", "the name of a file in the folder requests beside")
    if name:
        made, warm = _recorded(path.parent / "requests" / name), 0
    else:
        made, warm = drawn(row, prefix, max(groups, 1), each)
    return Load(
        row=row,
        source=line.get("source", ""),
        routing=routing,
        prefix_tokens=prefix,
        groups=groups,
        prompts_per_group=each,
        ttft_p50_s=figure("ttft_p50_ms", MILLISECONDS) / 1e3,
        requests=made,
        warm=warm,
    )


def _recorded(path: Path) -> Requests:
    table = csv_files.read(path, ("time_s", "input_tokens", "output_tokens"))
    columns = []
    for name in ("time_s", "input_tokens", "output_tokens"):
        try:
            columns.append(np.array([float(line[name]) for line in table.rows]))
        except ValueError:
            raise table.wrong(0, name, "numbers") from None
    return plain(*columns)


def drawn(row: Row, prefix: int, groups: int, each: int, seed: int = 0) -> tuple[Requests, int]:
    """Requests of one rate, independent of each other, and how many before them warm the caches."""
    random = np.random.default_rng(seed)
    count = int(np.clip(row.requests_per_s * STAGE_S, FEWEST, MOST))
    warm = groups * max(each, 1) if prefix and groups > 1 else 0
    at = np.cumsum(random.exponential(1.0 / row.requests_per_s, count))
    arrival_s = np.concatenate(
        [np.arange(warm) / WARM_PER_S, at + (warm / WARM_PER_S + REST_S if warm else 0)]
    )
    total = warm + count
    load = plain(arrival_s, np.full(total, row.isl), np.full(total, max(row.osl, 2)))
    if not prefix:
        return load, warm
    size = int(np.gcd(prefix, row.isl)) if np.gcd(prefix, row.isl) >= 50 else 50
    group = np.concatenate([np.repeat(np.arange(groups), warm // groups), random.integers(0, groups, count)])
    fresh = np.arange(total) + groups * max(each, 1)
    again = np.concatenate(
        [np.tile(np.arange(warm // groups), groups), random.integers(0, max(each, 1), count)]
    )
    prompt = group * each + again if each else fresh
    blocks, common = row.isl // size, prefix // size
    place = np.arange(blocks)
    text = np.where(place < common, group[:, None], groups + prompt[:, None]) * blocks + place
    return Requests(
        arrival_s=load.arrival_s,
        isl=load.isl,
        osl=load.osl,
        session=load.session,
        block_start=np.arange(total + 1, dtype=np.int64) * blocks,
        blocks=text.ravel().astype(np.int64),
        block_tokens=size,
    ), warm


def saturated(loads: list[Load]) -> FloatArray:
    """1 of each load from the first rate on at which P90 is `SATURATED` times the least of its ladder.

    Of a deployment measured at one rate, 1 where P90 is more than a fifth of a whole request.
    """
    ladders = defaultdict(list)
    for index, load in enumerate(loads):
        ladders[load.deployment].append(index)
    found = np.zeros(len(loads))
    for members in ladders.values():
        members.sort(key=lambda index: loads[index].row.requests_per_s)
        p90 = np.array([loads[index].row.ttft_p90_s for index in members])
        over = p90 > SATURATED * np.nanmin(p90)
        if len(members) == 1:
            over = p90 > 0.2 * np.array([loads[members[0]].row.e2e_s])
        found[np.array(members)[np.cumsum(over) > 0]] = 1.0
    return found
