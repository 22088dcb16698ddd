"""Pools and costs that are small enough to try every schedule."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from planner.elastic.costs import Costs
from planner.elastic.kinds import Kind, Pools
from planner.match.robust import KNOWN, Errors


def kind(phase: str, gpus: int, form: int) -> Kind:
    return Kind(
        points=cast(Any, SimpleNamespace(phase=phase, prompt_share=[1.0 if phase == "prefill" else 0.0])),
        row=0,
        gpus=gpus,
        label="",
        form=(form,),
        usd_per_gpu_hour=2.0,
        counts=np.array([1, 2]),
        sustained_per_s=np.array([1.0, 2.1]),
    )


def pools(need: list[list[int]], *, alike: bool = False, errors: Errors = KNOWN) -> Pools:
    kinds = kind("prefill", 1, 1), kind("decode", 1 if alike else 2, 1 if alike else 2)
    return Pools(kinds=kinds, need=np.array(need), errors=errors)


def costs(windows: int, **changed: Any) -> Costs:
    usual: dict[str, Any] = {
        "window_s": 60.0,
        "start_s": np.zeros(2),
        "drain_s": np.zeros(2),
        "swap_s": 0.0,
        "usd_per_gpu_hour": np.full((windows, 2), 2.0),
    }
    return Costs(**{**usual, **changed})
