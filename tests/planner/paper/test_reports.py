"""How claims are judged, and the reports."""

from __future__ import annotations

import csv
import io
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs.catalog import load
from planner.paper import assumptions, dynamic, page, report, reproduction, scenarios, where_it_pays
from planner.paper.claims.claim import Claim, Part, Verdict, fact
from planner.paper.claims.claim import load as load_claims
from planner.paper.scenarios import LLAMA_8B, LLAMA_70B, heavy, within
from planner.paper.settings import SERVED, STUDY
from planner.paper.sweeps import Sweeps

SMALL = heavy(LLAMA_70B)
CLAIMS = load_claims()


def test_all_claims_are_there_with_what_was_expected_and_how_far_off_may_be():
    assert [claim.id for claim in CLAIMS] == list(range(1, 24)) == sorted(reproduction.CHECKS)
    for claim in CLAIMS:
        assert claim.kind in ("direction", "magnitude")
        assert claim.text and claim.expected and claim.tolerance


def _verdict(*holds):
    claim = Claim(id=1, figure="", kind="direction", text="", expected="", tolerance="")
    parts = tuple(Part(name="p", got="g", holds=h) for h in holds)
    return Verdict(claim=claim, parts={"study": parts, "served": ()})


@pytest.mark.parametrize(
    ("holds", "verdict"),
    [
        ((True, True), "pass"),
        ((True, False), "fail"),
        ((np.bool_(True), np.bool_(False)), "fail"),
        ((True, None), "open"),
        ((False, None), "fail"),
    ],
)
def test_a_claim_passes_only_when_every_part_holds(holds, verdict):
    assert _verdict(*holds).verdict == _verdict(*holds).of("study") == verdict


def test_parts_that_do_not_hold_are_marked():
    assert _verdict(True, False).got("study") == "p: g; p: g (does not hold)"
    assert fact("seen", "so").holds is True


def test_a_check_fails_on_a_study_where_the_finding_is_not_so(presets):
    """Where co-located serving is a hundred times slower, it beats nothing."""

    class Twisted(Sweeps):
        def colocated(self, scenario, batching=None):
            curve = super().colocated(scenario, batching)
            slow = curve.frontier.tokens_per_s_per_gpu / 100
            return replace(curve, frontier=replace(curve.frontier, tokens_per_s_per_gpu=slow))

    twisted = Twisted(presets)
    assert not all(part.holds for part in reproduction.CHECKS[15](twisted))
    assert not all(part.holds for part in reproduction.CHECKS[5](twisted))


@pytest.fixture(scope="module")
def done():
    return reproduction.run("14")


def test_one_figure_brings_the_claims_read_from_it(done):
    assert [figure.id for figure in done.figures] == ["14"]
    assert [verdict.claim.id for verdict in done.verdicts] == [21]
    assert done.design_points > 10_000


def test_the_json_holds_what_it_promises(done):
    found = json.loads(report.to_json(done))
    assert {"claims", "figures", "design_points", "seconds"} <= found.keys()
    claim = found["claims"][0]
    assert {"id", "text", "kind", "expected", "got", "verdict"} <= claim.keys()
    assert claim["verdict"] in ("pass", "fail", "open")
    assert claim["settings"].keys() == {"study", "served", "perfect", "fp8_cache"}
    assert claim["verdict"] == claim["settings"]["study"]["verdict"]
    series = found["figures"]["14"]["panels"][0]["series"]
    assert len(series) == 2 and all(len(s["x"]) == len(s["y"]) > 5 for s in series)


def test_a_figure_is_drawn_in_both_settings_and_has_bands_as_served(done):
    panels = json.loads(report.to_json(done))["figures"]["14"]["panels"]
    assert [panel["setting"] for panel in panels] == [STUDY.title, SERVED.title]
    bare, served = (panel["series"][0] for panel in panels)
    assert "y_low" not in bare
    for axis in ("x", "y"):
        low, value, high = (np.array(served[name]) for name in (f"{axis}_low", axis, f"{axis}_high"))
        assert np.all(low < value) and np.all(value < high)


def test_parts_made_elsewhere_make_the_same_study():
    def each(do, parts, catalog):
        do = pickle.loads(pickle.dumps(do))
        for part in parts:
            yield pickle.loads(pickle.dumps(do(part, catalog)))

    told: list[int] = []
    here, there = reproduction.run("13"), reproduction.run("13", on_sweep=told.append, each=each)
    assert _untimed(report.to_json(here)) == _untimed(report.to_json(there))
    assert told[-1] == there.design_points == here.design_points


def _untimed(text):
    return {**json.loads(text), "seconds": 0}


def test_a_figure_that_nothing_serves_is_drawn_once():
    (figure,) = reproduction.run("13").figures
    assert len(figure.panels) == 1


def test_csv_has_absolute_and_normalised_values(done):
    rows = list(csv.DictReader(io.StringIO(report.to_csv(done.figures[0]))))
    assert max(float(row["y_normalised"]) for row in rows) == pytest.approx(1)
    assert max(float(row["x_normalised"]) for row in rows) == pytest.approx(1)
    assert max(float(row["y"]) for row in rows) > 100
    assert all(row["layout"] for row in rows)
    assert {row["setting"] for row in rows} == {STUDY.title, SERVED.title}
    for row in rows:
        if row["setting"] == SERVED.title:
            assert float(row["y_low"]) < float(row["y"]) < float(row["y_high"])
        else:
            assert row["y_low"] == row["x_high"] == ""


def test_the_page_names_every_claim_with_its_verdict(done):
    text = page.to_markdown(done, {"14": "PICTURE"})
    assert "### Claim 21" in text and "PICTURE" in text
    verdict = done.verdicts[0]
    mark = verdict.verdict if verdict.verdict == "pass" else f"**{verdict.verdict}**"
    assert f"Verdict: {mark} ({STUDY.title})" in text
    assert all(part.got in text for parts in verdict.parts.values() for part in parts)


def test_the_page_tells_every_change_after_the_first_look(done):
    changed = page.to_markdown(done, {}).split("## Changed after the first look")[1]
    assert all(f"Claim {c.id}." in changed for c in CLAIMS if c.changed)
    assert 0 < sum(bool(c.changed) for c in CLAIMS) < 10


def test_an_unknown_figure_is_told_in_one_line():
    with pytest.raises(InputError, match="figure: '77'"):
        reproduction.run("77")


def test_where_it_pays_needs_both_ways(served):
    row = where_it_pays.row(served, where_it_pays.elsewhere(LLAMA_8B, "h200", 4096, 256))
    assert row.weights == "fp8" and row.gain_medium > 1
    assert row.medium_low < row.gain_medium < row.medium_high
    assert row.pays in ("everywhere", "medium, tight", "loose, medium", "medium")
    assert where_it_pays.row(served, within(SMALL, 1e-4)) is None


SCENARIOS = {name: own for found in scenarios.PRESETS.values() for name, own in found.items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scenarios_of_a_figure_are_its_cases(name):
    preset, own = load().scenario(name), SCENARIOS[name]
    for what in ("model", "system", "weights", "kv", "traffic", "mla_cache"):
        assert getattr(preset, what) == getattr(own, what)
    assert preset.fleet.gpus is None


def test_every_scenario_of_the_study_belongs_to_a_figure():
    assert {name for name in load().names("scenario") if name.startswith("paper-")} == set(SCENARIOS)
    assert scenarios.PRESETS.keys() == reproduction.FIGURES.keys()


@pytest.mark.slow
def test_assumptions_are_told_apart_and_counted(presets, monkeypatch):
    fleets = dict.fromkeys([*dynamic.STATIC, *dynamic.PLANNERS], dynamic.Goodput(share=0.5, gpus=4.0))
    monkeypatch.setattr(dynamic, "measured", lambda _: fleets)  # one experiment for all mixes
    pair = [s for s in assumptions.settings() if s.name in ("fp4, charged, 1", "fp8, full, perfect")]
    done = assumptions.run(presets, pair)
    first, last = done.mixes
    numbers = [claim.id for claim in CLAIMS]
    assert list(first.verdicts) == list(last.verdicts) == numbers
    assert set(done.always) == set(first.passing) & set(last.passing)
    assert set(done.never) == set(numbers) - set(first.passing) - set(last.passing)
    assert done.design_points > 1_000_000
    text, page_text = assumptions.to_text(done), assumptions.to_markdown(done)
    for mix in done.mixes:
        assert all(cell in text and cell in page_text for cell in assumptions.cells(mix))
    found = assumptions.to_dict(done)
    assert found["mixes"][1]["perfect_kernels"] and found["mixes"][1]["latencies"] is None


def test_the_first_mix_is_the_studys_setting():
    first = assumptions.settings()[0]
    assert (first.kv, first.full, first.latencies, first.perfect, first.serving) == (
        STUDY.kv,
        STUDY.full,
        STUDY.latencies,
        STUDY.perfect,
        STUDY.serving,
    )


@pytest.mark.parametrize("latencies", [0.5, 0.0])
def test_smaller_latencies_make_no_step_slower(presets, in_study, latencies):
    shorter = Sweeps(presets, setting=replace(STUDY, latencies=latencies))
    measured, found = in_study.decode_points(SMALL), shorter.decode_points(SMALL)
    assert found.ttl_s.min() < measured.ttl_s.min()
    full = Sweeps(presets, setting=replace(STUDY, full=True)).prefill_points(SMALL)
    charged = in_study.prefill_points(SMALL)
    assert (full.requests_per_s / full.gpus).max() >= (charged.requests_per_s / charged.gpus).max()
