"""The command line: contract, exit codes, and one line for everything that can go wrong."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import IMPOSSIBLE, PATIENCE_S, ROOT, SMALL, one_line, run

import planner
from planner.inputs.fields import FIELDS
from planner.inputs.scenario import Scenario
from planner.output.command import command_line
from tui.cli import main
from tui.cli import plan as plan_command

# What works.


def test_plan_json_keeps_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["plan", *SMALL, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["status"] in ("optimal", "feasible")
    assert data["choice"] in ("disaggregated", "colocated")
    assert data["scenario"]["isl"] == 2048
    assert set(data["seconds"]) == {"simulate", "match", "total"}
    assert set(data["design_points"]) == {"prefill", "decode", "colocated"}
    split = data["disaggregated"]
    assert split["gpus"] == sum(
        split[p]["instances"] * split[p]["gpus_per_instance"] for p in ("prefill", "decode")
    )
    assert split["gpus"] <= 8
    assert split["decode"]["ttl_s"] <= data["scenario"]["ttl"] * (1 + 1e-9)
    assert {"layout", "batch", "instances", "ttl_s", "tokens_per_s_per_gpu"} <= set(data["colocated"])


def test_plan_csv_is_the_frontier(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["plan", *SMALL, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["kind"] for row in rows} == {"disaggregated", "colocated"}
    assert all(float(row["tokens_per_s_per_gpu"]) > 0 for row in rows)


def test_plan_markdown_and_text_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["plan", *SMALL, "--markdown"]) == 0
    answer = re.match(r"\*\*(.+?)\*\*", capsys.readouterr().out)
    assert main.main(["plan", *SMALL]) == 0
    assert answer and " ".join(capsys.readouterr().out.split()).startswith(answer[1])


def test_no_plan_is_exit_code_3_with_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["plan", *IMPOSSIBLE, "--json"]) == 3
    data = json.loads(capsys.readouterr().out)
    assert (data["status"], data["disaggregated"], data["colocated"]) == ("infeasible", None, None)
    assert data["infeasible"]["reasons"]
    assert main.main(["plan", *IMPOSSIBLE]) == 3
    assert capsys.readouterr().out.startswith("No plan meets the limits.")


def test_flags_override_the_scenario_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('schema = 1\nmodel = "llama-3.1-8b"\nsystem = "h100"\ngpus = 8\nisl = 1024\nosl = 64\n')
    assert main.main(["plan", str(path), "--isl", "2k", "--json"]) == 0
    scenario = json.loads(capsys.readouterr().out)["scenario"]
    assert (scenario["isl"], scenario["osl"], scenario["gpus"]) == (2048, 64, 8)


def test_aliases_and_switches_reach_the_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Scenario] = []
    monkeypatch.setattr(plan_command, "solve", lambda scenario, *rest: seen.append(scenario))
    monkeypatch.setattr(plan_command, "report", lambda *rest: 0)
    assert main.main(["plan", "--ttft", "2s", "--tpot", "20ms", "--mix", "--mla-cache"]) == 0
    assert main.main(["plan", "--mix", "off", "--no-mla-cache", "--gpus", "any"]) == 0
    first, second = seen
    assert (first.limits.ftl_s, first.limits.ttl_s, first.mix, first.mla_cache) == (2.0, 0.02, True, True)
    assert (second.mix, second.mla_cache, second.fleet.gpus) == (False, False, None)


def test_the_command_that_the_application_copies_plans_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex

    asked = Scenario(mix=True, headroom=0.15, weights="fp8", time_limit_s=0.5)
    seen: list[Scenario] = []
    monkeypatch.setattr(plan_command, "solve", lambda scenario, *rest: seen.append(scenario))
    monkeypatch.setattr(plan_command, "report", lambda *rest: 0)
    words = shlex.split(command_line(asked))
    assert words[0] == "ratematch"
    assert main.main(words[1:]) == 0
    assert seen == [asked]


def test_presets_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["presets"]) == 0
    out = capsys.readouterr().out
    assert all(
        re.search(rf"^{kind} \(\d+\)$", out, re.MULTILINE) for kind in ("models", "systems", "engines")
    )
    assert main.main(["presets", "systems", "h200", "--json"]) == 0
    system = json.loads(capsys.readouterr().out)
    assert system["gpu"]["memory_bytes"] > 140e9 and system["sources"]
    assert main.main(["presets", "model", "llama-3.1-8b"]) == 0
    assert "source:" in capsys.readouterr().out
    assert main.main(["presets", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"models", "systems", "engines", "scenarios"}


def test_a_broken_preset_of_ones_own_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own" / "systems").mkdir(parents=True)
    (tmp_path / "own" / "systems" / "mine.toml").write_text("label = ")
    assert main.main(["presets", "systems"]) == 0
    out = capsys.readouterr().out
    assert "mine: cannot be used" in out
    assert re.search(r"^  h200 ", out, re.MULTILINE)


def test_import_model_adds_a_model_that_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {
        "model_type": "llama",
        "num_hidden_layers": 16,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    assert main.main(["import-model", str(path), "--name", "my-model", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["name"] == "my-model" and Path(done["path"]).is_relative_to(tmp_path / "own")
    assert main.main(["presets", "models"]) == 0
    assert "my-model" in capsys.readouterr().out
    assert main.main(["plan", "--model", "my-model", "--system", "h100", "--gpus", "2", "--isl", "1k"]) == 0


def test_paths_are_the_users_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["paths"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["config"] == str(tmp_path / "own")
    assert Path(lines["state"]).is_relative_to(tmp_path)
    assert main.main(["paths", "state"]) == 0
    assert capsys.readouterr().out.strip() == lines["state"]


@pytest.mark.parametrize(
    "command", [[], *([name] for name in main.COMMANDS)], ids=lambda c: " ".join(c) or "app"
)
def test_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    examples = out.split("examples:\n")[1]
    assert examples.strip().startswith(" ".join(["ratematch", *command]))


@pytest.mark.parametrize("columns", [72, 80, 200])
@pytest.mark.parametrize(
    "command", [[], *([name] for name in main.COMMANDS)], ids=lambda c: " ".join(c) or "app"
)
def test_help_is_no_wider_than_the_terminal(
    command: list[str], columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main.main([*command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > columns and not line.startswith("  ratematch ")] == []
    assert lines[0].startswith("usage: ratematch") and "" in lines


def test_help_has_a_flag_for_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    main.main(["plan", "--help"])
    out = capsys.readouterr().out
    for field in FIELDS:
        for name in (field.key, *field.aliases):
            assert f"--{name}" in out


def test_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"ratematch {planner.__version__}\n"
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '\n[tool.hatch.version]\npath = "planner/__init__.py"\n' in project


@pytest.mark.parametrize("form", [[], ["--markdown"], ["--json"], ["--csv"]])
@pytest.mark.parametrize("more", [[], ["--rate", "3"], ["--gpus", "any"], ["--mix"]])
def test_gpus_that_cost_nothing_can_be_planned(
    form: list[str], more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["plan", *SMALL, "--price", "0", "--goal", "cost", *more, *form]) == 0
    said = capsys.readouterr()
    assert said.err == "" and "nan" not in said.out.lower()


def test_plan_is_a_plain_function(monkeypatch: pytest.MonkeyPatch) -> None:
    import planner.planning.plan  # whatever is imported beside it

    monkeypatch.setattr("planner.planning.plan.plan", lambda scenario, *_, **__: ("planned", scenario))
    assert inspect.isfunction(planner.plan)
    assert planner.plan("it") == ("planned", "it")


def test_the_readme_holds_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)[0])
    assert main.main(["plan", str(tmp_path / "mine.toml"), "--csv"]) in (0, 3)
    capsys.readouterr()
    exec(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0], {})
    assert re.match(r"(disaggregated|colocated) \d", capsys.readouterr().out)
    for command in re.findall(r"\*\*`ratematch ([a-z-]+)", readme):
        assert command in main.COMMANDS
    for picture in re.findall(r"\]\((screenshots/.*?)\)", readme):
        assert (ROOT / picture).is_file()


# What goes wrong outside the input.


def test_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan_command, "solve", interrupted)
    assert main.main(["plan"]) == 130
    assert capsys.readouterr() == ("", "")


def test_internal_error_is_one_line_and_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("boom\non two lines")

    monkeypatch.setattr(plan_command, "solve", broken)
    assert main.main(["plan"]) == 1
    line = one_line(capsys)
    assert line.startswith("ratematch: internal error: RuntimeError: boom on two lines (details in ")
    log = Path(line.split("details in ")[1].rstrip(")"))
    assert log.is_relative_to(tmp_path)
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_serve_without_its_extra_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tui.web

    monkeypatch.delattr(tui.web, "server", raising=False)
    monkeypatch.setitem(sys.modules, "tui.web.server", None)
    assert main.main(["serve"]) == 1
    assert "pip install 'ratematch[serve]'" in one_line(capsys)


# Processes of their own.


def test_an_interrupt_is_not_lost_in_a_library_that_swallows_it() -> None:
    code = """
import os, signal, sys
from planner.output.command import command_line
from tui.cli import main, plan

def greedy(*_):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass
    except BaseException: pass

plan.solve, plan.report = greedy, lambda *_: 0
sys.exit(main.main(['plan']))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, tui.cli.main; tui.cli.main.main(['--help']);"
        "heavy = {'numpy', 'scipy', 'textual', 'rich', 'plotext', 'tomli'} & set(sys.modules);"
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_terminal_the_application_prints_the_plan() -> None:
    done = run(*SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Deploy" in done.stdout and "\x1b" not in done.stdout


def test_output_that_takes_only_ascii_gets_only_ascii() -> None:
    done = run("plan", *SMALL, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii() and " x TP" in done.stdout


def test_bad_input_in_a_process_is_one_line() -> None:
    done = run("plan", "--ttl", "5parsecs")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_not_an_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "plan", *SMALL, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()  # before anything is written
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=PATIENCE_S) == 0
