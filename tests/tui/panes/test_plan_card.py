"""The card renders what the planner's words decide: the same deployment, the same thresholds."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import fakes

from planner.inputs.scenario import Limits
from planner.output.verdict import answer_sentence, verdict
from planner.output.words import ALIKE
from planner.planning.near_miss import Miss
from planner.planning.result import Knee, Load, Mix, Percentiles, Plan, Queued
from planner.units import format_seconds
from tui.glyphs import ASCII, UNICODE
from tui.panes.card_numbers import pool_table
from tui.panes.card_text import card, headline
from tui.panes.plan_card import found
from tui.panes.why_not import closest_miss
from tui.panes.words import wrap


def mixed(gain: float, *, asked: bool) -> Plan:
    plan = fakes.plan(dataclasses.replace(fakes.SCENARIO, mix=asked))
    serving = plan.chosen
    assert serving is not None
    twice = (serving.prefill, dataclasses.replace(serving.prefill, instances=9), serving.decode)
    return dataclasses.replace(plan, mix=Mix(serving=dataclasses.replace(serving, pools=twice), gain=gain))


def shown(plan: Plan, width: int = 100, **options: Any) -> str:
    return "\n".join(line.plain for line in card(plan, width, UNICODE, **options))


def test_a_mix_is_shown_as_the_plan_where_it_was_asked_for() -> None:
    asked, offered = mixed(0.074, asked=True), mixed(0.074, asked=False)
    rows = [line.split()[0] for line in shown(asked).splitlines()]
    assert rows.count("prefill") == 2 and "mix" not in rows
    assert "+7.4 % by mixing layouts (mix on): " in shown(offered)


def test_long_mixes_are_whole() -> None:
    """`mixed ...` was cut off where its layouts did not fit in a row, and so was the closest miss."""
    plan = mixed(0.074, asked=False)
    assert plan.mix is not None
    many = dataclasses.replace(plan.mix.serving, pools=plan.mix.serving.pools * 3)
    told = shown(dataclasses.replace(plan, mix=dataclasses.replace(plan.mix, serving=many)), 51)
    assert all(len(line) <= 51 for line in told.splitlines())
    pools = " + ".join(f"{pool.instances}×{pool.layout.label}" for pool in many.pools)
    assert f"+7.4 % by mixing layouts (mix on): {pools}" in " ".join(told.splitlines())
    nothing = fakes.plan(dataclasses.replace(fakes.SCENARIO, limits=Limits(ftl_s=2.0, ttl_s=0.002)))
    near = Miss(plan=dataclasses.replace(plan, choice="disaggregated", disaggregated=many), relax=())
    lines = [line.plain for line in closest_miss(nothing, near, 51, UNICODE)]
    assert f"Closest miss: {pools}" in " ".join(lines) and all(len(line) <= 51 for line in lines)


def test_a_mix_that_brings_next_to_nothing_is_not_offered() -> None:
    assert "mixing" not in shown(mixed(0.9 * ALIKE, asked=False))


def test_what_a_mix_is_better_than_is_said_where_that_is_not_the_plan() -> None:
    plan = mixed(0.074, asked=False)
    assert "+7.4 % by mixing layouts" in shown(plan)
    assert "+7.4 % over one layout a pool by mixing" in shown(dataclasses.replace(plan, choice="colocated"))


def test_what_is_tight_in_its_row_binds_in_the_title() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    assert UNICODE.tight in shown(plan) and found(plan, UNICODE, 60).endswith("binding: TTL")


def test_what_binds_is_whole_where_the_optimisers_word_has_no_room() -> None:
    """At 60 columns the border read `m more · optimal · binding: …`."""
    plan = fakes.plan(fakes.SCENARIO)
    assert found(plan, UNICODE, 22) == "optimal · binding: TTL"
    assert found(plan, UNICODE, 21) == "binding: TTL"


def test_the_longest_headline_that_fits_is_taken() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    answer = verdict(plan)
    assert answer is not None
    for text in answer.headlines:
        assert headline(plan, len(text), UNICODE) == text
    assert headline(plan, 200, ASCII).isascii()


def test_each_pool_is_a_sentence_that_fits_and_keeps_its_name() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    wide = shown(plan, 120)
    assert (
        "prefill 1×CPP4xTP4: 1 instance of 16 GPUs, a 4-stage chunked pipeline, tensor parallel over 4"
        in wide
    )
    assert "decode 3×DEP16: 3 instances of 16 GPUs, data-parallel attention, whole experts" in wide
    for width in (33, 51, 71):
        lines = shown(plan, width).splitlines()
        assert any(line.startswith("prefill 1×CPP4xTP4: ") for line in lines)
        assert max(map(len, lines)) <= width


def test_both_ways_stand_against_the_limits() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    rows = {line.split()[1]: line for line in shown(plan, 51).splitlines() if line[0] in "◆◇"}
    assert rows["split"].startswith("◆") and rows["co-loc."].startswith("◇")
    assert "1.24 s ✓" in rows["split"] and "19.4 ms ▲" in rows["co-loc."]
    assert "≤ 2 s" in shown(plan, 51) and "≤ 20 ms" in shown(plan, 51)


def test_where_requests_queue_the_percentile_is_named() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    assert plan.disaggregated is not None
    of = Percentiles(mean=1.0, p50=0.9, p90=1.1, p95=1.2, p99=1.5)
    queued = Queued(
        arrivals="poisson",
        routing="central",
        ftl_at="p95",
        ftl=of,
        ttl=of,
        e2e=of,
        utilisation=0.5,
        breaks_at=0.8,
    )
    load = Load(
        requests_in_flight=9.0, requests_per_s=2.0, alone_ftl_s=0.8, ftl_s=1.0, ttl_s=1.0, queued=queued
    )
    told = dataclasses.replace(plan, disaggregated=dataclasses.replace(plan.disaggregated, load=load))
    assert "FTL p95" in shown(told) and "P50 / P95 / P99: first token 900 ms" in shown(told)
    assert "p95" not in shown(plan).lower()


def test_a_column_without_room_keeps_its_name() -> None:
    """`extrapolated/neighbour · chunk 16k`: of what, nothing told."""
    plan = fakes.plan(fakes.SCENARIO)
    assert plan.deployed is not None
    kinds = "/".join(dict.fromkeys(pool.evidence.kind for pool in plan.deployed.pools if pool.evidence))
    for width in range(40, 64):
        _, dropped = pool_table(plan, plan.deployed, width, UNICODE)
        assert not any(text.startswith(kinds) for text in dropped)
    assert f"evidence {kinds}" in pool_table(plan, plan.deployed, 40, UNICODE)[1]


def test_little_room_takes_the_extras_one_by_one_and_more_brings_the_numbers_behind() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    whole = shown(plan, 60).splitlines()
    for room in range(7, len(whole)):
        assert len(shown(plan, 60, room=room).splitlines()) <= room
    assert "evidence" in shown(plan, 51, room=8) and "in 4 of 5 cases" not in shown(plan, 51, room=8)
    more = shown(plan, 60, room=8, more=True)
    assert "in 4 of 5 cases" in more and "batch" in more and "tok/s/user" in more and "KV" in more


def test_what_a_pool_rests_on_is_shown() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    wide, narrow = shown(plan, 80), shown(plan, 51)
    assert "extrapolated" in wide and "evidence: prefill" not in wide
    assert "evidence: prefill extrapolated, decode measured" in narrow


def test_what_the_first_token_costs_is_said_where_there_is_room() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    assert plan.disaggregated is not None
    knee = Knee(best_ftl_s=10 * plan.disaggregated.ftl_s, best_requests_per_s=9.0, costs=0.019)
    told = dataclasses.replace(plan, disaggregated=dataclasses.replace(plan.disaggregated, knee=knee))
    later = format_seconds(knee.best_ftl_s)
    full = f"A first token after 1.24 s instead of {later} costs 1.9 % of the throughput: slack allows 2 %."
    assert full in shown(told, 100).splitlines()
    assert f"FTL 1.24 s, not {later}, for 1.9 % fewer tok/s" in shown(told, 51).splitlines()
    assert f"of {later}" not in shown(told, 90, room=8)
    free = dataclasses.replace(plan.disaggregated, knee=dataclasses.replace(knee, costs=0.0))
    assert f"instead of {later}, at no cost." in shown(dataclasses.replace(plan, disaggregated=free), 90)


def test_where_the_ways_take_unlike_numbers_of_gpus_these_are_told() -> None:
    """402 tokens/s per GPU against 435 was a split that makes 1.39 times as much: it had more GPUs."""
    plan = fakes.plan(fakes.SCENARIO)
    fewer = dataclasses.replace(plan.colocated, gpus=32)
    for of, told in ((plan, False), (dataclasses.replace(plan, colocated=fewer), True)):
        lines = shown(of, 51).splitlines()
        head = next(line for line in lines if "tok/s/GPU" in line)
        assert ("GPUs" in head) is told and all(len(line) <= 51 for line in lines)
    assert "32" in next(line for line in lines if "co-loc." in line)


def test_the_other_ways_pools_are_marked_as_its_row_is() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    for g in (UNICODE, ASCII):
        lines = [line.plain for line in card(plan, 90, g, room=40)]
        pool = next(line for line in lines if "TP16" in line)
        assert pool.startswith(f"{g.other} co-located")
        assert all(len(line) <= 90 for line in lines)
        assert not any(line.startswith(g.other) and "prefill" in line for line in lines)


def test_a_number_stays_with_its_unit() -> None:
    said = "932 fit but miss FTL 10 s (best 90.9 ms) in 140 GiB per GPU"
    for width in range(12, 60):
        told = [line.plain for line in wrap(said, width, "")]
        assert " ".join(told) == said
        assert not any(re.match(r"(s|ms\)|GiB)\b", line) for line in told), told


def test_a_tie_is_called_one_at_any_width() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    near = [
        dataclasses.replace(way, tokens_per_s_per_gpu=rate)
        for way, rate in zip((plan.disaggregated, plan.colocated), (1100.0, 1000.0), strict=True)
    ]
    tie = dataclasses.replace(plan, choice="colocated", disaggregated=near[0], colocated=near[1])
    for width in (52, 70, 100):
        said = headline(tie, width, UNICODE)
        assert said.startswith("A tie, co-locate") and "1.10×" in said and len(said) <= width
    assert "do not split" not in answer_sentence(tie)
    assert "9 % less than a split, which is within the error." in answer_sentence(tie)
