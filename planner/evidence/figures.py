"""Error figures of predicted over measured, and how they are written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from planner.arrays import FloatArray


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


def percent(share: float | None, *, sign: bool = False) -> str:
    """A share in percent with one decimal, "-" where there is none.

    >>> percent(0.0712), percent(0.05, sign=True), percent(None)
    ('7.1 %', '+5.0 %', '-')
    """
    return "-" if share is None or math.isnan(share) else f"{100 * share:{'+' if sign else ''}.1f} %"
