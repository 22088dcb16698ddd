"""Plans side by side, and what single changes bring."""

from __future__ import annotations

import json

import pytest

from tui.cli.main import main

SMALL = ("--model", "llama-3.1-8b", "--system", "h100", "--gpus", "2", "--isl", "1k", "--osl", "256")


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    return main(arguments), *capsys.readouterr()


def test_the_named_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ask(capsys, "plan", *SMALL, "--compare", "vllm,mi300x", "ttl=20ms")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["vllm", "mi300x", "ttl=20ms"]
    assert next(line for line in lines if line.startswith("TTL")).split()[-2:] == ["20", "ms"]
    throughput = next(line for line in lines if line.startswith("tokens/s per GPU")).split()[3:]
    assert throughput[1] == "-"  # TensorRT-LLM does not run there
    assert lines[-1].startswith(
        "mi300x: engine: 'trtllm' is not accepted; TensorRT-LLM runs on GPUs of NVIDIA"
    )


def test_one_name_stands_beside_the_scenario_itself(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ask(capsys, "plan", *SMALL, "--compare", "gpus=1", "--json")
    first, second = json.loads(out)["compare"]
    assert code == 0
    assert (first["name"], second["name"]) == ("as asked", "gpus=1")
    assert (first["plan"]["scenario"]["gpus"], second["plan"]["scenario"]["gpus"]) == (2, 1)
    assert first["problem"] is None
    assert second["plan"]["colocated"]["gpus"] == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--compare", "vlm"), "compare: 'vlm' is not accepted; did you mean vllm"),
        (("--compare", "vllm", "ttl=20"), "ttl: '20' is not accepted; a number with its unit: 20ms or 20s?"),
        (("--compare", ","), "--compare takes 1 to 8"),
        (("--compare", "gpus=1,2,3,4,5,6,7,8,9"), "--compare takes 1 to 8"),
        (("--compare", "vllm", "--csv"), "--compare goes with --json"),
        (("--what-if", "ttl", "--csv"), "--what-if goes with --json"),
        (("--compare", "vllm", "--what-if"), "argument --what-if: not allowed with argument --compare"),
        (("--what-if", "ttl", "many"), "what-if: 'many' is not accepted; FIELD or FIELD=VALUE"),
        (("--what-if", "nowhere"), "scenario: 'nowhere' is not accepted"),
        (("--what-if", "ttl=3"), "ttl: '3' is not accepted"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], line: str
) -> None:
    code, out, err = ask(capsys, "plan", *SMALL, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"ratematch: {line}")


def test_changes_stand_with_what_they_bring(capsys: pytest.CaptureFixture[str]) -> None:
    changes = ("ttl=20ms", "system=4xh100", "ftl=1ms", "engine=vllm", "system=mi300x", "slack=0")
    code, out, err = ask(capsys, "plan", *SMALL, "--what-if", *changes)
    assert (code, err) == (0, "")
    table, *rest = out.split("\n\n")[1:]
    assert {line.split("  ")[0] for line in table.splitlines()[1:]} >= {"TTL 20 ms", "engine vllm"}
    assert "Nothing meets the limits with: FTL 1 ms" in " ".join(rest)
    assert "Cannot be had: system mi300x" in " ".join(rest)


def test_changes_as_json_are_beside_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ask(capsys, "plan", *SMALL, "--json", "--what-if", "ftl=1ms", "gpus=1", "--gpus", "4")
    found = json.loads(out)
    by_field = {change["field"]: change for change in found["what_if"]}
    assert code == 0
    assert found["colocated"]["gpus"] <= 4
    assert by_field["ftl"] == {
        "field": "ftl",
        "label": "FTL 1 ms",
        "value": 0.001,
        "gain": None,
        "yardstick": None,
        "choice": None,
        "problem": "nothing meets the limits",
    }
    assert by_field["gpus"]["value"] == 1
    assert by_field["gpus"]["problem"] is None
    assert by_field["gpus"]["gain"] < 0.05


def test_a_field_alone_is_tried_at_the_values_around_its_own() -> None:
    from planner import Scenario
    from planner.inputs.fields import BY_KEY
    from planner.planning.what_if import of_field

    tried = [change.value for change in of_field(BY_KEY["gpus"], Scenario())]
    now = Scenario().fleet.gpus
    assert now is not None
    assert now not in tried
    assert min(tried) < now < max(tried)
    assert [change.value for change in of_field(BY_KEY["mix"], Scenario())] == [True]
    assert [change.value for change in of_field(BY_KEY["engine"], Scenario(), ("trtllm", "vllm"))] == ["vllm"]
    assert [change.value for change in of_field(BY_KEY["headroom"], Scenario())] == [0.05]
