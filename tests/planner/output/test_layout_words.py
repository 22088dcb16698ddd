"""Layouts in words: every piece of a name has its line, and the flags agree with the sizes."""

from __future__ import annotations

import json

import pytest

import planner
from planner.inputs.layout_label import parse
from planner.output import layout_words
from planner.output.deploy import explain
from tui.cli.main import main

NAMES = ("TP8", "PP2xTP4", "CPP4xTP8", "TEP8", "DEP16", "TP8-EP4TP2", "DP8-TP8", "DP8-EP4TP2", "TP2DP8EP16")


@pytest.mark.parametrize("name", NAMES)
def test_every_layout_has_its_words(name):
    at = parse(name)
    said = " ".join(layout_words.sentences(at))
    assert name in said and f"{at.gpus} GPU" in said
    assert ("stages" in said) == (at.pp > 1)
    assert ("attention DP" in said) == (at.attention_dp > 1)
    assert layout_words.legend((name,))


def test_the_legend_of_some_names_has_their_pieces_alone():
    pieces = [line.split(":")[0] for line in layout_words.legend(("CPP3xTP1", "DP8-EP4TP2"))]
    assert pieces == ["TP8", "CPP4x...", "DP8-...", "EP4TP2"]
    assert len(layout_words.legend()) == len(layout_words.LEGEND)


def test_each_engine_says_flags_or_a_reason():
    for name in NAMES:
        at = parse(name)
        for engine in explain.engines(at, planner.load()):
            for said in engine.by_phase.values():
                assert bool(said.flags) != bool(said.reason)
    partial = {e.engine: e for e in explain.engines(parse("TP8-EP4TP2"), planner.load())}
    assert "whole experts" in partial["vllm"].by_phase["decode"].reason
    assert partial["sglang"].by_phase["decode"].flags == "--tp-size 8 --ep-size 4"


def test_the_command_explains_and_refuses(capsys):
    assert main(["explain", "dep16", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["layouts"][0]
    assert told["label"] == "DEP16" and told["gpus"] == 16
    assert main(["explain", "CPP4xTP8-EP4TP2"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    assert main(["explain"]) == 0
    assert "DEP16:" in capsys.readouterr().out
    assert main(["explain", "TP0"]) == 2
    assert "layout" in capsys.readouterr().err
