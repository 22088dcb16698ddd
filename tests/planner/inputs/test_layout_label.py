"""Names of layouts: read back as they are written, whatever the model and the engine."""

from __future__ import annotations

import pytest

from planner import InputError, load
from planner.inputs.layout_label import LONGEST, Widths, label, parse
from planner.simulate import space


@pytest.mark.parametrize("model", ["llama-3.1-70b", "deepseek-r1", "qwen3-235b-a22b", "gpt-oss-120b"])
@pytest.mark.parametrize("phase", ["prefill", "decode", "colocated"])
def test_every_name_that_the_product_prints_is_read_back(model, phase):
    chunked = phase == "prefill"
    at = space.layouts(load().model(model), phase, max_gpus=144, scale_up_gpus=72)
    names = set()
    for row in range(len(at)):
        one = at.choice(row, chunked)
        read = parse(one.label)
        assert read[:5] == (one.tp, one.pp, one.attention_dp, one.moe_tp, one.ep)
        assert read.chunked == (chunked and one.pp > 1)
        assert read.gpus == one.gpus
        names.add(one.label)
    assert len(names) == len(at)  # a name stands for one layout


@pytest.mark.parametrize(
    ("typed", "widths"),
    [
        ("tp8", Widths(8, 1, 1, 8, 1)),
        (" TEP8 ", Widths(8, 1, 1, 1, 8)),
        ("DEP72", Widths(1, 1, 72, 1, 72)),
        ("PP3xTP8", Widths(8, 3, 1, 8, 1)),
        ("cpp12Xdep96", Widths(1, 12, 96, 1, 96, True)),
        ("EP4TP2", Widths(8, 1, 1, 2, 4)),
        ("DP8-TP8", Widths(1, 1, 8, 8, 1)),
        ("TP2DP8-EP4TP4", Widths(2, 1, 8, 4, 4)),
        ("TP2DP8EP16", Widths(2, 1, 8, 1, 16)),
        ("PP1xTP2", Widths(2, 1, 1, 2, 1)),
        ("DEP1", Widths(1, 1, 1, 1, 1)),
    ],
)
def test_names_as_people_type_them(typed, widths):
    assert parse(typed) == widths
    assert parse(label(**widths._asdict())) == widths


@pytest.mark.parametrize(
    "typed",
    ["", "8", "TP", "TP0", "TP08", "DP8", "TP8-", "-TP8", "PP4", "PP4x", "TP8xPP4", "TP3x", "TP99999",
     "TP8-EP4TP4", "TP4096DP4096EP4", "\x1b]0;TP8", "TP" + "8" * LONGEST, "TP٨", "DEP16\n\nDEP16"],
)  # fmt: skip
def test_what_says_nothing_is_refused_in_one_line(typed):
    with pytest.raises(InputError) as refused:
        parse(typed, "decode-layout")
    line = str(refused.value)
    assert line.startswith("decode-layout: ") and line.isprintable()
