"""Formats: what auto means, what a GPU cannot do, and what a narrow cache saves."""

from __future__ import annotations

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs import catalog
from planner.inputs.precision import KV_BYTES, resolve
from planner.inputs.scenario import Scenario, Traffic
from planner.planning.resolve import prepare
from planner.simulate import decode
from planner.simulate.space import Layouts

PRESETS = catalog.load()
BATCH = np.array([1.0, 16.0, 256.0]).reshape(1, -1, 1)


def step(kv: str):
    question = prepare(
        Scenario(
            model="llama-3.1-70b", system="gb200", kv=kv, weights="fp4", traffic=Traffic(isl=32768, osl=512)
        ),
        PRESETS,
    )
    sizes = {"tp": 4, "pp": 1, "attention_dp": 1, "moe_tp": 4, "moe_ep": 1}
    at = Layouts(**{name: np.full((1, 1, 1), int(size)) for name, size in sizes.items()})
    return decode.step(question.pools["decode"].setup, at, "replicated", BATCH, isl=32768, osl=512).layers()


def test_auto_takes_the_narrowest_weights_and_no_narrower_cache_than_fp8():
    model = PRESETS.model("llama-3.1-70b")
    found = {s: resolve("auto", "auto", model, PRESETS.system(s).gpu) for s in ("a100", "h200", "gb200")}
    assert {s: f.gemm.name for s, f in found.items()} == {"a100": "bf16", "h200": "fp8", "gb200": "nvfp4"}
    assert {s: f.kv for s, f in found.items()} == {"a100": "bf16", "h200": "fp8", "gb200": "fp8"}


@pytest.mark.parametrize("system", ["a100", "h200"])
def test_an_fp4_cache_needs_fp4_units(system):
    with pytest.raises(InputError, match="no FP4 units") as caught:
        resolve("auto", "fp4", PRESETS.model("llama-3.1-70b"), PRESETS.system(system).gpu)
    assert caught.value.field == "kv"


def test_a_narrower_cache_is_never_slower_and_never_beats_light():
    wide, narrow = step("fp8"), step("fp4")
    assert np.all(narrow.seconds <= wide.seconds)
    assert np.all(narrow.seconds >= narrow.light_s)
    assert float(narrow.seconds.ravel()[-1]) < 0.8 * float(wide.seconds.ravel()[-1])
    assert KV_BYTES["fp4"] < 0.6 * KV_BYTES["fp8"]
