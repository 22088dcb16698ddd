"""Importing from files: where a model goes, and files that are no config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.errors import InputError
from planner.inputs.catalog import load
from planner.inputs.huggingface.import_model import import_model
from tests.planner.inputs.small_llama import LLAMA

CONFIGS = Path(__file__).parent / "configs"  # as published on Hugging Face
PRESETS = load()


def test_an_imported_model_is_in_the_catalog(tmp_path):
    source = tmp_path / "My-Model"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(LLAMA))
    path, spec, not_understood = import_model(source / "config.json", user_dir=tmp_path / "user")
    assert path == tmp_path / "user" / "models" / "my-model.toml" and not_understood == ()
    mine = load(tmp_path / "user")
    assert mine.model("my-model") == spec
    assert import_model(source, "Org/Other Name", tmp_path / "user")[0].stem == "other-name"
    assert {"my-model", "other-name"} <= set(load(tmp_path / "user").names("model"))


def test_published_files_import_under_names_of_their_own(tmp_path):
    for file in CONFIGS.glob("*_config.json"):
        path, spec, _ = import_model(file, f"my {file.stem}", tmp_path)
        assert load(tmp_path).model(path.stem) == spec


@pytest.mark.parametrize("name", ["deepseek-r1", "DeepSeek-R1-0528", "meta-llama/Llama-3.3-70B-Instruct"])
def test_an_import_does_not_hide_a_preset(tmp_path, name):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    with pytest.raises(InputError, match=r"name.*another name, such as --name my-"):
        import_model(tmp_path / "config.json", name, tmp_path)
    assert not (tmp_path / "models").exists()


def test_the_environment_says_where_imports_go(tmp_path, monkeypatch):
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "mine"))
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    path, _, _ = import_model(tmp_path / "config.json", "toy")
    assert path == tmp_path / "mine" / "models" / "toy.toml"


def test_formats_in_a_file_beside_the_config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": "NVFP4"}}')
    assert import_model(tmp_path, "toy", tmp_path)[1].checkpoint == "nvfp4"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ('{"hidden_size": 1', "not valid JSON.*line 1"),
        ("<html>", "not valid JSON"),
        pytest.param("[" * 100_000, "not valid JSON", id="deep"),
        ("[1]", "list.*object"),
        ("null", "NoneType.*object"),
        ("{}", "num_hidden_layers"),
    ],
)
def test_files_that_are_no_config_are_told_in_one_line(tmp_path, text, says):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as error:
        import_model(path, "toy", tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "models").exists()


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.json.*No such file"):
        import_model(tmp_path / "nothing.json", user_dir=tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        import_model(tmp_path / "config.json", user_dir=tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    with pytest.raises(InputError, match="cannot be written"):
        import_model(tmp_path / "config.json", "toy", tmp_path / "config.json")
    with pytest.raises(InputError, match="name"):
        import_model(tmp_path / "config.json", "///", tmp_path)
