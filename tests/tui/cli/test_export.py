"""`ratematch export`: a folder of files, or one line."""

from __future__ import annotations

import json

from tui.cli.main import main

ASK = ["--model", "llama-3.1-8b", "--system", "h100", "--gpus", "8", "--isl", "2k", "--osl", "256"]


def test_a_folder_is_written_once(tmp_path, capsys):
    out = str(tmp_path / "made")
    assert main(["export", "vllm", *ASK, "--out", out]) == 0
    told = capsys.readouterr().out
    assert "start.sh" in told
    assert (tmp_path / "made" / "host-0.sh").read_text().startswith("#!/usr/bin/env bash")
    assert main(["export", "vllm", *ASK, "--out", out]) == 2
    assert "lies there already" in capsys.readouterr().err
    assert main(["export", "vllm", *ASK, "--out", out, "--force"]) == 0


def test_the_plan_is_made_for_the_engine_of_the_target(capsys):
    assert main(["export", "sglang", *ASK, "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert 'engine = "sglang"' in files["deployment.toml"]
    assert "--mem-fraction-static" in files["host-0.sh"]
    assert main(["export", "sglang", *ASK, "--engine", "vllm", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert 'engine = "vllm"' in files["deployment.toml"]  # whose constants the prediction has
    assert "--mem-fraction-static" not in files["host-0.sh"]  # whose share means something else


def test_what_cannot_be_is_one_line(tmp_path, capsys):
    bad = {
        ("export",): 2,
        ("export", "tgi"): 2,
        ("export", "vllm", *ASK, "--hosts", "a b"): 2,
        ("export", "vllm", *ASK, "--hosts", ""): 2,
        ("export", "vllm", *ASK, "--benchmark", "wrk"): 2,
        ("export", "vllm", *ASK, "--gpus-per-host", "0"): 2,
        ("export", "vllm", *ASK, "--checkpoint=--x"): 2,
        ("export", "vllm", *ASK, "--out", "/dev/null"): 2,
        ("export", "vllm", *ASK, "--out", ""): 2,  # an unset variable is not the folder where we are
        ("export", "vllm", *ASK, "--out", "x" * 300): 2,  # found by the search, `flags`
        ("export", "trtllm", *ASK, "--system", "mi355x"): 2,
        ("export", "vllm", *ASK, "--ttl", "0.1ms"): 3,
    }
    for arguments, code in bad.items():
        assert main(list(arguments)) == code, arguments
        told = capsys.readouterr()
        assert "Traceback" not in told.err + told.out
        assert told.out if code == 3 else len(told.err.splitlines()) == 1, arguments


def test_a_refusal_says_what_can_be_instead(capsys):
    ask = ["--model", "qwen3.5-397b-a17b", "--system", "h200", "--gpus", "64", "--isl", "16k"]
    assert main(["export", "vllm", *ask]) == 3
    line = capsys.readouterr().err
    assert "push connector" in line and "it can say" in line and line.count("\n") == 1
    # of an engine that the user has not named there is nothing to refuse
    assert main(["export", "dynamo", *ASK, "--system", "mi355x"]) == 3
    assert (
        capsys.readouterr().err
        == "ratematch: dynamo: Dynamo's images are for NVIDIA's GPUs, not for MI355X\n"
    )
