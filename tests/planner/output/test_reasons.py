"""Why nothing fits, and what would, in words."""

from __future__ import annotations

import pytest

from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output.reasons import change_text, reason_text, way_text, ways_out
from planner.planning.result import Reason, Relaxation

ASKED = Scenario(
    limits=Limits(ftl_s=2.0, ttl_s=0.005),
    fleet=Fleet(gpus=16, instance_gpus=8),
    traffic=Traffic(isl=4096, osl=512, requests_per_s=30.0),
)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (
            Reason(limit="memory", points=1234, memory_bytes=(80 * 2**30,)),
            "1,234 do not fit in 80 GiB per GPU",
        ),
        (
            Reason(limit="memory", points=5, memory_bytes=(80 * 2**30, 141 * 2**30)),
            "5 do not fit in 80 GiB or 141 GiB per GPU",
        ),
        (Reason(limit="ftl", points=7, best=2.5), "7 fit but miss FTL 2 s (best 2.5 s)"),
        (Reason(limit="ttl", points=56, best=0.007), "56 miss TTL 5 ms (best 7 ms)"),
        (
            Reason(limit="rate", points=0, best=12.5),
            "16 GPUs serve at most 12.5 of 30 requests/s within the limits",
        ),
    ],
)
def test_what_stops_the_points(reason: Reason, text: str) -> None:
    assert reason_text(ASKED, reason) == text


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("ttl", 0.0073, "TTL 5 ms -> 7.3 ms (+46%)"),
        ("ftl", 60.0, "FTL 2 s -> 60 s (30×)"),
        ("rate", 12.0, "rate 30 -> 12 (-60%)"),
        ("rate", 0.3, "rate 30 -> 0.3 (1/100)"),
        ("gpus", 64.0, "GPUs 16 -> 64"),
        ("instance-gpus", None, "instance 8 -> any"),
        ("weights", "fp8", "weights auto -> fp8"),
    ],
)
def test_what_a_change_moves(field: str, value: float | str | None, text: str) -> None:
    assert change_text(ASKED, Relaxation(field=field, value=value)) == text


def test_changes_that_are_enough_together() -> None:
    way = (Relaxation(field="ttl", value=0.0073), Relaxation(field="gpus", value=24.0))
    assert way_text(ASKED, way) == "TTL 5 ms -> 7.3 ms (+46%) and GPUs 16 -> 24"


@pytest.mark.parametrize(("changes", "told"), [(1, "This is enough"), (2, "Each of these is enough")])
def test_one_change_is_not_each_of_several(changes: int, told: str) -> None:
    assert ways_out(changes) == told
