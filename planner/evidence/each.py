"""A few runs one by one: what is predicted, the band around it, what was measured, and what differs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np

from planner.errors import printable
from planner.evidence.deployment import engine_profile
from planner.evidence.runs import Row
from planner.evidence.validate_runs import Predictions
from planner.inputs.catalog import Catalog
from planner.output.columns import aligned
from planner.output.spelling import count
from planner.planning import bands
from planner.planning.bands import Band
from planner.units import format_seconds

MOST = 40  # runs that are told one by one
FIGURES = (("ttft", "TTFT"), ("tpot", "TPOT"))
WIDE = 100
LONGEST_NAME = 24  # of a run
ALIKE = 1.15  # between the largest and the smallest factor that still counts as the same at every load
LENGTHS_ALIKE = 0.02  # share by which sent lengths may differ from the planned ones
_WHERE = {  # a factor that is the same at every load, one that changes with it
    "ttft": ("prefill itself and what comes before it", "waits for prefill or for a place in the batch"),
    "tpot": ("a step itself (kernels, host)", "the batch, room for the cache, prompts between steps"),
}


def of_one(found: Predictions) -> bool:
    """Whether the runs are a few of one deployment."""
    told = {(r.model, r.system, r.engine, r.mode, r.prefill, r.decode, r.gpus) for r in found.rows}
    return len(found.rows) <= MOST and len(told) == 1 and found.covered > 0


def each(found: Predictions, catalog: Catalog) -> list[dict[str, Any]]:
    """Every run that can be predicted, the least loaded first; plain data, times in seconds.

    Of each of ``ttft`` and ``tpot``: ``predicted``, ``measured`` (None where it was not), ``band`` (80 % of
    measurements lie in it; None where there is no table of them) and whether it is ``inside``.
    """
    listed = []
    for i in sorted(range(len(found.rows)), key=lambda i: _load(found.rows[i])):
        row = found.rows[i]
        if i in found.why:
            continue
        band = band_of(row, catalog)
        shown: dict[str, Any] = {"id": row.id, "isl": row.isl, "osl": row.osl}
        shown |= {
            "concurrency": row.concurrency if math.isfinite(row.concurrency) else None,
            "requests_per_s": row.requests_per_s if math.isfinite(row.requests_per_s) else None,
        }
        for name, factors in (("ttft", band and band.ftl), ("tpot", band and band.ttl)):
            predicted = float(getattr(found, f"{name}_s")[i])
            measured = float(getattr(found, f"measured_{name}_s")[i])
            known = math.isfinite(measured) and math.isfinite(predicted)
            reach = [predicted * factor for factor in factors] if factors and known else None
            shown[name] = {
                "predicted": predicted if math.isfinite(predicted) else None,
                "measured": measured if math.isfinite(measured) else None,
                "band": reach,
                "inside": reach[0] <= measured <= reach[1] if reach else None,
            }
        listed.append(shown)
    return listed


def band_of(row: Row, catalog: Catalog) -> Band | None:
    """How far predictions of a run were off, by what of it was measured at all; None without a table."""
    table = catalog.accuracy()
    if not table or row.mode not in table["bands"]:
        return None
    unknown = (
        row.model not in table["models"],
        row.system not in table["systems"],
        row.mtp > 0 or row.engine not in table["engines"],
    )
    level = bands.LEVELS[min(sum(unknown), 2)]
    return bands.of_level(table, row.mode, level, engine_profile(catalog, row.engine, row.version).family)


def _load(row: Row) -> tuple[float, float]:
    return np.nan_to_num(row.requests_per_s, nan=0.0), np.nan_to_num(row.concurrency, nan=0.0)


def differences(
    listed: Sequence[Mapping[str, Any]], found: Predictions, planned: Mapping[str, str]
) -> list[str]:
    """What differs, in sentences: lengths from those of the export (`planned`), times from the prediction."""
    return [*_lengths(listed, planned), *_places(found), *_times(listed)]


def _lengths(listed: Sequence[Mapping[str, Any]], planned: Mapping[str, str]) -> Iterator[str]:
    for key, what in (("isl", "Prompts"), ("osl", "Answers")):
        if key not in planned or not listed:
            continue
        sent, asked = np.array([one[key] for one in listed], dtype=float), float(planned[key])
        if (np.abs(sent / asked - 1.0) > LENGTHS_ALIKE).any():
            low, high = round(sent.min()), round(sent.max())
            span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            yield f"{what} of {span} tokens were sent; the deployment was planned for {asked:,.0f}."


def _places(found: Predictions) -> Iterator[str]:
    """Runs with more requests in flight than decode batches have places."""
    over = [
        row
        for row in found.rows
        if math.isfinite(row.max_batch) and row.concurrency > row.max_batch * _ranks(row)
    ]
    if over:
        row = max(over, key=lambda row: row.concurrency)
        places = row.max_batch * _ranks(row)
        yield f"{row.concurrency:,.0f} in flight are more than {places:,.0f} places to decode: requests wait."


def _ranks(row: Row) -> float:
    return row.decode_workers * row.decode.attention_dp


def _times(listed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for name, label in FIGURES:
        known = [one for one in listed if one[name]["measured"] and one[name]["predicted"]]
        if not known:
            continue
        factor = [one[name]["measured"] / one[name]["predicted"] for one in known]
        judged = [one[name]["inside"] for one in known if one[name]["inside"] is not None]
        runs = count(len(known), "run")
        said = f"{label} is within its band in {sum(judged)} of {runs}; measured over predicted "
        if len(known) == 1:
            yield f"{said}{factor[0]:.2f}."
        elif max(factor) <= ALIKE * min(factor):
            near = float(np.exp(np.mean(np.log(factor))))
            why = f": {_WHERE[name][0]}" if not 1 / ALIKE <= near <= ALIKE else ""
            yield f"{said}{near:.2f} at every load{why}."
        else:
            between = [at for at in factor[1:-1] if not min(factor[0], factor[-1]) <= at * ALIKE]
            between += [at for at in factor[1:-1] if not max(factor[0], factor[-1]) >= at / ALIKE]
            most = f", {max(between, key=lambda at: abs(math.log(at))):.2f} between" if between else ""
            yield (
                f"{said}{factor[0]:.2f} at the least load, {factor[-1]:.2f} at the most{most}: "
                f"{_WHERE[name][1]}."
            )


def text(listed: Sequence[Mapping[str, Any]], differs: Sequence[str]) -> str:
    """The runs as an aligned table, and what differs below it."""
    rows: list[tuple[str, ...]] = [
        ("run", "load", "ISL/OSL", *(x for _, n in FIGURES for x in (n, "80 % band", "measured", "off", "")))
    ]
    for one in listed:
        rate = one["requests_per_s"]
        load = f"{rate:.3g} req/s" if rate else f"{one['concurrency'] or 0:g} in flight"
        cells = [cell for name, _ in FIGURES for cell in _cells(one[name])]
        rows.append((printable(str(one["id"]), LONGEST_NAME), load, f"{one['isl']}/{one['osl']}", *cells))
    table = "\n".join(aligned(rows, "lllrrrrlrrrrl", "  "))
    told = [fill(one, WIDE, subsequent_indent="  ") for one in differs]
    return "\n\n".join(["Run by run\n" + table, *(["\n".join(told)] if told else [])]) + "\n"


def _cells(of: Mapping[str, Any]) -> tuple[str, ...]:
    predicted, measured, band = of["predicted"], of["measured"], of["band"]
    off = f"{100 * (predicted / measured - 1.0):+.0f} %" if predicted and measured else "-"
    return (
        "-" if predicted is None else format_seconds(predicted),
        "-" if band is None else f"{format_seconds(band[0])} to {format_seconds(band[1])}",
        "-" if measured is None else format_seconds(measured),
        off,
        "" if of["inside"] is None else "in" if of["inside"] else "out",
    )
