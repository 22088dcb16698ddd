"""What cannot be used is told in one line, exit code 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import one_line

from tui.cli import main

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
    (["plan", "--decode-engine", "vllm"], "--engine is of both pools"),
    (["plan", "a", "b"], "unexpected argument 'b'"),
    (["plan", "--json", "--csv"], "not allowed with argument"),
    (["plan", "nosuch"], "scenario: 'nosuch' is not accepted"),
    (["plan", "nosuch.toml"], "scenario: 'nosuch.toml' is not accepted"),
    (["plan", "/"], "scenario: '/' is not accepted; it is no file"),
    (["plan", "/dev/null"], "scenario: '/dev/null' is not accepted; it is no file"),
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
