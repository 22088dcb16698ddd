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


def test_exchange_kinds() -> None:
    model = load().model("deepseek-r1")
    at = space.layouts(model, "decode", max_gpus=64, scale_up_gpus=72)
    kind = at.exchange()
    assert np.all((kind == 0) == (at.attention_dp == 1))
    assert np.all(at.moe_tp[kind == 1] == 1)
    assert np.all(at.moe_tp[kind == 2] > 1)


def test_instance_limit() -> None:
    assert space.instance_limit(72, None, None) == 72
    assert space.instance_limit(8, None, None) == 64
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
