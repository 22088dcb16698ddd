"""Scenario TOML: what is written is read back, and what is wrong is told in one line."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.inputs import scenario_file
from planner.inputs.catalog import load
from planner.inputs.fields import FIELDS, Field, check
from planner.inputs.scenario import Deployment, Scenario

PRESETS = load()


def values(field: Field) -> st.SearchStrategy[object]:
    """Every value a field accepts."""
    if field.kind == "switch":
        found: st.SearchStrategy[object] = st.booleans()
    elif field.catalog:
        found = st.sampled_from(PRESETS.names(field.catalog))
    elif field.kind == "choice":
        found = st.sampled_from(field.choices)
    elif field.kind in ("layout", "file", "fleet"):
        found = st.sampled_from(field.steps)
    elif field.integer:
        found = st.integers(math.ceil(field.low), int(min(field.high, 10**9)))
        found |= st.sampled_from([s for s in field.steps if s >= field.low])
    else:
        found = st.floats(field.low, min(field.high, 1e9))
        found |= st.sampled_from([s for s in field.steps if s >= field.low])
    return found | st.none() if field.none else found


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Any valid scenario."""
    scenario = Scenario()
    for field in FIELDS:
        scenario = field.set(scenario, draw(values(field)))
    traffic = scenario.traffic
    if traffic.trace is not None:  # whose arrivals are its own
        scenario = replace(scenario, traffic=replace(traffic, arrivals="auto"))
    elif traffic.requests_per_s is None and (
        traffic.arriving != "steady" or scenario.goal in ("fewest-gpus", "watts")
    ):
        scenario = replace(scenario, traffic=replace(traffic, requests_per_s=20.0))
    if scenario.goal in ("watts", "tokens-per-watt"):  # a pool's watts have one layout
        scenario = replace(scenario, mix=False)
    if scenario.deployment.given:  # which the rest of the scenario must have room for
        fleet = replace(scenario.fleet, gpus=draw(st.sampled_from([2**14, None])), instance_gpus=None)
        scenario = replace(scenario, fleet=fleet, mix=False)
        try:
            check(scenario)
        except InputError:
            scenario = replace(scenario, deployment=Deployment())
    traffic, fleet = scenario.traffic, scenario.fleet
    if fleet.gpus is None and traffic.requests_per_s is None and traffic.trace is None:  # nothing to lose
        scenario = replace(scenario, fleet=replace(fleet, survive="none"))
    return scenario


@settings(max_examples=60, deadline=None)
@given(scenarios(), st.sampled_from([None, *PRESETS.names("scenario")]))
def test_what_is_written_is_read_back(scenario, base):
    text = scenario_file.write(scenario, base, catalog=PRESETS, note='a "note"')
    assert scenario_file.read(text, PRESETS) == scenario


def test_only_differences_are_written():
    assert scenario_file.write(Scenario(), catalog=PRESETS) == "schema = 1\n"
    assert (
        scenario_file.write(PRESETS.scenario("chat"), "chat", catalog=PRESETS)
        == 'schema = 1\nbase = "chat"\n'
    )
    longer = scenario_file.read('schema = 1\nbase = "chat"\nisl = "64k"', PRESETS)
    assert longer.traffic.isl == 65536 and longer.traffic.osl == PRESETS.scenario("chat").traffic.osl
    assert scenario_file.write(longer, "chat", catalog=PRESETS).splitlines()[2:] == ['isl = "64k"']


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ('isl = "16k"', "isl", 16384),
        ("isl = 16384", "isl", 16384),
        ("input = 5000", "isl", 5000),
        ('ftl = "10s"', "ftl", 10.0),
        ("ttft = 2.5", "ftl", 2.5),
        ('tpot = "20 ms"', "ttl", 0.02),
        ('gpus = "any"', "gpus", None),
        ("instance-gpus = 8", "instance-gpus", 8),
        ("mla-cache = true", "mla-cache", True),
        ('mix = "on"', "mix", True),
        ('headroom = "10%"', "headroom", 0.1),
        ('price = "preset"', "price", None),
        ('model = "R1"', "model", "deepseek-r1"),
        ('engine = "TensorRT-LLM"', "engine", "trtllm"),
        ('note = "x"', "osl", Scenario().traffic.osl),
    ],
)
def test_values_are_read_as_people_write_them(text, key, value):
    scenario = scenario_file.read(f"schema = 1\n{text}", PRESETS)
    assert next(f for f in FIELDS if f.key == key).get(scenario) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "schema"),
        ("isl = 5", "schema"),
        ("schema = 2", "schema.*2"),
        ("schema = true", "schema"),
        ("schema = 1\nils = 5", "scenario.*ils.*isl"),
        ("schema = 1\nbsae = 'chat'", "bsae.*base"),
        ("schema = 1\nisl = 0", "isl.*from 1"),
        ("schema = 1\nisl = 1.5", "isl.*whole"),
        ("schema = 1\nisl = -1", "isl"),
        ("schema = 1\nisl = '16q'", "isl.*16q"),
        ("schema = 1\nisl = true", "isl"),
        ("schema = 1\nisl = [1]", "isl"),
        pytest.param("schema = 1\nisl = " + "9" * 400, "isl", id="long"),
        ("schema = 1\nftl = nan", "ftl"),
        ("schema = 1\nftl = inf", "ftl"),
        ("schema = 1\nftl = 1979-05-27", "ftl"),
        ("schema = 1\nftl = 1\nttft = 2", "ttft.*ftl once"),
        ("schema = 1\nmodel = 'gpt-9'", "model.*gpt-9"),
        ("schema = 1\nmodel = 9", "model.*preset"),
        ("schema = 1\nmix = 1", "mix.*on or off"),
        ("schema = 1\ngoal = 'most'", "goal.*throughput"),
        ("schema = 1\ngoal = 'fewest-gpus'", "rate"),
        ("schema = 1\nbase = 'chta'", "chta.*chat"),
        ("schema = 1\nbase = 3", "base"),
        ("schema = 1\n[traffic]\nisl = 5", "traffic"),
        ("schema = 1\nisl = ", "not valid TOML"),
        ("schema = 1\nisl = 5\nisl = 6", "not valid TOML"),
        pytest.param("a = " + "[" * 5000, "not valid TOML", id="deep"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text, says):
    with pytest.raises(InputError, match=says) as error:
        scenario_file.read(text, PRESETS)
    assert "\n" not in str(error.value)


def test_files_are_named_in_errors_and_found_by_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('schema = 1\nbase = "chat"\ngpus = 8\n')
    assert PRESETS.scenario(str(path)).fleet.gpus == 8
    assert PRESETS.scenario(path) == scenario_file.read(path, PRESETS)
    path.write_text("schema = 1\ngpus = 0\n")
    with pytest.raises(InputError, match=r"mine\.toml: gpus"):
        PRESETS.scenario(path)
    with pytest.raises(InputError, match="no such file"):
        PRESETS.scenario(str(tmp_path / "other.toml"))


def test_own_scenarios_build_on_others_but_not_on_themselves(tmp_path):
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "one.toml").write_text('schema = 1\nbase = "chat"\ngpus = 8\n')
    (folder / "two.toml").write_text('schema = 1\nbase = "one"\nosl = "2k"\n')
    (folder / "round.toml").write_text('schema = 1\nbase = "about"\n')
    (folder / "about.toml").write_text('schema = 1\nbase = "round"\n')
    mine = load(tmp_path)
    assert mine.scenario("two").fleet.gpus == 8 and mine.scenario("two").traffic.osl == 2048
    assert mine.scenario("two").model == PRESETS.scenario("chat").model
    for name in ("round", "about"):
        with pytest.raises(InputError, match="leads back to itself"):
            mine.scenario(name)


@settings(max_examples=60, deadline=None)
@given(st.text("schema=1\n\"'[]{}.iolst\0µ\ud800", max_size=40))
def test_no_text_breaks_the_reader(text):
    for whole in (text, f"schema = 1\n{text}"):
        try:
            scenario_file.read(whole, PRESETS)
        except InputError as error:
            assert "\n" not in str(error)
