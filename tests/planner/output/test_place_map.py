"""Maps of places: every instance once, on GPUs of its own, within the width; the command that draws them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain

import pytest

from planner import Fleet, Scenario, load, plan
from planner.output import place_map
from tui.cli.main import main

CATALOG = load()
SMALL = ("--model", "llama-3.1-8b", "--system", "h100", "--engine", "vllm", "--instance-gpus", "2")


@pytest.fixture(scope="module")
def found():
    fleet = Fleet(gpus=20, instance_gpus=2)
    return plan(Scenario(model="llama-3.1-8b", system="h100", engine="vllm", fleet=fleet), CATALOG)


@pytest.mark.parametrize("way", ["disaggregated", "colocated"])
@pytest.mark.parametrize("width", [24, 80, 200])
def test_every_instance_is_drawn_on_its_gpus(found, way, width):
    serving = getattr(found, way)
    drawn = place_map.map_of(serving)
    cells = list(chain.from_iterable(chain.from_iterable(board.gpus for board in drawn.boards)))
    for (pool, _), name in drawn.names.items():
        assert cells.count(name) == serving.pools[pool].layout.gpus
    assert sum(map(bool, cells)) == serving.gpus
    for plain in (True, False):
        lines = place_map.lines(found, serving, width, ascii=plain)
        boxes = [line for line in lines if "|" in line or "│" in line]
        assert all(len(line) <= max(width, 40) for line in boxes)
        assert sum(line.count("C0 ") + line.count("P0 ") for line in boxes) >= 1
        assert not plain or all(line.replace("×", "x").isascii() for line in lines)


def test_domains_of_hosts_stand_together_and_free_gpus_are_told(found):
    serving = found.colocated
    pools = tuple(replace(pool, system="gb200", domain_gpus=72) for pool in serving.pools)
    wide = replace(serving, pools=pools)
    board = place_map.map_of(wide).boards[0]
    assert board.nodes.domain_hosts == 18 and board.hosts % 18 == 0
    lines = place_map.lines(found, wide, 80, ascii=True)
    assert "domain 0" in lines and any("gb200" in line for line in lines)
    data = place_map.to_data(found, serving)
    assert sum(len(g) for one in data["instances"] for g in one["gpus"]) == serving.gpus
    assert data["gpus_left"] == 20 - serving.gpus


def test_the_command_draws_lists_and_refuses(capsys):
    assert main(["place", *SMALL, "--gpus", "8", "--ascii"]) == 0
    out, err = capsys.readouterr()
    assert "h100: 1 host of 8 GPUs" in out and out.isascii() and not err
    assert main(["place", *SMALL, "--gpus", "8", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    serving = plan(
        Scenario(model="llama-3.1-8b", system="h100", engine="vllm", fleet=Fleet(gpus=8, instance_gpus=2)),
        CATALOG,
    ).deployed
    assert len(told["instances"]) == sum(pool.instances for pool in serving.pools)
    assert main(["place", *SMALL, "--ttl", "1us"]) == 2
    assert main(["place", *SMALL, "--ttl", "110us"]) == 3
