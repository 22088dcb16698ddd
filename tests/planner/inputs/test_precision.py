"""Formats: what auto means, what a GPU cannot do, and what a narrow cache saves."""

from __future__ import annotations

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs import catalog, fields
from planner.inputs.precision import FORMATS, KV_BYTES, resolve
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


def formats(model: str, system: str, weights: str = "auto") -> tuple[str, str]:
    """Of the matrices beside the experts, and of the experts."""
    at = PRESETS.system(system)
    found = resolve(weights, "auto", PRESETS.model(model), at.gpu, at.vendor)
    return found.gemm.name, found.moe.name


@pytest.mark.parametrize(
    ("model", "system", "beside", "experts"),
    [
        ("gpt-oss-120b", "a100", "bf16", "mxfp4_wo"),
        ("gpt-oss-120b", "h100", "bf16", "mxfp4_wo"),
        ("gpt-oss-120b", "b200", "bf16", "mxfp4"),
        ("gpt-oss-20b", "mi300x", "bf16", "mxfp4_wo"),
        ("kimi-k2.5", "h200", "bf16", "int4_wo"),
        ("kimi-k2.5", "a100", "bf16", "int4_wo"),
        ("kimi-k2.5", "b200", "nvfp4", "nvfp4"),
        ("deepseek-v4-pro", "h200", "fp8_block", "mxfp4_wo"),
        ("deepseek-v4-pro", "b300", "fp8_block", "mxfp4"),
        ("deepseek-v4-flash", "a100", "fp8_wo", "mxfp4_wo"),
        ("deepseek-r1", "a100", "fp8_wo", "fp8_wo"),
        ("deepseek-r1", "h200", "fp8_block", "fp8_block"),
        ("deepseek-r1", "mi355x", "mxfp4_a4", "mxfp4_a4"),
        ("deepseek-r1", "gb200", "nvfp4", "nvfp4"),
        ("glm-5", "a100", "bf16", "bf16"),
        ("glm-5", "h200", "fp8_block", "fp8_block"),
    ],
)
def test_auto_is_never_wider_than_the_checkpoint(model, system, beside, experts):
    assert formats(model, system) == (beside, experts)


@pytest.mark.parametrize("name", PRESETS.names("model"))
@pytest.mark.parametrize("system", PRESETS.names("system"))
def test_no_part_weighs_more_than_in_the_checkpoint(name, system):
    model, at = PRESETS.model(name), PRESETS.system(system)
    found = resolve("auto", "auto", model, at.gpu, at.vendor)
    experts = FORMATS[model.checkpoint].weight_bytes
    beside = FORMATS[model.checkpoint_beside or model.checkpoint].weight_bytes
    assert found.moe.weight_bytes <= experts + 0.07 and found.gemm.weight_bytes <= beside + 0.07
    assert found.moe.rate in at.gpu.peak_flops and found.gemm.rate in at.gpu.peak_flops


@pytest.mark.parametrize(
    ("model", "system", "weights", "found"),
    [
        ("llama-3.1-70b", "a100", "fp8", ("fp8_wo", "fp8_wo")),
        ("llama-3.1-70b", "h200", "nvfp4", ("nvfp4_wo", "nvfp4_wo")),
        ("llama-3.1-70b", "h200", "fp8_block", ("fp8_block", "fp8_block")),
        ("llama-3.1-70b", "h200", "int4", ("int4_wo", "int4_wo")),
        ("llama-3.1-70b", "h200", "int8", ("int8_wo", "int8_wo")),
        ("llama-3.1-70b", "h200", "fp4", ("int4_wo", "int4_wo")),
        ("llama-3.1-70b", "mi355x", "fp4", ("mxfp4_a4", "mxfp4_a4")),
        ("gpt-oss-120b", "b200", "mxfp4", ("bf16", "mxfp4")),
        ("gpt-oss-120b", "b200", "fp4", ("bf16", "mxfp4")),
        ("gpt-oss-120b", "h200", "bf16", ("bf16", "bf16")),
        ("kimi-k2.5", "h200", "int4", ("bf16", "int4_wo")),
        ("deepseek-v4-pro", "h200", "fp8", ("fp8_block", "fp8_block")),
    ],
)
def test_formats_by_name(model, system, weights, found):
    assert formats(model, system, weights) == found


def test_formats_are_accepted_as_presets_spell_them():
    field = fields.BY_KEY["weights"]
    spelt = {
        "int4_wo": "int4",
        "INT4-WO": "int4",
        "mxfp4_wo": "mxfp4",
        "fp8-block": "fp8_block",
        "NVFP4": "nvfp4",
    }
    assert {text: field.parse(text) for text in spelt} == spelt
    with pytest.raises(InputError, match=r"fp8_block.*mxfp4.*int4"):
        field.parse("fp7")
    assert [field.step("fp4", 1), field.step("auto", -1), field.step("int4", 1)] == ["auto", "fp4", "bf16"]


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
