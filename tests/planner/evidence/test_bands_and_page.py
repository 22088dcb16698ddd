"""Error bands: wider where less was measured, in the plan, its exports and its words."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError
from planner.evidence import runs, validate_runs
from planner.evidence.calibrate import engines, intervals, left_out
from planner.evidence.page.write import write
from planner.inputs import catalog
from planner.inputs.catalog import ACCURACY_FILE, load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output import data, verdict, words
from planner.output import text as report
from planner.planning import bands as accuracy
from planner.planning.plan import plan
from planner.planning.resolve import prepare
from planner.planning.result import Plan

PRESETS = catalog.load()
RUNS = Path(__file__).parent / "data" / "runs.csv"
SCENARIO = Scenario(
    model="llama-3.1-70b",
    system="h200",
    engine="trtllm",
    traffic=Traffic(isl=4096, osl=512),
    limits=Limits(ftl_s=5.0, ttl_s=0.05),
    fleet=Fleet(gpus=16),
)


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(SCENARIO, PRESETS)


def width(span: tuple[float, float]) -> float:
    return float(np.log(span[1] / span[0]))


def test_bands_hold_the_prediction_or_its_bias_and_are_ordered() -> None:
    for mode, levels in PRESETS.accuracy()["bands"].items():
        assert mode in accuracy.MODES
        for entry in levels.values():
            for key in ("ttft", "tpot"):
                low, high = entry[key]
                assert 0.02 < low < high < 20
            assert entry["rows"] >= intervals.MIN_ROWS


def test_knowing_less_never_makes_surer() -> None:
    for levels in PRESETS.accuracy()["bands"].values():
        for surer, less_sure in (("both", "one"), ("one", "neither")):
            own, next_ = (levels[level]["engines"] for level in (surer, less_sure))
            assert set(own) == set(next_)
            pairs = [(levels[surer], levels[less_sure]), *((own[name], next_[name]) for name in own)]
            for key in ("ttft", "tpot"):
                for inner, outer in pairs:
                    assert outer[key][0] <= inner[key][0] and inner[key][1] <= outer[key][1]


def test_each_engine_is_covered_as_promised_by_bands_that_have_not_seen_the_run() -> None:
    """Both ways together, and each way."""
    ways = PRESETS.accuracy()["coverage"].values()
    for engine in {name for way in ways for name in way}:
        entries = [way[engine] for way in ways if way[engine]["rows"] >= intervals.MIN_ROWS]
        rows = np.array([entry["rows"] for entry in entries])
        for key in ("ttft", "tpot"):
            shares = np.array([entry[key] for entry in entries])
            assert 0.75 <= np.average(shares, weights=rows) <= 0.9
            assert np.all((shares >= 0.75) & (shares <= 0.9))


def test_an_engine_has_its_own_band_and_one_without_that_of_all() -> None:
    table = PRESETS.accuracy()
    bare = {
        **table,
        "bands": {
            way: {n: {k: v for k, v in e.items() if k != "engines"} for n, e in of.items()}
            for way, of in table["bands"].items()
        },
    }
    for engine, own in (("sglang", True), ("an engine without runs", False)):
        found, pool = (accuracy.of_level(t, "colocated", "both", engine) for t in (table, bare))
        assert (found != pool) == own
    assert accuracy.bands(prepare(SCENARIO, PRESETS), table)["colocated"] == accuracy.of_level(
        table, "colocated", "both", "trtllm"
    )


def left_out_rows(error: dict[str, list[float]], engine: dict[str, str]) -> intervals.LeftOut:
    group = np.array([name for name, of in error.items() for _ in of])
    return intervals.LeftOut(
        error=np.concatenate([np.array(of) for of in error.values()]),
        engine=np.array([engine[name] for name in group]),
        group=group,
        related={name: group == name for name in error},
    )


def test_no_run_has_a_say_in_the_band_that_judges_it() -> None:
    even = list(np.linspace(-1, 1, 40))
    ran = {"a": "x", "b": "x", "c": "y"}
    rows = left_out_rows({"a": even, "b": even, "c": even}, ran)
    moved = left_out_rows({"a": list(np.array(even) / 10 + 3), "b": even, "c": even}, ran)
    # however far off the first group is, the band from the others that judges it stays
    assert not intervals.covered(moved)[:40].any()
    assert 0.75 <= intervals.covered(rows).mean() <= 0.9
    # and groups that differ stretch the band of their engine beyond what holds 80 % of themselves
    apart = left_out_rows({"a": list(np.array(even) - 1), "b": list(np.array(even) + 1), "c": even}, ran)
    low, high = np.log(intervals.of_engine([apart], "x"))
    assert (np.abs(apart.error[:80]) <= min(-low, high)).mean() > 0.85
    few = left_out_rows({"a": even, "b": even[:5]}, ran)
    assert np.isnan(intervals.covered(few)[:40]).all()


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "both"),
        ({"model": "mixtral-8x7b"}, "one"),
        ({"system": "a100"}, "one"),
        ({"model": "mixtral-8x7b", "system": "a100"}, "neither"),
        ({"model": "deepseek-r1", "mtp": 1}, "one"),  # no measured run drafts tokens
    ],
)
def test_the_level_says_what_was_measured(changes: dict[str, str], level: str) -> None:
    question = prepare(dataclasses.replace(SCENARIO, **changes), PRESETS)
    assert {band.level for band in accuracy.bands(question, PRESETS.accuracy()).values()} == {level}


def test_an_unmeasured_gpu_widens_every_band() -> None:
    known, unknown = (
        accuracy.bands(prepare(dataclasses.replace(SCENARIO, system=name), PRESETS), PRESETS.accuracy())
        for name in ("h200", "a100")
    )
    for mode in accuracy.MODES:
        for key in ("ftl", "ttl", "throughput"):
            assert width(getattr(unknown[mode], key)) >= width(getattr(known[mode], key))


def test_throughput_follows_the_time_per_token() -> None:
    band = accuracy.bands(prepare(SCENARIO, PRESETS), PRESETS.accuracy())["colocated"]
    assert band.throughput == pytest.approx((1 / band.ttl[1], 1 / band.ttl[0]))


def test_a_plan_carries_its_bands_everywhere(planned: Plan) -> None:
    document = json.loads(data.to_json(planned))
    for mode in ("disaggregated", "colocated"):
        serving = document[mode]
        if serving is None:
            continue
        for key in ("ftl_s", "ttl_s", "tokens_per_s_per_gpu", "tokens_per_s_per_user"):
            low, high = serving[f"{key}_band"]
            assert low < high and low < 1.5 * serving[key] and high > serving[key] / 1.5
        assert document["bands"][mode]["rows"] > 0
    assert document["bands"]["share"] == accuracy.SHARE
    text = report.to_text(planned)
    assert "4 of 5 cases" in text and "measured runs" in text
    assert planned.chosen is not None
    assert [item.short for item in words.expected(planned, planned.chosen)] == ["FTL", "TTL", "tok/s/GPU"]


def test_ranges_are_of_the_capacity_and_end_at_the_rate_that_is_asked_for(planned: Plan) -> None:
    """A tenth of the capacity is served whatever the error; a range of a share of it would deny that."""
    assert planned.chosen is not None
    free = json.loads(data.to_json(planned))[planned.choice]
    assert free["tokens_per_s_per_gpu_band"] == free["capacity_tokens_per_s_per_gpu_band"]
    for share, surely in ((0.1, True), (0.95, False)):
        rate = share * planned.chosen.capacity_requests_per_s
        traffic = dataclasses.replace(SCENARIO.traffic, requests_per_s=rate, arrivals="steady")
        found = plan(dataclasses.replace(SCENARIO, traffic=traffic), PRESETS)
        told = json.loads(data.to_json(found))[found.choice]
        served, most = told["tokens_per_s_per_gpu_band"], told["capacity_tokens_per_s_per_gpu_band"]
        assert served == [min(end, told["tokens_per_s_per_gpu"]) for end in most]
        assert (served[0] == told["tokens_per_s_per_gpu"]) == surely and most[0] < most[1]
        assert found.chosen is not None
        assert words.expected(found, found.chosen)[-1].range == pytest.approx(tuple(most))


def test_the_answer_says_whether_the_advantage_exceeds_the_error(planned: Plan) -> None:
    found = verdict.advantage(planned)
    assert found is not None and found[0] < found[1]
    said = verdict.answer_sentence(planned)
    assert ("beyond the error" if found[0] > 1 else "within the error") in said
    sure = dict.fromkeys(
        accuracy.MODES,
        accuracy.Band(ftl=(1, 1), ttl=(1, 1), throughput=(1, 1), level="both", rows=9),
    )
    assert "beyond the error" in verdict.answer_sentence(dataclasses.replace(planned, bands=sure))


def test_fewer_gpus_for_the_same_rate_are_an_advantage_too() -> None:
    traffic = dataclasses.replace(SCENARIO.traffic, requests_per_s=4.0)
    found = plan(dataclasses.replace(SCENARIO, traffic=traffic, goal="fewest-gpus"), PRESETS)
    low, high = verdict.advantage(found) or (0.0, 0.0)
    split, colocated = found.disaggregated, found.colocated
    assert split is not None and colocated is not None
    chosen, other = (split, colocated) if found.choice == "disaggregated" else (colocated, split)
    assert low < chosen.tokens_per_s_per_gpu / other.tokens_per_s_per_gpu < high
    assert "throughput per GPU" in report.to_text(found)


def test_without_measurements_nothing_is_claimed(planned: Plan) -> None:
    bare = dataclasses.replace(planned, bands={})
    assert bare.chosen is not None and words.expected(bare, bare.chosen) == []
    assert words.band_source(bare) == "" and verdict.advantage(bare) is None
    assert "error" not in verdict.answer_sentence(bare)
    assert "ftl_s_band" not in data.to_json(bare) and "4 of 5" not in report.to_text(bare)
    assert dataclasses.replace(PRESETS, accuracy_file=None).accuracy() == {}
    assert accuracy.bands(prepare(SCENARIO, PRESETS), {}) == {}


def test_ones_own_bands_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path))
    left_out.write({**load().accuracy(), "rows": 7}, tmp_path / ACCURACY_FILE, "a test")
    assert load().accuracy()["rows"] == 7
    (tmp_path / ACCURACY_FILE).write_text("rows = ")
    with pytest.raises(InputError, match="TOML"):
        load().accuracy()


def test_compared_bands_are_wider_than_each() -> None:
    low, high = accuracy.compare(2.0, (0.8, 1.2), (0.9, 1.1))
    assert low < 2 * 0.8 and high > 2 * 1.2
    assert accuracy.compare(2.0, (1, 1), (1, 1)) == (2.0, 2.0)


def test_a_system_can_be_predicted_without_its_own_kernels() -> None:
    system = PRESETS.system("h200")
    assert PRESETS.kernels(system, "vllm").find("gemm", "fp8")[1].system == "h200"
    without = PRESETS.without_kernels("h200")
    assert without.kernels(system, "vllm").find("gemm", "fp8")[1].system == "h100"
    assert without.kernels(PRESETS.system("b200"), "vllm").find("gemm", "fp8")[1].system == "b200"


def test_leaving_out_predicts_every_row_and_not_with_its_own_group() -> None:
    rows = [r for r in runs.read(RUNS) if r.engine == "vllm"]
    rows = [r for r in rows if r.model in ("qwen3-32b", "llama-3.1-70b")]
    split = next(s for s in left_out.SPLITS if s.name == "model")
    ttft, tpot, _ = left_out.ratios(rows, engines.prepare(rows, PRESETS), PRESETS, split)
    assert np.isfinite(ttft).all() and np.isfinite(tpot).all()
    # a row of the left-out group may be changed at will: the others' fit never sees it
    changed = [dataclasses.replace(r, tpot_s=r.tpot_s * 3) if r.model == "qwen3-32b" else r for r in rows]
    _, again, _ = left_out.ratios(changed, engines.prepare(changed, PRESETS), PRESETS, split)
    own = np.array([r.model == "qwen3-32b" for r in rows])
    assert again[own] * 3 == pytest.approx(tpot[own])
    assert not np.allclose(again[~own], tpot[~own])


def test_an_engine_without_runs_is_taken_for_what_all_runs_together_give() -> None:
    rows = [r for r in runs.read(RUNS) if r.model in ("qwen3-32b", "llama-3.1-70b")]
    trials = engines.prepare(rows, PRESETS)
    here = np.array([e.name == "vllm" for e in trials.full.engines])
    assert here.any() and not here.all()
    found = engines.fitted(trials.take(here), PRESETS, ["vllm", "sglang"])
    everything = engines.fitted(trials, PRESETS, ["vllm"])["vllm"]
    names = [c.name for c in engines.CONSTANTS]
    assert [found["sglang"].name, found["vllm"].name] == ["sglang", "vllm"]
    for name, constant in zip(names, engines.CONSTANTS, strict=True):
        assert constant.low <= getattr(found["sglang"], name) <= constant.high
    # engines lean on each other: a profile is not the same when the others' runs are there
    assert any(getattr(everything, name) != getattr(found["vllm"], name) for name in names)


def test_intervals_need_rows_and_contain_what_came_before() -> None:
    few, count = intervals.interval([np.array([0.5, 2.0])], (0.9, 1.1))
    assert few == (0.9, 1.1) and count == 2
    many = np.exp(np.linspace(-1, 1, 101))
    (low, high), _ = intervals.interval([many])
    assert (low, high) == pytest.approx((np.exp(-0.8), np.exp(0.8)))


@pytest.mark.slow  # the command writes one with kernels in tests/tui/cli/test_validate_and_calibrate.py
def test_a_page_of_runs_alone_names_groups_left_out_figures_and_how_to_reproduce() -> None:
    found = validate_runs.predict(runs.read(RUNS), PRESETS)
    page = write(found, None, "runs.csv")
    for heading in (
        "End to end",
        "Left out of the fit",
        "Error bands",
        "By group",
        "Farthest off",
        "Reproduce",
    ):
        assert f"## {heading}" in page
    assert "deepseek-r1" in page and "nan" not in page


def test_what_was_left_out_becomes_errors_and_bands() -> None:
    rows = runs.read(RUNS)
    colocated = np.array([row.colocated for row in rows])
    off = np.where(colocated, 1.25, 0.8)
    table = left_out.summarise(rows, PRESETS, {split.name: (off, off, off) for split in left_out.SPLITS})
    assert table["rows"] == len(rows)
    assert table["left_out"]["pair"]["tpot_mape"] == pytest.approx(np.abs(off - 1).mean(), rel=1e-2)
    assert set(table["left_out"]["engine"]["groups"]) == {row.engine for row in rows}
    for name in ("model", "system"):
        ways = table["left_out"][name]["ways"]
        assert ways["colocated"]["tpot_n"] == colocated.sum() and ways["colocated"]["tpot_bias"] == 0.25
        assert ways["disaggregated"]["tpot_bias"] == -0.2
        engines_ = [told["tpot_n"] for way, told in ways.items() if way.startswith("disaggregated, ")]
        assert sum(engines_) == (~colocated).sum()
    assert table["bands"]["colocated"]["both"]["tpot"] == [1.25, 1.25]
    assert table["bands"]["colocated"]["one"]["rows"] == 2 * colocated.sum()


def test_a_tie_is_within_the_error_and_nothing_else_is() -> None:
    """What is expected of either way is weighed: its range holds 1 in a tie, and so it is said."""
    asked = (
        {
            "model": "deepseek-r1",
            "system": "gb200",
            "engine": "trtllm",
            "traffic": Traffic(isl=16384, osl=1024),
        },
        {"system": "h100", "engine": "vllm", "traffic": Traffic(isl=3000, osl=150), "fleet": Fleet(gpus=8)},
        {"model": "llama-3.1-8b", "system": "h100", "engine": "vllm"},
    )
    seen = set()
    for changes in asked:
        found = plan(dataclasses.replace(Scenario(), **changes), PRESETS)  # type: ignore[arg-type]
        low, high = verdict.advantage(found) or (0.0, 0.0)
        tie = verdict.found_of(found) == "tie"
        assert tie == (low <= 1 <= high)
        assert ("within" if tie else "beyond") + " the error" in verdict.answer_sentence(found)
        seen.add(tie)
    assert seen == {True, False}


def test_a_range_that_luck_moves_off_the_prediction_says_so() -> None:
    item = words.Expected(name="tokens/s per GPU", short="tok/s/GPU", value=276.0, range=(131.0, 262.0))
    assert item.range_text == "expected 131 to 262"
    assert dataclasses.replace(item, range=(131.0, 300.0)).range_text == "131 to 300"
