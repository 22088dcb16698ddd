"""Closed forms of waiting against replays: few cases of the page, and that it can be written."""

from __future__ import annotations

from dataclasses import replace

from planner import load
from planner.evidence import validate_waits
from planner.evidence.page import waits as page


def test_equal_prompts_wait_in_plans_as_they_do_in_replays() -> None:
    few = [replace(of, kinds=("constant",), instances=(4,)) for of in validate_waits.SUBJECTS]
    found = list(validate_waits.cases(load(), subjects=few[:1], loads=(0.7,), most=1500))
    assert [one.way for one in found] == ["colocated", "disaggregated"]
    for one in found:
        assert abs(one.error("ftl", "mean")) < 0.10 and abs(one.error("ftl", "p95")) < 0.15
        assert abs(one.error("ttl", "mean")) < 0.10
    written = page.page(found)
    assert "| llama-3.1-70b | co-located | constant | 4 | 70% |" in written
    assert "| split | constant |" in written
    assert validate_waits.summarise(found)["groups"][0]["within"] in (0, 1)


def test_prompts_wait_for_the_passes_of_ranks_in_lockstep() -> None:
    few = replace(validate_waits.SUBJECTS[1], kinds=("constant",), instances=(1,))
    found = list(
        validate_waits.cases(load(), subjects=[few], ways=("disaggregated",), loads=(0.3, 0.6), most=3000)
    )
    for one in found:
        assert one.sure and one.within
        assert abs(one.error("ftl", "p50")) < 0.10
