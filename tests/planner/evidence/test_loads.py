"""Measured loads: files of them, what comes, and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError
from planner.evidence import loads, shipped, validate_loads
from planner.evidence.page.loads import page
from planner.inputs import catalog

LOADS = loads.read(shipped.loads_file())
PAGE = Path(__file__).parents[3] / "docs" / "accuracy-load.md"
SOME = ("gptoss-rr-3", "sim2real-15-6", "servingsim-llama-3.1-8b")


def test_the_page_says_what_the_code_says() -> None:
    chosen = [load for load in LOADS if load.row.id in SOME]
    found = validate_loads.predict(chosen, catalog.load())
    written = PAGE.read_text()
    lines = [
        line for line in page(found).splitlines() if line.startswith(tuple(f"| {name}" for name in SOME))
    ]
    assert len(lines) == len(SOME) and not found.missing
    for line in lines:
        assert line in written


def test_first_tokens_below_saturation_are_within_the_limits_set() -> None:
    """Of the page: mean within 30 %, P90 within 40 %, in the median."""
    text = PAGE.read_text()
    below = text[text.index("## Below saturation") : text.index("## Saturated")]
    cells = {
        line.split("|")[1].strip(): [int(cell.split("%")[0]) for cell in line.split("|")[3:5]]
        for line in below.splitlines()
        if line.startswith("| T")
    }
    assert max(cells["TTFT, mean"]) <= 30 and max(cells["TTFT, P90"]) <= 40


def test_prompts_of_a_group_share_their_prefix_and_no_more() -> None:
    load = next(load for load in LOADS if load.row.id == "gptoss-pa-40")
    requests = load.requests
    blocks = requests.blocks.reshape(len(requests), -1)
    common = load.prefix_tokens // requests.block_tokens
    assert len(np.unique(blocks[:, 0])) <= load.groups
    same = blocks[:, 0] == blocks[0, 0]
    assert (blocks[same, :common] == blocks[0, :common]).all()
    assert len(np.unique(blocks[:, common:])) == blocks[:, common:].size  # each question came once
    assert load.warm == load.groups
    assert np.ptp(requests.arrival_s[load.warm :]) == pytest.approx(loads.STAGE_S, rel=0.2)


def test_a_ladder_is_saturated_from_its_first_step_on() -> None:
    late = loads.saturated(LOADS)
    by_id = {load.row.id: late[index] for index, load in enumerate(LOADS)}
    assert not by_id["gptoss-rr-30"] and by_id["gptoss-rr-35"] and by_id["gptoss-rr-60"]
    assert by_id["servingsim-qwen3-32b"] and not by_id["sim2real-15-6"]


@pytest.mark.parametrize(
    ("column", "value", "wrong"),
    [
        ("routing", "nearest", "round-robin or prefix-aware"),
        ("prefix_tokens", "900", "fewer than the prompt's"),
        ("prefix_tokens", "-3", "prefix_tokens"),
        ("requests_file", "../x.csv", "name of a file"),
        ("requests_file", "none.csv", "none.csv"),
    ],
)
def test_bad_loads_are_a_line(tmp_path: Path, column: str, value: str, wrong: str) -> None:
    file = tmp_path / "loads.csv"
    plain = "mode,model,system,engine,isl,osl,tp,requests_per_s,arrivals"
    row = "colocated,llama-3.1-8b,h100,vllm,800,100,1,4,poisson"
    file.write_text(f"{plain},{column}\n{row},{value}\n")
    with pytest.raises(InputError, match=wrong):
        loads.read(file)
