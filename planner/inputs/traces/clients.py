"""Rates of clients and the spread of lengths, from which requests are drawn: the shape of ServeGen's data.

One CSV has model, client, window_start_s, req_per_s and cv_interarrival; another the lengths: model,
window_start_s or "day", field (input_tokens, output_tokens) and quantiles in columns q1 to q99.9.
Each client draws gamma gaps of its own rate and variation in each window; few large clients with their own
bursts make other queues than one stream would. Source: github.com/alibaba/ServeGen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from planner.arrays import FloatArray
from planner.errors import unknown
from planner.inputs.traces import cells
from planner.inputs.traces.raw import Raw, Source

NAME = "client rates CSV"
COLUMNS = ("model", "client", "window_start_s", "req_per_s", "cv_interarrival")
MOST_REQUESTS = 5_000_000  # that are drawn at once
MOST_CV = 100.0


def recognises(columns: Mapping[str, str]) -> bool:
    """Whether a header is of this format; `columns` has its names in lower case, and as they stand."""
    return all(name in columns for name in COLUMNS)


def read(source: Source, columns: Mapping[str, str]) -> Raw:
    """Requests drawn from a file. Raises InputError for files that do not say enough, or too much."""
    kinds = {name: cells.text if name in ("model", "client") else cells.numbers for name in COLUMNS}
    found, unreadable = cells.csv_columns(source, {columns[name]: kind for name, kind in kinds.items()})
    models = found[columns["model"]].to_pylist()
    model = _model(source, sorted({name for name in models if name}))
    start_s, rate, cv = (found[columns[name]] for name in COLUMNS[2:])
    starts = np.unique(start_s[np.isfinite(start_s)])
    length_s = float(np.min(np.diff(starts))) if len(starts) > 1 else 600.0
    low = np.maximum(start_s, source.window.from_s)
    high = np.minimum(start_s + length_s, source.window.end_s)
    wanted = np.array([name == model for name in models]) & (rate > 0) & np.isfinite(rate) & (high > low)
    expected = float((rate * (high - low))[wanted].sum())
    if not 1 <= expected <= MOST_REQUESTS:
        raise source.wrong(
            f"from 1 to {MOST_REQUESTS:,} requests at once: this part has about {expected:,.0f}; "
            "`ratematch trace FILE --from TIME --for TIME --out PART` cuts another"
        )
    random = np.random.default_rng(source.seed)
    times = [
        low[row] + _renewal(random, float(rate[row]), _variation(cv[row]), float(high[row] - low[row]))
        for row in np.flatnonzero(wanted)
    ]
    time_s = np.sort(np.concatenate(times))
    grids = _grids(source, model)
    isl, osl = (_drawn(random, grids, name, time_s) for name in ("input_tokens", "output_tokens"))
    clients = len(
        {name for name, use in zip(found[columns["client"]].to_pylist(), wanted, strict=True) if use}
    )
    return Raw(
        time_s=time_s,
        isl=isl,
        osl=osl,
        unreadable=unreadable,
        notes=(f"{len(time_s):,} requests drawn from the rates of {clients} clients of {model}",),
    )


def _model(source: Source, models: list[str]) -> str:
    if source.model:
        if source.model not in models:
            raise unknown("model", source.model, models)
        return source.model
    if len(models) != 1:
        raise source.wrong(
            "requests of one model: `ratematch trace FILE --model NAME --out PART` takes those of one of "
            f"{', '.join(models)[:200]}"
        )
    return models[0]


def _variation(cv: float) -> float:
    """Poisson where it is not known, as for the sum of many small clients."""
    return min(float(cv), MOST_CV) if cv > 0.01 else 1.0


def _renewal(random: np.random.Generator, rate: float, cv: float, seconds: float) -> FloatArray:
    """Times within `seconds` of a stream with gamma gaps that began long before."""
    shape, scale = 1 / cv**2, cv**2 / rate
    times: list[FloatArray] = []
    # the gap that the window begins in is a long one more often; a part of it is over
    at = random.random() * random.gamma(shape + 1, scale)
    while at < seconds:
        more = int((seconds - at) * rate * 1.1) + 16
        drawn = at + np.concatenate([[0.0], np.cumsum(random.gamma(shape, scale, more))])
        times.append(drawn[:-1])
        at = float(drawn[-1])
    found = np.concatenate(times) if times else np.empty(0)
    return np.asarray(found[found < seconds], dtype=np.float64)


def _grids(source: Source, model: str) -> dict[tuple[str, str], tuple[FloatArray, FloatArray]]:
    """Quantiles by window and field: probabilities and tokens."""
    if not source.lengths:
        raise source.wrong(
            "rates with their lengths: `ratematch trace FILE --lengths LENGTHS --out REQUESTS` draws "
            "requests from both"
        )
    grid = Source(name=f"lengths of {source.name}", data=source.lengths)
    names = _header(grid)
    quantiles = {name: float(name[1:]) / 100 for name in names if _is_quantile(name)}
    if len(quantiles) < 2 or not {"model", "window_start_s", "field"} <= set(names):
        raise grid.lacks(tuple(names), "columns model, window_start_s, field and quantiles q1 to q99.9")
    words = dict.fromkeys(("model", "window_start_s", "field"), cells.text)
    found, _ = cells.csv_columns(grid, {**words, **dict.fromkeys(quantiles, cells.numbers)})
    columns = [found[name] for name in quantiles]
    chances = np.array(list(quantiles.values()))
    rows = zip(*(found[name].to_pylist() for name in words), strict=True)
    grids = {}
    for row, (name, window, field) in enumerate(rows):
        tokens = np.array([column[row] for column in columns])
        good = np.isfinite(tokens) & (tokens >= 1)
        if name == model and good.sum() > 1:
            grids[window, field] = chances[good], np.maximum.accumulate(tokens[good])
    if not all(any(field == wanted for _, field in grids) for wanted in ("input_tokens", "output_tokens")):
        raise grid.wrong(f"rows of {model} for input_tokens and output_tokens")
    return grids


def _header(grid: Source) -> list[str]:
    line = grid.data[: 1 << 16].decode(errors="replace").splitlines()
    return line[0].strip().split(",") if line else []


def _is_quantile(name: str) -> bool:
    try:
        return name[:1] == "q" and 0 < float(name[1:]) < 100
    except ValueError:
        return False


def _drawn(
    random: np.random.Generator,
    grids: Mapping[tuple[str, str], tuple[FloatArray, FloatArray]],
    field: str,
    time_s: FloatArray,
) -> FloatArray:
    """Lengths by the quantiles of the window that a request is in, else of the whole day; no longer than
    the last quantile."""
    starts = sorted((float(w), w) for w, f in grids if f == field and _is_number(w))
    whole = next((w for w, f in grids if f == field and not _is_number(w)), starts[0][1] if starts else "")
    chance = random.random(len(time_s))
    found = np.empty(len(time_s))
    edges = np.array([at for at, _ in starts])
    which = np.searchsorted(edges, time_s, side="right") - 1
    for index in np.unique(which):
        chances, tokens = grids[starts[index][1] if index >= 0 else whole, field]
        rows = which == index
        found[rows] = np.exp(np.interp(chance[rows], chances, np.log(tokens)))
    return np.maximum(np.round(found), 1.0)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
