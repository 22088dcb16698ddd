"""Nothing in a file, in its name or on the command line is obeyed by the terminal that it is printed to."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from planner.errors import printable_lines
from planner.inputs import toml_tables
from planner.inputs.catalog import load, preset_folder
from tui.cli.main import main
from tui.files import storage

# sets the clipboard, names the window, clears the screen (also as one C1 character), turns the line round
EVIL = "x\x1b]52;c;cm0gLXJmIH4=\x07\x1b]0;PWNED\x1b\\\x9b2J\u202egnp.\u2066\x7f\x08"
CONFIG = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))
    for kind in ("models", "scenarios"):
        (tmp_path / "own" / kind).mkdir(parents=True)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """All that was printed; nothing of it is obeyed."""
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert all(line.isprintable() for line in text.split("\n"))
    assert captured.err.count("\n") <= 1
    return text


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_keys_and_kinds_of_a_config(form: list[str], own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = own / "config.json"
    path.write_text(json.dumps({**CONFIG, f"num_{EVIL}": 1, "model_type": EVIL, EVIL * 1000: [1]}))
    assert main(["import-model", str(path), "--name", "evil", *form]) == 0
    text = said(capsys)
    assert "\\u001b]52;c;" in text and len(text) < 10_000
    assert main(["presets", "models", "evil", *form]) == 0  # what was written can be read again
    assert "\\u001b]52;c;" in said(capsys)


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("text", [json.dumps(EVIL), '"\u202egnp"', '"\x9b2J"'])
def test_labels_notes_and_names_of_presets(
    text: str, form: list[str], own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = (preset_folder() / "models" / "llama-3.1-8b.toml").read_text()
    evil = EVIL.replace("/", "")
    (own / "own" / "models" / f"{evil}.toml").write_text(model)
    (own / "own" / "models" / "label.toml").write_text(f"label = {text}\n" + model[model.index("family") :])
    (own / "own" / "scenarios" / "note.toml").write_text(f"schema = 1\nnote = {text}\n")
    assert main(["presets", *form]) == 0
    listed = said(capsys)
    assert "control characters" in listed and "u001b]0;pwned" in listed
    for name in load().names("model"):
        assert main(["presets", "models", name, *form]) in (0, 2)
        said(capsys)
    main(["plan", "note"])
    said(capsys)


def test_spaces_that_are_no_space_may_stand_in_a_note() -> None:
    assert toml_tables.parse_toml('note = "10\u00a0µs, 模型"', "x") == {"note": "10\u00a0µs, 模型"}


@pytest.mark.parametrize("form", [[], ["--json"], ["--plot"]])
def test_cells_of_measured_runs(form: list[str], own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = own / f"runs{EVIL}.csv".replace("/", "")
    head, run = "model,system,engine,isl,osl,concurrency,ttft_ms,tpot_ms,id", "h100,trtllm,1024,128,8,100,10"
    for code, model, dtype, name in (
        (2, EVIL, "bf16", "a"),
        (0, "llama-3.1-8b", "bf16", EVIL),
        (0, "x", EVIL, ""),
    ):
        path.write_text(f'{head},gemm_dtype\n"{model}",{run},"{name}",{dtype}\n')
        assert main(["validate", str(path), *form]) == code
        assert "\\u001b" in said(capsys) or name == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [EVIL],
        ["plan", EVIL],
        ["plan", f"--{EVIL}"],
        ["plan", "--isl", EVIL],
        ["plan", "--model", EVIL],
        ["plan", "--json", "--csv", EVIL],
        ["presets", EVIL],
        ["presets", "models", EVIL],
        ["presets", "models", "llama-3.1-8b", EVIL],
        ["import-model", EVIL],
        ["validate", EVIL],
        ["validate", "--kernels", EVIL],
        ["calibrate", EVIL],
        ["calibrate", "--engines", EVIL],
        ["paper", "--figure", EVIL],
        ["paths", EVIL],
        ["bench", "--runs", EVIL],
        ["serve", "--port", EVIL],
        ["serve", "--host", EVIL, "--isl", "0"],
        ["--theme", EVIL, "--isl", "0"],
    ],
    ids=lambda arguments: " ".join(arguments)[:20].replace("\x1b", ""),
)
def test_words_of_the_command_line(
    arguments: list[str], own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert len(said(capsys)) < 500


def test_the_log_of_errors(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(storage, "state_folder", lambda: own / "state")
    monkeypatch.setattr(sys, "argv", ["ratematch", EVIL])
    monkeypatch.setattr("tui.cli.plan.solve", lambda *_: (_ for _ in ()).throw(RuntimeError(EVIL)))
    assert main(["plan"]) == 1
    said(capsys)
    log = (own / "state" / "errors.log").read_text()
    assert "RuntimeError" in log and all(line.isprintable() for line in log.split("\n"))


def test_what_a_session_holds(own: Path) -> None:
    path = own / "session.json"
    for pins in ({EVIL: {"isl": EVIL}}, {EVIL: 1}, EVIL):
        path.write_text(
            json.dumps({"schema": 1, "name": EVIL, "theme": EVIL, "recent": [EVIL], "pins": pins})
        )
        session = storage.load(path)
        assert session is not None
        for text in (session.name, session.theme, session.damage, *session.recent, *session.pins):
            assert text and text.isprintable()


def test_colours_of_our_own_stay_and_nothing_else() -> None:
    drawn = "\x1b[31m█\x1b[0m\n"
    assert printable_lines(drawn, colours=True) == drawn
    assert printable_lines("\x1b[2J" + drawn, colours=True) == "\\u001b[2J" + drawn
    assert "\x1b" not in printable_lines(drawn)


@pytest.mark.parametrize("flag", ["--name", "--isl", "--model", "--port", "--kernels", "--engines"])
def test_a_flag_whose_value_is_two_dashes(flag: str, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seed 12 of `configs`, input 39: argparse gives an empty list."""
    command = {"--name": "import-model", "--port": "serve", "--kernels": "validate", "--engines": "calibrate"}
    assert main([command.get(flag, "plan"), *(["x"] if flag == "--name" else []), f"{flag}=--"]) == 2
    assert "internal" not in said(capsys)
