"""Numbers without a unit, and more than one mistake at once."""

from __future__ import annotations

import pytest

from planner import InputError, load
from planner.inputs import scenario_file
from planner.inputs.fields import BY_KEY
from planner.output.command import spelled
from tui.cli import main


@pytest.mark.parametrize("flag", ["--ttl", "--tpot", "--itl", "--ftl", "--ttft"])
def test_a_bare_latency_is_refused_with_both_readings(flag, capsys):
    assert main.main(["plan", flag, "20"]) == 2
    key = "ftl" if flag in ("--ftl", "--ttft") else "ttl"
    line = f"ratematch: {key}: '20' is not accepted; a number with its unit: 20ms or 20s?\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("typed", ["0.02", "1e-2", ".5", "+3", "2_000"])
def test_no_bare_spelling_of_a_latency_is_taken(typed):
    with pytest.raises(InputError, match="ms or "):
        BY_KEY["ttl"].parse(typed)
    with pytest.raises(InputError, match="ttl"):
        scenario_file.read(f'schema = 1\nttl = "{typed}"', load())


def test_numbers_of_a_file_are_seconds_as_documented():
    assert scenario_file.read("schema = 1\nttl = 0.02", load()).limits.ttl_s == 0.02


def test_a_latency_that_no_text_shows_exactly_is_spelled_with_its_unit():
    text = spelled(BY_KEY["ttl"], 0.0123456789)
    assert BY_KEY["ttl"].parse(text) == 0.0123456789


@pytest.mark.parametrize("typed", ["50tok/s", "50 tokens/s", "50tps", "50 tok/s/user", "20ms"])
def test_a_speed_of_a_user_is_its_latency(typed):
    assert BY_KEY["ttl"].parse(typed) == 0.02


@pytest.mark.parametrize("typed", ["0 tok/s", "-1 tps", "1e9tok/s", "nan tok/s", "1e999 tok/s"])
def test_a_speed_that_no_user_sees_is_refused(typed):
    with pytest.raises(InputError, match="50tok/s"):
        BY_KEY["ttl"].parse(typed)


@pytest.mark.parametrize(
    "key, typed, meant",
    [
        ("weights", "AWQ", "int4"),
        ("weights", "w8a8", "int8"),
        ("kv", "fp8_e4m3", "fp8"),
        ("kv", "half", "bf16"),
        ("survive", "1 node", "node"),
        ("survive", "1-GPU", "gpu"),
        ("survive", "host", "node"),
    ],
)
def test_choices_by_their_other_names(key, typed, meant):
    assert BY_KEY[key].parse(typed) == meant


def test_flags_of_engines_lead_to_a_layout(capsys):
    assert main.main(["plan", "--tensor-parallel-size", "8"]) == 2
    assert "--colocated-layout TP8" in capsys.readouterr().err


def test_all_that_is_wrong_is_told_in_a_line_each(capsys):
    arguments = ["plan", "--ttft", "2000", "--isl", "foo", "--model", "lama-3.1-70b", "--gpus", "-3"]
    assert main.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["model", "isl", "ftl", "gpus"]
    assert all(line.startswith("ratematch: ") for line in lines)


def test_unknown_flags_and_wrong_values_are_told_together(capsys):
    words = ["plan", "--islx", "4", "--bogus=5", "--osl", "x", "--ttl", "20", "--engine", "vlm"]
    assert main.main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert "unknown flag --islx; did you mean --isl" in lines[0] and "--bogus" in lines[1]
    assert "osl: 'x'" in lines[2] and "20ms or 20s" in lines[3]
    assert lines[4] == "ratematch: engine: 'vlm' is not accepted; did you mean vllm?"


def test_hundreds_of_unknown_flags_stay_readable(capsys):
    assert main.main(["plan", *(f"--x{i}\x1b[31m" for i in range(500))]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) <= 20 and "\x1b" not in err
