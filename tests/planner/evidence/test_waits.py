"""Closed forms of waiting against replays: few cases of the page, and that it can be written."""

from __future__ import annotations

from planner import load
from planner.evidence import validate_waits
from planner.evidence.page import waits as page


def test_equal_prompts_wait_in_plans_as_they_do_in_replays() -> None:
    found = list(validate_waits.cases(load(), kinds=("constant",), instances=(4,), loads=(0.7,), most=1500))
    assert [one.way for one in found] == ["colocated", "disaggregated"]
    for one in found:
        assert abs(one.error("ftl", "mean")) < 0.10 and abs(one.error("ftl", "p95")) < 0.15
        assert abs(one.error("ttl", "mean")) < 0.10
    written = page.page(found)
    assert "| co-located | constant | 4 | 70% |" in written and "| split | constant |" in written
    assert validate_waits.summarise(found)["groups"][0]["within"] in (0, 1)
