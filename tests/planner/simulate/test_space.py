"""Layouts: divisibility, the GPUs seen twice, labels."""

import numpy as np
import pytest

from planner.inputs.catalog import load
from planner.simulate import space

PHASES = ("prefill", "decode", "colocated")


@pytest.mark.parametrize("name", load().names("model"))
@pytest.mark.parametrize("phase", PHASES)
def test_layouts_divide_the_model(name: str, phase: str) -> None:
    model = load().model(name)
    at = space.layouts(model, phase, max_gpus=72, scale_up_gpus=72)
    assert len(at)
    assert np.all(at.gpus <= 72)
    assert np.all(at.pp <= space.MAX_STAGES[phase])
    for a in model.attention:
        if a.kind != "none":
            assert np.all((a.heads or a.v_heads) % at.tp == 0)
    # attention and experts split the same GPUs
    assert np.all(at.tp * at.attention_dp == at.moe_tp * at.moe_ep)
    if model.is_moe:
        assert np.all(at.moe_ep <= model.experts)
        assert {"TP1", "TEP8", "DEP8"} <= {at.choice(i, False).label for i in range(len(at))} | {"TP1"}
    else:
        assert np.all(at.attention_dp == 1)
        assert np.all(at.moe_ep == 1)


def test_no_layout_twice() -> None:
    model = load().model("deepseek-r1")
    at = space.layouts(model, "decode", max_gpus=72, scale_up_gpus=72)
    rows = np.stack([at.tp, at.pp, at.attention_dp, at.moe_tp, at.moe_ep])
    assert np.unique(rows, axis=1).shape[1] == len(at)
    labels = [at.choice(i, False).label for i in range(len(at))]
    assert len(set(labels)) == len(labels)


def test_nvl72_widths_reach_the_whole_domain() -> None:
    model = load().model("deepseek-r1")
    at = space.layouts(model, "decode", max_gpus=72, scale_up_gpus=72)
    assert 72 in at.gpus


@pytest.mark.parametrize("limit", [9, 20, 40, 64, 71])
def test_parts_of_a_domain_are_tried_in_budgets_smaller_than_it(limit: int) -> None:
    """36, 18 and 9 of 72 GPUs: whoever has fewer than 72 may have those as well."""
    model = load().model("deepseek-r1")
    all_of_it, some = (
        set(
            zip(
                *(getattr(at, name).tolist() for name in ("tp", "pp", "attention_dp", "moe_tp", "moe_ep")),
                strict=True,
            )
        )
        for at in (space.layouts(model, "decode", max_gpus=most, scale_up_gpus=72) for most in (72, limit))
    )
    fits = {row for row in all_of_it if row[0] * row[1] * row[2] <= limit}
    assert fits and fits <= some
    assert {9, 18, 36} & {row[2] for row in some} == {width for width in (9, 18, 36) if width <= limit}


def test_exchange_kinds() -> None:
    model = load().model("deepseek-r1")
    at = space.layouts(model, "decode", max_gpus=64, scale_up_gpus=72)
    kind = at.exchange()
    assert np.all((kind == 0) == (at.attention_dp == 1))
    assert np.all(at.moe_tp[kind == 1] == 1)
    assert np.all(at.moe_tp[kind == 2] > 1)


def test_instance_limit() -> None:
    assert space.instance_limit(72, None, None) == 96
    assert space.instance_limit(8, None, None) == 96
    assert space.instance_limit(8, None, 16) == 16
    assert space.instance_limit(72, 8, 64) == 8


def test_grids_ascend_and_end_where_asked() -> None:
    grid = space.batches(1000)
    assert np.all(np.diff(grid) > 0)
    assert grid[0] == 1
    assert grid[-1] == 1000
    assert space.chunk_counts(100).tolist() == [1.0]
    counts = space.chunk_counts(262144)
    assert np.all(262144 / counts >= 256)
    assert len(counts) > 15


def labels(name: str, phase: str, **asked: int) -> set[str]:
    at = space.layouts(load().model(name), phase, **{"max_gpus": 96, "scale_up_gpus": 8, **asked})
    return {at.choice(i, False).label for i in range(len(at))}


@pytest.mark.parametrize("phase", PHASES)
def test_pipelines_have_uneven_ends(phase: str) -> None:
    """61 layers over 3, 5, 6 and 12 stages: the fullest has one more."""
    found = labels("deepseek-r1", phase)
    assert {"PP3xTP8", "PP5xTP4", "PP6xTP4", "PP12xTP4"} <= found
    assert labels("llama-3.1-70b", phase) >= {"PP3xTP8", "PP5xTP4", "PP6xTP4", "PP12xTP2"}


@pytest.mark.parametrize("phase", PHASES)
def test_experts_are_spread_over_widths_that_are_no_power_of_two(phase: str) -> None:
    wide = {"DEP12", "DEP24", "DEP48", "DEP72", "DEP96"}
    assert wide <= labels("deepseek-r1", phase) and wide <= labels("deepseek-r1", phase, scale_up_gpus=72)
    assert not wide & labels("llama-3.1-70b", phase)
    assert labels("deepseek-r1", phase, max_gpus=48) & wide == {"DEP12", "DEP24", "DEP48"}
    # beyond one domain, or 64 GPUs, nothing else is
    assert not {"TP96", "PP3xTP32", "TEP96"} & labels("deepseek-r1", phase)


def test_attention_divides_as_engines_do() -> None:
    """96 heads over 8 key heads: 24 copies key heads, 3, 6 and 12 would split them unevenly."""
    found = labels("qwen3-coder-480b", "decode")
    assert {"TP8", "TP16", "TEP24"} <= found and not {"TP3", "TP6", "TP12"} & found
    assert "TP3" not in labels("llama-3.1-70b", "decode")


def test_a_larger_instance_is_asked_for() -> None:
    assert "TP128" in labels("llama-3.1-405b", "decode", max_gpus=128)


@pytest.mark.parametrize("engine, prefill", [("trtllm", False), ("sglang", True)])
def test_drafts_stand_beside_the_stages_that_an_engine_allows(engine: str, prefill: bool) -> None:
    presets = load()
    can = presets.engine(engine).can
    for phase, some in (("prefill", prefill), ("decode", False), ("colocated", False)):
        found = space.layouts(
            presets.model("deepseek-r1"), phase, max_gpus=16, scale_up_gpus=72, can=can, mtp=1
        )
        assert bool((found.pp > 1).any()) == some, phase
