"""Predicted against measured deployments: errors by group, the worst rows, and what is not covered.

The file has the columns of `planner.evidence.runs`. An error is predicted over measured, minus one; "bias"
is its mean with its sign, "mape" the mean and "median_ape" the median without.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.arrays import BoolArray, FloatArray
from planner.errors import InputError
from planner.evidence import runs as silicon
from planner.evidence.runs import Row
from planner.inputs.catalog import Catalog
from planner.output.columns import aligned
from planner.units import format_seconds

WORST = 10
GROUP = ("model", "system", "engine")
# A run whose first token takes this many times what the same engine gives next to it is of a build
# that was not ready, or was disturbed.
ODD_TTFT = 4.0
NEAR = 2.0  # of the concurrency and of the GPUs, in a run that counts as next to another
ODD_PEERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Every row of a file and what is predicted of it; arrays of shape ``(rows,)``, seconds.

    nan where a row has no measurement, or cannot be predicted.
    """

    rows: tuple[Row, ...]
    why: Mapping[int, str]  # index of a row that cannot be predicted, and why
    ttft_s: FloatArray
    tpot_s: FloatArray
    measured_ttft_s: FloatArray
    measured_tpot_s: FloatArray
    seconds: float

    @property
    def covered(self) -> int:
        """Rows that can be predicted."""
        return len(self.rows) - len(self.why)


def read(path: Path) -> list[Row]:
    """The rows of a CSV file. Raises InputError naming what cannot be read."""
    try:
        rows = silicon.read(path)
    except InputError:
        raise
    except (ValueError, OverflowError, TypeError, KeyError) as error:
        raise InputError("file", str(path), f"a CSV file of measured runs ({error})") from None
    for number, row in enumerate(rows, start=2):
        for name in GROUP:
            if not getattr(row, name):
                raise InputError(f"{path.name}, line {number}, {name}", "", "a name")
    return rows


def predict(rows: Sequence[Row], catalog: Catalog) -> Predictions:
    """Predict every row that can be, in the order given."""
    begin = time.perf_counter()
    runs = silicon.gather(rows, catalog)
    ttft, tpot = silicon.predict(runs)
    index = {id(row): i for i, row in enumerate(rows)}
    at = np.array([index[id(row)] for row in runs.rows], dtype=np.intp)
    whole = np.full((2, len(rows)), np.nan)
    whole[0, at], whole[1, at] = ttft, tpot
    return Predictions(
        rows=tuple(rows),
        why={index[id(row)]: text for row, text in runs.missing},
        ttft_s=whole[0],
        tpot_s=whole[1],
        measured_ttft_s=np.array([row.ttft_s for row in rows], dtype=float),
        measured_tpot_s=np.array([row.tpot_s for row in rows], dtype=float),
        seconds=time.perf_counter() - begin,
    )


def report(rows: Sequence[Row], catalog: Catalog) -> dict[str, Any]:
    """Errors on the rows of a file.

    Returns
    -------
    dict
        ``rows``, ``covered``; ``tpot`` and ``ttft``: n, mape, median_ape, bias (shares; None where
        nothing was measured); ``groups``: the same by model, system and engine; ``worst`` and
        ``worst_ttft``: the ten rows with the largest error of TPOT and of TTFT; ``missing``: id and
        why; ``odd``: ids of rows out of line with their neighbours; ``seconds``. Plain data, no nan.
    """
    return summarise(predict(rows, catalog))


def summarise(found: Predictions) -> dict[str, Any]:
    """`report` of predictions at hand."""
    everything = np.ones(len(found.rows), dtype=bool)
    keys = [tuple(getattr(row, name) for name in GROUP) for row in found.rows]
    groups = []
    for key in sorted(set(keys)):
        inside = np.array([k == key for k in keys])
        tpot, ttft = (errors(found, name, inside) for name in ("tpot", "ttft"))
        groups.append(
            {
                **dict(zip(GROUP, key, strict=True)),
                "n": int(inside.sum()),
                "covered": sum(1 for i in np.flatnonzero(inside) if int(i) not in found.why),
                "tpot_mape": tpot["mape"],
                "tpot_median_ape": tpot["median_ape"],
                "tpot_bias": tpot["bias"],
                "ttft_mape": ttft["mape"],
                "ttft_median_ape": ttft["median_ape"],
                "ttft_bias": ttft["bias"],
            }
        )
    return {
        "rows": len(found.rows),
        "covered": found.covered,
        "tpot": errors(found, "tpot", everything),
        "ttft": errors(found, "ttft", everything),
        "groups": groups,
        "worst": worst(found, "tpot"),
        "worst_ttft": worst(found, "ttft"),
        "missing": [{"id": found.rows[i].id, "why": why} for i, why in sorted(found.why.items())],
        "odd": [found.rows[i].id for i in np.flatnonzero(odd(found.rows))],
        "seconds": found.seconds,
    }


def ratios(found: Predictions, name: str) -> FloatArray:
    """Predicted over measured "tpot" or "ttft" of each row; nan where one is lacking."""
    predicted, measured = getattr(found, f"{name}_s"), getattr(found, f"measured_{name}_s")
    return np.asarray(predicted / measured)


def errors(found: Predictions, name: str, inside: BoolArray) -> dict[str, Any]:
    """n, mape, median_ape and bias of "tpot" or "ttft" over the rows `inside`."""
    return spread(ratios(found, name)[inside])


def spread(ratio: FloatArray) -> dict[str, Any]:
    """The error figures of predicted over measured.

    >>> spread(np.array([1.1, 0.8, np.nan]))["n"], round(spread(np.array([1.1, 0.8]))["mape"], 3)
    (2, 0.15)
    """
    off = ratio[np.isfinite(ratio)] - 1.0
    if not len(off):
        return {"n": 0, "mape": None, "median_ape": None, "bias": None}
    return {
        "n": len(off),
        "mape": float(np.abs(off).mean()),
        "median_ape": float(np.median(np.abs(off))),
        "bias": float(off.mean()),
    }


def worst(found: Predictions, name: str, most: int = WORST) -> list[dict[str, Any]]:
    """The rows whose "tpot" or "ttft" is farthest off, as a factor in either direction."""
    ratio = ratios(found, name)
    far = np.where(np.isfinite(ratio), np.abs(np.log(np.where(ratio > 0, ratio, 1.0))), -1.0)
    order = [int(i) for i in np.argsort(-far, kind="stable")[:most] if far[i] >= 0]
    return [
        {
            "id": found.rows[i].id,
            **{key: getattr(found.rows[i], key) for key in ("mode", *GROUP, "isl", "osl", "concurrency")},
            "metric": name,
            "predicted": float(getattr(found, f"{name}_s")[i]),
            "measured": float(getattr(found, f"measured_{name}_s")[i]),
        }
        for i in order
    ]


def odd(rows: Sequence[Row]) -> BoolArray:
    """Rows whose measured TTFT is out of line with their neighbours: shape ``(rows,)``.

    Neighbours are runs of the same model, system, engine, mode and lengths at up to twice or half the
    concurrency on up to twice or half the GPUs; a row is odd where its TTFT is at least four times
    what a quarter of them (of three or more) stay below. Says nothing about predictions: it names
    builds that were not ready, and disturbed runs.
    """
    same: dict[tuple[object, ...], list[int]] = {}
    for i, row in enumerate(rows):
        key = (row.model, row.system, row.engine, row.mode, row.isl, row.osl)
        same.setdefault(key, []).append(i)
    found = np.zeros(len(rows), dtype=bool)
    ttft = np.array([row.ttft_s for row in rows], dtype=float)
    traits = np.log([[row.concurrency, gpus(row)] for row in rows]).reshape(-1, 2)
    for members in same.values():
        at = np.array(members, dtype=np.intp)
        apart = np.abs(traits[at][:, None, :] - traits[at][None, :, :]).max(axis=2)
        near = (apart <= math.log(NEAR) + 1e-9) & ~np.eye(len(at), dtype=bool) & np.isfinite(ttft[at])
        for i, peers in zip(at, near, strict=True):
            if peers.sum() >= ODD_PEERS:
                found[i] = ttft[i] >= ODD_TTFT * float(np.quantile(ttft[at][peers], 0.25))
    return found


def gpus(row: Row) -> float:
    """GPUs of a row's deployment."""
    decode = row.decode_workers * row.decode[0] * row.decode[1] * row.pp
    if row.colocated:
        return row.decode[0] * row.decode[1] * row.pp
    return decode + row.prefill_workers * row.prefill[0] * row.prefill[1] * row.pp


def by(found: Predictions, key: Callable[[Row], str]) -> list[dict[str, Any]]:
    """Errors by any property of a row: name, rows, tpot and ttft figures."""
    names = [key(row) for row in found.rows]
    listed = []
    for name in sorted(set(names)):
        inside = np.array([n == name for n in names])
        listed.append(
            {
                "name": name,
                "n": int(inside.sum()),
                "tpot": errors(found, "tpot", inside),
                "ttft": errors(found, "ttft", inside),
            }
        )
    return listed


# As text.


def to_text(result: Mapping[str, Any]) -> str:
    """A report as aligned tables: the whole, the groups, the worst rows, what is missing."""
    blocks = [
        f"{result['covered']:,} of {result['rows']:,} rows predicted in {format_seconds(result['seconds'])}",
        table(
            [
                ("", "rows", "mean error", "median", "bias"),
                *(
                    (
                        label,
                        f"{result[name]['n']:,}",
                        *(percent(result[name][k]) for k in ("mape", "median_ape")),
                        percent(result[name]["bias"], sign=True),
                    )
                    for name, label in (("tpot", "TPOT"), ("ttft", "TTFT"))
                ),
            ],
            "lrrrr",
        ),
        "By model, system and engine (mean, median)\n"
        + table(
            [
                (*GROUP, "rows", "TPOT", "", "TTFT", ""),
                *(
                    (
                        *(group[name] for name in GROUP),
                        f"{group['n']:,}",
                        *(
                            percent(group[k])
                            for k in ("tpot_mape", "tpot_median_ape", "ttft_mape", "ttft_median_ape")
                        ),
                    )
                    for group in result["groups"]
                ),
            ],
            "lllrrrrr",
        ),
        *(
            f"Farthest off: {label}\n" + table(worst_rows(result[key]), "lllllrrrr")
            for key, label in (("worst", "TPOT"), ("worst_ttft", "TTFT"))
            if result[key]
        ),
    ]
    if result["missing"]:
        shown = [f"  {item['id']}: {item['why']}" for item in result["missing"][:WORST]]
        more = len(result["missing"]) - len(shown)
        blocks.append("\n".join(["Not predicted", *shown, *([f"  and {more:,} more"] if more else [])]))
    if result["odd"]:
        blocks.append(
            f"{len(result['odd'])} rows have a TTFT of {ODD_TTFT:g} times their neighbours' or more "
            f"(--json names them): builds that were not ready, or disturbed runs."
        )
    return "\n\n".join(blocks) + "\n"


def worst_rows(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The cells of a table of the worst rows, with a head."""
    return [
        ("id", *GROUP, "mode", "ISL/OSL", "requests", "predicted", "measured"),
        *(
            (
                str(row["id"]),
                *(str(row[name]) for name in GROUP),
                str(row["mode"]),
                f"{row['isl']}/{row['osl']}",
                f"{row['concurrency']:g}",
                format_seconds(row["predicted"]),
                format_seconds(row["measured"]),
            )
            for row in rows
        ),
    ]


def percent(share: float | None, *, sign: bool = False) -> str:
    """A share in percent with one decimal, "-" where there is none.

    >>> percent(0.0712), percent(0.05, sign=True), percent(None)
    ('7.1 %', '+5.0 %', '-')
    """
    return "-" if share is None or math.isnan(share) else f"{100 * share:{'+' if sign else ''}.1f} %"


def table(rows: Sequence[Sequence[str]], align: str) -> str:
    """Rows as aligned lines, indented by two; `align` holds l or r for each column."""
    return "\n".join(aligned(rows, align, "  "))
