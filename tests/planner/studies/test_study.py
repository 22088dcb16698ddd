"""Study files: what they ask, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner import InputError, load
from planner.studies import presets
from planner.studies.study import read

CATALOG = load()


def _keys(text: str) -> list[tuple[object, ...]]:
    study = read(f"schema = 1\n{text}", CATALOG)
    return [tuple(v for axis in study.values(i) for v in axis) for i in range(len(study))]


def test_a_product_has_its_last_axis_fastest() -> None:
    assert _keys('[axes]\nisl = ["1k", 16]\nttl = ["20ms", 0.05]\n') == [
        (1024, 0.02), (1024, 0.05), (16, 0.02), (16, 0.05),
    ]  # fmt: skip


def test_ranges_are_linear_or_logarithmic() -> None:
    assert _keys("[axes]\ngpus = { from = 8, to = 32, by = 8 }\n") == [(8,), (16,), (24,), (32,)]
    log = _keys('[axes]\nisl = { from = "1k", to = "16k", count = 5, scale = "log" }\n')
    assert log == [(1024,), (2048,), (4096,), (8192,), (16384,)]
    # whole numbers that fall together are asked once
    assert _keys("[axes]\ngpus = { from = 1, to = 3, count = 9 }\n") == [(1,), (2,), (3,)]
    assert _keys('[axes]\nftl = { from = "1s", to = "2s", by = "500ms" }\n') == [(1.0,), (1.5,), (2.0,)]


def test_inputs_move_together_in_a_zip() -> None:
    text = "[[zip]]\nisl = [16, 32]\nosl = [8, 8]\n[axes]\nmix = [true, false]\n"
    assert _keys(text) == [(16, 8, True), (16, 8, False), (32, 8, True), (32, 8, False)]


def test_every_preset_but_some() -> None:
    found = [name for (name,) in _keys('[axes]\nsystem = { every = true, except = ["H200"] }\n')]
    assert found == [name for name in CATALOG.names("system") if name != "h200"]


def test_a_scenario_has_what_is_fixed_and_what_varies() -> None:
    study = read('schema = 1\nbase = "chat"\n[fixed]\nttft = "3s"\n[axes]\nisl = [64]\n', CATALOG)
    one, chat = study.scenario(0), CATALOG.scenario("chat")
    assert (one.limits.ftl_s, one.traffic.isl, one.model) == (3.0, 64, chat.model)


def test_a_sample_is_even_repeatable_and_within_its_ranges() -> None:
    text = """
[axes]
isl = { from = 256, to = "32k", scale = "log" }
ttl = { from = "5ms", to = "100ms" }
model = ["llama-3.1-8b", "llama-3.1-70b"]
[sample]
count = 256
seed = 7
"""
    rows = _keys(text)
    assert len(rows) == 256 and rows == _keys(text)
    isl = [int(str(row[0])) for row in rows]
    # a Sobol sequence: each half of the logarithmic range has half of the points
    assert sum(value < (256 * 32768) ** 0.5 for value in isl) in range(126, 131)
    assert sum(row[2] == "llama-3.1-8b" for row in rows) == 128
    assert all(256 <= value <= 32768 for value in isl)
    assert (
        read(f"schema = 1\n{text}", CATALOG).digest
        != read(f"schema = 1\n{text.replace('seed = 7', 'seed = 8')}", CATALOG).digest
    )


def test_a_sample_asks_each_scenario_once() -> None:
    assert len(_keys("[axes]\nmtp = [0, 1]\n[sample]\ncount = 64\n")) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "axes"),
        ("axis = 1", "did you mean axes"),
        ("[axes]\nisll = [1]", "did you mean isl"),
        ("[axes]\nisl = []", "at least one value"),
        ("[axes]\nisl = 5", "a list of values"),
        ("[axes]\nisl = [5, 5]", "each value once"),
        ("[axes]\nisl = [5]\ninput = [6]", "each input on one axis"),
        ("[axes]\nisl = [0]", "axes.isl: 0 is not accepted"),
        ("[axes]\nttl = [nan]", "axes.ttl: nan is not accepted"),
        ('[axes]\nmodel = ["lama"]', "axes.model: 'lama' is not accepted"),
        ('[axes]\nsystem = ["8xH100"]', "h100, and gpus 8 as an input of its own"),
        ("[axes]\nmodel = { from = 1, to = 2 }", "{every = true}"),
        ("[axes]\nisl = { every = true }", "isl is no preset"),
        ("[axes]\nisl = { from = 1, to = 5 }", "count or by"),
        ("[axes]\nisl = { from = 5, to = 1, count = 2 }", "a range that ascends"),
        ("[axes]\nisl = { from = 1, to = 5, count = 1 }", "a whole number from 2"),
        ("[axes]\nisl = { from = 1, to = 5, by = 0 }", "a step above zero"),
        ('[axes]\nisl = { from = 1, to = 5, by = "1x" }', "a number"),
        ("[axes]\nisl = { from = 1, to = 5, step = 1 }", "step"),
        ('[axes]\nheadroom = { from = 0, to = 0.5, count = 3, scale = "log" }', "above zero"),
        ("[axes]\nrate = { from = \"any\", to = 5, count = 2 }", "a number"),
        ("[[zip]]\nisl = [1, 2]\nosl = [3]", "lists of one length"),
        ("[[zip]]\nisl = 1", "a list of values"),
        ("zip = 3", "tables under [[zip]]"),
        ("axes = 3", "a table of keys"),
        ("[fixed]\nisl = 5\n[axes]\nisl = [5]", "either fixed or an axis"),
        ("[fixed]\nislx = 5\n[axes]\nisl = [5]", "fixed"),
        ('base = "nonesuch"\n[axes]\nisl = [5]', "nonesuch"),
        ('keep = ["everything"]\n[axes]\nisl = [5]', "keep"),
        ("[axes]\nisl = [5]\n[sample]\ncount = 0", "sample.count"),
        ("[axes]\nisl = [5]\n[sample]\ncount = 2\nseeds = 1", "seed"),
        (
            "[axes]\nisl = { from = 1, to = 10000, by = 1 }\nosl = { from = 2, to = 1001, by = 1 }",
            "'10,000,000 scenarios' is not accepted; at most 1,000,000",
        ),
        ("[axes]\nisl = { from = 1, to = 100001, by = 1 }", "at most 10,000 steps"),
    ],
)  # fmt: skip
def test_a_bad_study_is_one_line(text: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        read(f"schema = 1\n{text}\n", CATALOG)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_another_schema_is_refused() -> None:
    with pytest.raises(InputError, match="schema = 1"):
        read("[axes]\nisl = [1]\n", CATALOG)


@pytest.mark.parametrize("name", presets.known())
def test_the_studies_that_come_with_ratematch_can_be_read(name: str) -> None:
    study = read(presets.find(name), CATALOG)
    assert study.note and 100 < len(study) < 20_000
    assert study.scenario(len(study) - 1) != study.scenario(0)


def test_a_study_is_found_by_name_or_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("schema = 1\n[axes]\nisl = [5]\n")
    assert presets.find(str(file)) == file
    for name in ("nonesuch", str(tmp_path / "gone.toml")):
        with pytest.raises(InputError, match="study"):
            presets.find(name)
