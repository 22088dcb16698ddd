"""Plans lie on the hosts that their budget fills."""

from __future__ import annotations

from dataclasses import replace

from planner.inputs.catalog import load
from planner.planning import several, survive
from planner.planning.result import Serving
from tests.planner.planning.test_plan import R1, answer


def _hosts(serving: Serving) -> int:
    """Hosts of the system that has most."""
    found = survive.placed(serving, survive.nodes_of(serving)).values()
    return max(len({host for one in some for host in one.hosts}) for some in found)


def test_every_way_of_matching_lies_on_the_hosts_that_there_are() -> None:
    """A mix too, asked for or not, and what a study asks: 72 GPUs are 18 hosts of 4."""
    mixed = answer(replace(R1, mix=True))
    offered = answer(R1).mix
    assert mixed.mix is not None and offered is not None
    ways = (
        answer(R1).disaggregated,
        offered.serving,
        mixed.disaggregated,
        mixed.colocated,
        mixed.mix.serving,
    )
    for way in ways:
        assert way is not None and _hosts(way) <= 18
    (one,) = several.answers([R1], load())
    assert isinstance(one, several.Answer) and one.chosen is not None
    assert one.chosen.requests_per_s == answer(R1).chosen.requests_per_s  # type: ignore[union-attr]
