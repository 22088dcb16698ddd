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

import planner
from planner.inputs.catalog import load as load_catalog
from planner.inputs.fields import FIELDS
from planner.inputs.scenario import Scenario
from tui import state
from tui.cli import app, main
from tui.cli import plan as plan_command
from tui.files import storage

PATIENCE_S = 120.0  # for a program that never ends, not a measurement
ROOT = Path(__file__).parents[3]
SMALL = ["--model", "llama-3.1-8b", "--system", "h100", "--gpus", "8", "--isl", "2k", "--osl", "256"]
IMPOSSIBLE = [*SMALL, "--ttl", "0.1ms"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folders of this test alone."""
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))
    monkeypatch.delenv("TEXTUAL_DRIVER", raising=False)
    return tmp_path


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line of the run, on standard error."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n") and err.count("\n") == 1
    assert err.startswith("ratematch: ")
    return err.strip()


def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_S,
        cwd=ROOT,
        **options,
    )


# What cannot be used is told in one line, exit code 2.

BAD = [
    (["plan", "--isl", "-5"], "isl: '-5' is not accepted; a whole number from 1"),
    (["plan", "--isl=-5"], "isl: '-5' is not accepted"),
    (["plan", "--isl", "-5k"], "isl: '-5k' is not accepted"),
    (["plan", "--ttl", "-20ms"], "ttl: '-20ms' is not accepted"),
    (["plan", "--ttl", "5parsecs"], "ttl: '5parsecs' is not accepted; a value from"),
    (["plan", "--tpot", "nan"], "ttl: 'nan' is not accepted"),
    (["plan", "--isl", "1e999"], "isl: '1e999' is not accepted"),
    (["plan", "--isl", ""], "isl: '' is not accepted"),
    (["plan", "--isl", "16k\n--osl"], "isl:"),
    (["plan", "--gpus", "0"], "gpus: '0' is not accepted"),
    (["plan", "--gpus", "1.5"], "gpus: '1.5' is not accepted; a whole number"),
    (["plan", "--osl", "1"], "osl: '1' is not accepted"),
    (["plan", "--headroom", "95%"], "headroom: '95%' is not accepted"),
    (["plan", "--weights", "fp5"], "weights: 'fp5' is not accepted; one of auto, bf16, fp8, fp4"),
    (
        ["plan", "--model", "lama-3.1-70b"],
        "model: 'lama-3.1-70b' is not accepted; did you mean llama-3.1-70b",
    ),
    (["plan", "--system", "h2000"], "system: 'h2000' is not accepted; did you mean h200"),
    (["plan", "--engine", "tensorrt"], "engine: 'tensorrt' is not accepted"),
    (["plan", "--goal", "fewest-gpus"], "rate: 'any' is not accepted; the goal fewest-gpus needs"),
    (["plan", "--model", "llama-3.1-8b", "--mtp", "2"], "mtp: 2 is not accepted"),
    (["plan", "--isl"], "argument --isl/--input: expected one argument; see `ratematch plan --help`"),
    (["plan", "--islx", "4"], "unknown flag --islx; did you mean --isl"),
    (["plan", "-x"], "unknown flag -x"),
    (["plan", "a", "b"], "unexpected argument 'b'"),
    (["plan", "--json", "--csv"], "not allowed with argument"),
    (["plan", "nosuch"], "scenario: 'nosuch' is not accepted"),
    (["plan", "nosuch.toml"], "scenario: 'nosuch.toml' is not accepted"),
    (["plan", "/"], "scenario: '/' is not accepted"),
    (["--isl", "0"], "isl: '0' is not accepted"),
    (["--json"], "--json belongs to a command: ratematch plan --json"),
    (["pln"], "unknown command or scenario 'pln'; did you mean plan?"),
    (["--isl", "4k", "plan"], "the command comes first: ratematch plan"),
    (["presets", "modles"], "presets: 'modles' is not accepted; did you mean models"),
    (
        ["presets", "models", "llama-3.1-7b"],
        "did you mean llama-3.1",
    ),
    (["paths", "stat"], "paths: 'stat' is not accepted; did you mean state"),
    (["bench", "--runs", "0"], "runs: 0 is not accepted"),
    (["bench", "--runs", "many"], "argument --runs: invalid int value: 'many'"),
    (["serve", "--port", "0"], "port: 0 is not accepted"),
    (["serve", "--isl", "-5"], "isl: '-5' is not accepted"),
    (["import-model"], "required: CONFIG"),
    (["import-model", "nosuch.json"], "No such file"),
    (["import-model", "/"], "is not accepted"),
]


@pytest.mark.parametrize(
    ("arguments", "expected"), BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_bad_input_is_one_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == 2
    assert expected in one_line(capsys)


BAD_FILES = [
    ("truncated.toml", b'schema = 1\nmodel = "llama-3.1', "truncated.toml"),
    ("unknown-key.toml", b"schema = 1\nisll = 4096\n", "did you mean isl"),
    ("wrong-type.toml", b'schema = 1\nisl = "long"\n', "isl:"),
    ("out-of-range.toml", b"schema = 1\nisl = 0\n", "isl:"),
    ("no-schema.toml", b"isl = 4096\n", "schema"),
    ("binary.toml", b"\xff\xfe\x00\x01", "binary.toml"),
    ("empty.toml", b"", "schema"),
]


@pytest.mark.parametrize(("name", "content", "expected"), BAD_FILES, ids=[name for name, _, _ in BAD_FILES])
def test_bad_scenario_file_is_one_line(
    name: str, content: bytes, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert main.main(["plan", str(path)]) == 2
    assert expected in one_line(capsys)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every file")
def test_unreadable_scenario_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "secret.toml"
    path.write_text("schema = 1\n")
    path.chmod(0)
    assert main.main(["plan", str(path)]) == 2
    assert "permission denied" in one_line(capsys)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{not json", "not valid JSON"),
        (b"[1, 2]", "a JSON object"),
        (b"{}", "num_hidden_layers"),
        (b"\xff\xfe\x00", "a text file"),
    ],
)
def test_bad_config_json_is_one_line(
    content: bytes, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    assert main.main(["import-model", str(path)]) == 2
    assert expected in one_line(capsys)


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
    monkeypatch.setattr(plan_command, "solve", lambda scenario, catalog: seen.append(scenario))
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
    monkeypatch.setattr(plan_command, "solve", lambda scenario, catalog: seen.append(scenario))
    monkeypatch.setattr(plan_command, "report", lambda *rest: 0)
    words = shlex.split(state.command_line(asked))
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


Opened = tuple[storage.Session, dict[str, object]]  # what the application was run with


class TestOpening:
    """What the application is opened with, on a terminal."""

    @pytest.fixture(autouse=True)
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[Opened]:
        seen: list[Opened] = []

        def run(session: storage.Session, **options: object) -> int:
            seen.append((session, options))
            return 0

        monkeypatch.setattr(app, "on_terminal", lambda: True)
        monkeypatch.setattr("tui.app.run", run)
        return seen

    def test_flags_win_over_the_last_session(self, opened: list[Opened]) -> None:
        storage.save(storage.Session(scenario=Scenario(model="llama-3.1-8b"), theme="textual-light"))
        assert main.main([]) == 0
        assert main.main(["--isl", "4k", "--ascii", "--no-mouse"]) == 0
        (last, options), (asked, others) = opened
        assert (last.scenario.model, last.theme) == ("llama-3.1-8b", "textual-light") and options["mouse"]
        assert (asked.scenario.model, asked.scenario.traffic.isl) == (Scenario().model, 4096)
        assert (others["ascii"], others["mouse"], asked.base) == (True, False, Scenario())

    def test_the_session_comes_back_with_its_name_and_what_it_began_with(self, opened: list[Opened]) -> None:
        storage.save(storage.Session(scenario=Scenario(mix=True), name="chat", recent=("chat",)))
        assert main.main([]) == 0
        storage.save(storage.Session(scenario=Scenario(mix=True), name="gone"))
        assert main.main([]) == 0
        (last, _), (other, _) = opened
        assert last.scenario.mix and (last.name, last.recent) == ("chat", ("chat",))
        assert last.base == load_catalog().scenario("chat")
        assert (other.name, other.base) == ("", Scenario())

    def test_pins_come_back_and_what_is_damaged_is_told_and_kept(self, opened: list[Opened]) -> None:
        gone = Scenario(model="gone")
        pins = {"A": Scenario(mix=True), "C": gone}
        storage.save(storage.Session(scenario=Scenario(headroom=0.1), pins=pins, baseline="A"))
        assert main.main([]) == 0
        last, _ = opened[0]
        assert last.scenario.headroom == 0.1 and last.pins == {"A": Scenario(mix=True)}
        assert last.baseline == "A" and last.damage.startswith("pin C: model: 'gone'")
        aside = storage.session_path().with_name("session.damaged.json")
        assert str(aside) in last.damage and aside.is_file()
        assert not storage.session_path().exists()
        assert main.main([]) == 0  # nothing is left to complain of
        assert opened[1][0].damage == ""
        storage.session_path().write_text("{", encoding="utf-8")
        assert main.main(["--isl", "4k"]) == 0
        asked, _ = opened[2]
        assert asked.scenario.traffic.isl == 4096 and "not JSON" in asked.damage
        assert aside.read_text(encoding="utf-8") == "{"

    def test_a_theme_by_word_and_an_unknown_one(
        self, opened: list[Opened], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main.main(["--theme", "light"]) == 0
        assert main.main(["--theme", "nord"]) == 0
        assert [session.theme for session, _ in opened] == ["ratematch-light", "nord"]
        assert main.main(["--theme", "ligth"]) == 2
        assert "did you mean light" in one_line(capsys)

    def test_the_tour_has_a_scenario_of_its_own(self, opened: list[Opened]) -> None:
        storage.save(storage.Session(scenario=Scenario(model="llama-3.1-8b")))
        assert main.main(["--demo"]) == 0
        assert main.main(["--demo", "--isl", "4k"]) == 0
        (toured, options), (asked, _) = opened
        assert options["demo"] and (toured.name, toured.scenario.traffic.isl) == ("prefill-heavy", 16384)
        assert asked.scenario.traffic.isl == 4096

    def test_over_ssh_it_spares_the_line(self, opened: list[Opened], monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("TEXTUAL_FPS", "TEXTUAL_ANIMATIONS"):
            monkeypatch.setenv(name, "")  # so that it is put back
            monkeypatch.delenv(name)
        assert main.main([]) == 0
        assert "TEXTUAL_FPS" not in os.environ
        monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22")
        assert main.main([]) == 0
        assert (os.environ["TEXTUAL_FPS"], os.environ["TEXTUAL_ANIMATIONS"]) == ("15", "none")
        monkeypatch.setenv("TEXTUAL_FPS", "30")  # the user's word counts
        assert main.main([]) == 0
        assert os.environ["TEXTUAL_FPS"] == "30"

    @pytest.mark.parametrize(
        ("environ", "plain"),
        [
            ({"TERM": "linux", "LANG": "C.UTF-8"}, True),
            ({"TERM": "xterm", "LANG": "C.UTF-8"}, False),
            ({"TERM": "xterm", "LC_ALL": "C"}, True),
        ],
    )
    def test_ascii_where_the_terminal_draws_no_more(
        self,
        opened: list[Opened],
        monkeypatch: pytest.MonkeyPatch,
        environ: dict[str, str],
        plain: bool,
    ) -> None:
        for name in ("TERM", "LANG", "LC_ALL", "LC_CTYPE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(app, "ascii_output", lambda wanted=False: wanted)  # whatever pytest's output is
        assert main.main([]) == 0
        assert opened[0][1]["ascii"] is plain

    def test_a_session_whose_preset_is_gone_does_not_stop_it(self, opened: list[Opened]) -> None:
        storage.save(storage.Session(scenario=Scenario(model="gone")))
        assert main.main([]) == 0
        assert opened[0][0].scenario == Scenario()


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
        "heavy = {'numpy', 'scipy', 'textual', 'rich', 'plotext', 'tomllib'} & set(sys.modules);"
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
