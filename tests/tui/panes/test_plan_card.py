"""The card renders what the planner's words decide: the same deployment, the same thresholds."""

from __future__ import annotations

import dataclasses

import fakes

from planner.output.verdict import verdict
from planner.output.words import ALIKE
from planner.planning.result import Knee, Mix, Plan
from tui.glyphs import ASCII, UNICODE
from tui.panes.plan_card import card, found, headline


def mixed(gain: float, *, asked: bool) -> Plan:
    plan = fakes.plan(dataclasses.replace(fakes.SCENARIO, mix=asked))
    serving = plan.chosen
    assert serving is not None
    twice = (serving.prefill, dataclasses.replace(serving.prefill, instances=9), serving.decode)
    return dataclasses.replace(plan, mix=Mix(serving=dataclasses.replace(serving, pools=twice), gain=gain))


def shown(plan: Plan, width: int = 100) -> str:
    return "\n".join(line.plain for line in card(plan, width, UNICODE))


def test_a_mix_is_shown_as_the_plan_where_it_was_asked_for() -> None:
    asked, offered = mixed(0.074, asked=True), mixed(0.074, asked=False)
    rows = [line.split()[0] for line in shown(asked).splitlines()]
    assert rows.count("prefill") == 2 and "mixed" not in rows
    assert "(+7.4 %)" in shown(offered)


def test_a_mix_that_brings_next_to_nothing_is_not_offered() -> None:
    assert "mixed" not in shown(mixed(0.9 * ALIKE, asked=False))


def test_what_is_tight_in_its_row_binds_in_the_title() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    assert UNICODE.tight in shown(plan) and found(plan, UNICODE).endswith("binding: TTL")


def test_the_longest_headline_that_fits_is_taken() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    answer = verdict(plan)
    assert answer is not None
    for text in answer.headlines:
        assert headline(plan, len(text), UNICODE) == text
    assert headline(plan, 200, ASCII).isascii()


def test_what_a_pool_rests_on_is_shown_where_there_is_room() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    wide, narrow = shown(plan, 120), shown(plan, 60)
    assert "evidence" in wide and wide.count("extrapolated") == wide.count("measured") == 1
    assert "evidence" not in narrow and "extrapolated/measured" in narrow
    brief = "".join(line.plain for line in card(plan, 60, UNICODE, brief=True))
    assert "extrapolated" not in brief


def test_what_the_first_token_costs_is_said_where_there_is_room() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    assert plan.disaggregated is not None
    knee = Knee(best_ftl_s=10 * plan.disaggregated.ftl_s, best_requests_per_s=9.0, costs=0.019)
    serving = dataclasses.replace(plan.disaggregated, knee=knee)
    told = dataclasses.replace(plan, disaggregated=serving)
    roomy, other = (" ".join(line.plain for line in card(told, 90, UNICODE, knee=k)) for k in (True, False))
    assert "costs 1.9 %." in roomy and "costs" not in other
    assert len(card(plan, 90, UNICODE, knee=True)) == len(card(plan, 90, UNICODE))
