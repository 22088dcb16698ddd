"""Predicted against measured deployments: errors by group, the worst rows, and what is not covered.

The file has the columns of `planner.evidence.runs`. An error is predicted over measured, minus one; "bias"
is its mean with its sign, "mape" the mean and "median_ape" the median without.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from planner.arrays import BoolArray, FloatArray
from planner.evidence import gather
from planner.evidence.figures import spread
from planner.evidence.outliers import outliers
from planner.evidence.runs import Row
from planner.inputs.catalog import Catalog

WORST = 10
GROUP = ("model", "system", "engine")
# more that a file may have measured: the name in the report, and the row's
MORE = {
    "ttft_p90": "ttft_p90_s",
    "ttft_p99": "ttft_p99_s",
    "e2e": "e2e_s",
    "output_tokens_per_s": "output_tokens_per_s",
}


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
    more: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)  # predicted, measured

    @property
    def covered(self) -> int:
        """Rows that can be predicted."""
        return len(self.rows) - len(self.why)


def predict(rows: Sequence[Row], catalog: Catalog) -> Predictions:
    """Predict every row that can be, in the order given."""
    begin = time.perf_counter()
    runs = gather.gather(rows, catalog)
    predicted = gather.predict_all(runs)
    index = {id(row): i for i, row in enumerate(rows)}
    at = np.array([index[id(row)] for row in runs.rows], dtype=np.intp)

    def whole(name: str) -> FloatArray:
        column = np.full(len(rows), np.nan)
        column[at] = getattr(predicted, name)
        return column

    def measured(name: str) -> FloatArray:
        return np.array([getattr(row, name) for row in rows], dtype=float)

    return Predictions(
        rows=tuple(rows),
        why={index[id(row)]: text for row, text in runs.missing},
        ttft_s=whole("ttft"),
        tpot_s=whole("tpot"),
        measured_ttft_s=measured("ttft_s"),
        measured_tpot_s=measured("tpot_s"),
        more={name: (whole(name), measured(of)) for name, of in MORE.items()},
        seconds=time.perf_counter() - begin,
    )


def report(rows: Sequence[Row], catalog: Catalog) -> dict[str, Any]:
    """Errors on the rows of a file.

    Returns
    -------
    dict
        ``rows``, ``covered``; ``tpot``, ``ttft``, ``ttft_p90``, ``ttft_p99``, ``e2e`` and
        ``output_tokens_per_s``: n, mape, median_ape, bias (shares; None where nothing was measured);
        ``groups``: the same of TPOT and TTFT by model, system and engine; ``worst`` and ``worst_ttft``: the
        ten rows with the largest error of TPOT and of TTFT; ``missing``: id and why; ``odd``: ids of
        outliers; ``seconds``. Plain data, no nan.
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
        **{name: errors(found, name, everything) for name in MORE},
        "groups": groups,
        "worst": worst(found, "tpot"),
        "worst_ttft": worst(found, "ttft"),
        "missing": [{"id": found.rows[i].id, "why": why} for i, why in sorted(found.why.items())],
        "odd": [found.rows[i].id for i in np.flatnonzero(outliers(found.rows))],
        "seconds": found.seconds,
    }


def ratios(found: Predictions, name: str) -> FloatArray:
    """Predicted over measured "tpot", "ttft" or one of `MORE` of each row; nan where one is lacking."""
    if name in MORE:
        if name not in found.more:
            return np.full(len(found.rows), np.nan)
        predicted, measured = found.more[name]
        return np.asarray(predicted / measured)
    predicted, measured = getattr(found, f"{name}_s"), getattr(found, f"measured_{name}_s")
    return np.asarray(predicted / measured)


def errors(found: Predictions, name: str, inside: BoolArray) -> dict[str, Any]:
    """n, mape, median_ape and bias of a figure over the rows `inside`."""
    return spread(ratios(found, name)[inside])


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
