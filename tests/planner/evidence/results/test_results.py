"""Results as benchmark tools write them become the rows that they measured."""

from __future__ import annotations

import json

import pytest

from planner import InputError, load
from planner.evidence import validate_runs
from planner.evidence.results import read as results
from tests.planner.evidence.results.samples import (
    AIPERF,
    COLLECTION,
    GUIDELLM,
    GUIDELLM_CSV,
    GUIDELLM_OLD_CSV,
    INFERENCEX,
    LLMPERF,
    METRICS,
    SGLANG,
    TRTLLM_BENCH,
    VLLM,
)
from tui.cli import main

PRESETS = load()
HERE = {"system": "h100", "layout": "TP2"}


def rows(tmp_path, content, name="result.json", **given):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return results.read(path, PRESETS, {key.replace("-", "_"): value for key, value in given.items()})


def test_vllm(tmp_path):
    (row,) = rows(tmp_path, VLLM, **HERE)
    assert (row.model, row.system, row.engine) == ("llama-3.1-8b", "h100", "vllm")
    assert (row.isl, row.osl, row.concurrency, row.requests) == (2048, 512, 64, 400)
    assert (row.ttft_s, row.tpot_s, row.ttft_p99_s) == pytest.approx((0.4125, 0.0179, 0.9023))
    assert row.e2e_s == pytest.approx(9.559) and row.output_tokens_per_s == 3297.9
    assert row.colocated and row.decode.tp == 2 and row.gemm == "bf16"


def test_trtllm_bench(tmp_path):
    (row,) = rows(tmp_path, TRTLLM_BENCH)
    assert (row.model, row.system, row.engine, row.gemm) == ("llama-3.1-70b", "h200", "trtllm", "fp8")
    assert (row.isl, row.osl, row.concurrency, row.requests, row.decode.tp) == (1024, 1024, 64, 640, 4)
    assert (row.ttft_s, row.tpot_s, row.ttft_p90_s, row.ttft_p99_s) == pytest.approx(
        (0.31, 0.0171, 0.51, 0.9)
    )
    assert row.e2e_s == 17.8 and row.output_tokens_per_s == 3640.0
    asked = {**TRTLLM_BENCH["request_info"], "avg_num_concurrent_requests": 330.0}
    (row,) = rows(tmp_path, {**TRTLLM_BENCH, "request_info": asked})
    assert row.burst  # half of all requests in flight in the mean: they came at once


def test_trtllm_bench_does_not_say_where_attention_is_spread(tmp_path):
    spread = {**TRTLLM_BENCH, "world_info": {"tp_size": 8, "pp_size": 1, "ep_size": 8}}
    with pytest.raises(InputError, match="trtllm-bench does not say --layout: give them"):
        rows(tmp_path, spread)
    without = {
        key: value for key, value in TRTLLM_BENCH.items() if key not in ("streaming_metrics", "machine")
    }
    (row,) = rows(tmp_path, without, system="h200")
    assert row.e2e_s == 17.8 and row.ttft_s != row.ttft_s  # nothing was streamed


def test_llmperf(tmp_path):
    (row,) = rows(tmp_path, LLMPERF, system="h100", engine="vllm", layout="TP1")
    assert (row.model, row.isl, row.osl, row.concurrency, row.requests) == (
        "llama-3.1-8b",
        1031,
        251,
        16,
        160,
    )
    # its own token interval has the first token's wait in it
    assert (row.ttft_s, row.tpot_s, row.ttft_p99_s, row.e2e_s) == pytest.approx((0.15, 2.3 / 250, 0.33, 2.45))
    with pytest.raises(InputError, match="llmperf does not say --system, --engine, --layout"):
        rows(tmp_path, LLMPERF)


def test_cells_may_say_their_unit(tmp_path):
    head = "model,system,engine,tp,isl,osl,concurrency,ttft_ms,tpot_ms,output_tokens_per_s\n"
    own = head + 'llama-3.1-8b,h100,vllm,1,1024,256,16,0.15 s,9.1ms,"1,602 tok/s"\n'
    titled = (
        "Model,Accelerator,Backend,TP,Input Length,Output Length,Concurrency,Mean TTFT,Mean TPOT\n"
        "meta-llama/Llama-3.1-8B-Instruct,H100,vllm,1,1024,256,16,150 ms,9.1 ms\n"
    )
    for content in (own, titled):
        (row,) = rows(tmp_path, content, "r.csv")
        assert (row.ttft_s, row.tpot_s) == pytest.approx((0.15, 0.0091))
    with pytest.raises(InputError, match="line 2, isl"):
        rows(tmp_path, own.replace("1024", "1024 ms"), "r.csv")


def test_the_same_as_csv_and_as_appended_lines(tmp_path):
    (first,) = rows(tmp_path, VLLM, **HERE)
    flat = {key: value for key, value in VLLM.items() if value is not None}
    csv = ",".join(flat) + "\n" + ",".join(map(str, flat.values())) + "\n"
    assert rows(tmp_path, csv, "r.csv", **HERE)[0].shape == first.shape
    lines = json.dumps(VLLM) + "\n" + json.dumps({**VLLM, "max_concurrency": 8}) + "\n"
    assert [row.concurrency for row in rows(tmp_path, lines, "r.jsonl", **HERE)] == [64, 8]


def test_lengths_that_were_counted_are_not_taken_for_drawn_ones(tmp_path):
    counted = {**VLLM, "total_input_tokens": 400 * 1024, "total_output_tokens": 400 * 8192}
    (row,) = rows(tmp_path, counted, **HERE)
    assert (row.isl, row.osl, row.length_mean, row.length_spread) == (1024, 8192, 1.0, 0.0)
    nominal = {**SGLANG, "completed": None, "random_output_len": 8192}
    assert rows(tmp_path, nominal, system="h200")[0].length_mean == 0.9
    given = {"model": "qwen3-32b", "system": "h100", "engine": "vllm", "layout": "TP4", "isl": "1024"}
    table = (
        "isl,osl,concurrency,tp,ttft_ms,model,system,engine,lengths\n1024,1024,4,1,9,qwen3-32b,h100,vllm,{}\n"
    )
    assert rows(tmp_path, table.format("fixed"), "own.csv")[0].length_mean == 1.0
    assert rows(tmp_path, table.format(""), "own.csv")[0].length_mean == 0.9
    assert rows(tmp_path, AIPERF, **given)[0].length_mean == 1.0
    with pytest.raises(InputError, match="fixed or drawn"):
        rows(tmp_path, table.format("long"), "own.csv")


def test_all_at_once_is_a_burst(tmp_path):
    (row,) = rows(tmp_path, {**VLLM, "max_concurrency": None}, **HERE)
    assert row.burst and row.requests == 400


def test_sglang(tmp_path):
    (row,) = rows(tmp_path, SGLANG, system="h200")
    assert (row.model, row.engine, row.decode.tp) == ("qwen3-32b", "sglang", 4)
    assert row.requests_per_s == 4.0 and row.concurrency != row.concurrency
    assert (row.isl, row.osl) == (1024, 512) and row.e2e_s == 5.0
    text = json.dumps({**SGLANG, "request_rate": float("inf"), "max_concurrency": 16})  # as it writes it
    assert rows(tmp_path, text, system="h200")[0].concurrency == 16


def test_aiperf_and_genai_perf(tmp_path):
    (row,) = rows(tmp_path, AIPERF, system="h100", engine="vllm", layout="TP4")
    assert (row.model, row.isl, row.osl, row.concurrency) == ("llama-3.1-70b", 2048, 512, 64)
    assert (row.ttft_s, row.tpot_s, row.e2e_s, row.ttft_p90_s) == pytest.approx((0.21, 0.0112, 5.9, 0.3))
    given = {"system": "h100", "engine": "vllm", "layout": "TP4", "model": "qwen3-32b", "isl": "1000"}
    (row,) = rows(tmp_path, METRICS, "p.csv", **given, osl="500", concurrency="32")
    assert (row.ttft_s, row.tpot_s, row.ttft_p99_s) == pytest.approx((0.21033, 0.0112, 0.512))
    assert row.output_tokens_per_s == 6180.44 and row.concurrency == 32


def test_guidellm(tmp_path):
    found = rows(tmp_path, GUIDELLM, model="qwen3-32b", system="h100", engine="vllm", layout="TP4")
    assert [row.concurrency for row in found] == [8, 16]
    assert (found[0].isl, found[0].osl, found[0].e2e_s) == (1000, 500, 6.2)
    assert found[0].ttft_p90_s == pytest.approx(0.15)


def test_guidellm_says_its_load_in_the_strategy_of_a_benchmark_not_in_the_profile_of_all(tmp_path):
    one = GUIDELLM["benchmarks"][0]
    config = {"strategy": {"type_": "concurrent", "streams": 8}, "profile": {"streams": [4, 8, 99]}}
    given = {"model": "qwen3-32b", "system": "h100", "engine": "vllm", "layout": "TP4"}
    (row,) = rows(tmp_path, {"benchmarks": [{**one, "args": {}, "config": config}]}, **given)
    assert row.concurrency == 8
    config = {"strategy": {"type_": "poisson", "rate": 2.5}, "profile": {"rate": [1.0, 2.5, 9.0]}}
    (row,) = rows(tmp_path, {"benchmarks": [{**one, "args": {}, "config": config}]}, **given)
    assert row.requests_per_s == 2.5


def test_guidellm_as_csv(tmp_path):
    given = {"system": "h100", "engine": "vllm", "layout": "TP4"}
    (row,) = rows(tmp_path, GUIDELLM_CSV, "g.csv", **given)
    assert (row.model, row.isl, row.osl, row.concurrency) == ("qwen3-32b", 1000, 500, 16)
    assert (row.ttft_s, row.tpot_s, row.e2e_s) == pytest.approx((0.1, 0.012, 6.2))
    assert (row.ttft_p90_s, row.ttft_p99_s) == pytest.approx((0.15, 0.19))
    assert row.output_tokens_per_s == 900.0
    closed, at_a_rate = rows(tmp_path, GUIDELLM_OLD_CSV, "g.csv", **given, model="qwen3-32b")
    assert (closed.concurrency, at_a_rate.requests_per_s) == (16, 2.5)
    assert closed.shape == row.shape
    assert (closed.ttft_p99_s, at_a_rate.ttft_s) == pytest.approx((0.19, 0.11))


def test_inferencex(tmp_path):
    (row,) = rows(tmp_path, [INFERENCEX])
    assert (row.model, row.system, row.engine, row.gemm) == ("deepseek-r1", "h200", "sglang", "fp8")
    assert (row.decode.tp, row.decode.attention_dp, row.decode.moe_ep) == (1, 8, 8)
    assert (row.ttft_s, row.tpot_s, row.e2e_s, row.concurrency) == pytest.approx((0.41, 0.0121, 13.0, 64))
    split = {
        **INFERENCEX, "disagg": True, "prefill_tp": 4, "prefill_ep": 4, "prefill_dp_attention": "false",
        "prefill_num_workers": 2, "decode_tp": 16, "decode_ep": 16, "decode_dp_attention": "true",
        "decode_num_workers": 1,
    }  # fmt: skip
    (row,) = rows(tmp_path, [split])
    assert not row.colocated and row.prefill_workers == 2 and row.gpus == 24
    assert (row.prefill.tp, row.prefill.moe_ep, row.decode.attention_dp) == (4, 4, 16)


def test_a_collection_of_a_public_dashboard(tmp_path):
    found = rows(tmp_path, COLLECTION, "c.csv")
    assert [(r.model, r.system, r.engine, r.version) for r in found] == [
        ("gpt-oss-120b", "h200", "vllm", "0.15.1"),
        ("llama-3.1-70b", "h200", "vllm", "0.15.1"),
    ]
    assert [r.ttft_s for r in found] == pytest.approx([0.1201, 0.3012])
    assert validate_runs.predict(found, PRESETS).covered == 2


@pytest.mark.parametrize(
    "text",
    [
        "Model,GPU,Framework,Input Length,Output Length,Concurrency,Mean TTFT (ms),TPOT [ms],TP\n"
        "meta-llama/Llama-3.1-8B-Instruct,H100,vLLM,2048,512,64,400,17,1\n",
        "model;system;engine;isl;osl;concurrency;ttft_ms;tpot_ms;tp\nllama-3.1-8b;h100;vllm;2048;512;64;400;17;1\n",
        "model\tsystem\tengine\tisl\tosl\tconcurrency\tttft_s\ttpot_s\ttp\n"
        "llama-3.1-8b\th100\tvllm\t2048\t512\t64\t0.4\t0.017\t1\n",
        "model,system,engine,isl,osl,concurrency,ttft_ms,tpot_ms,tp,e2e_ms\n"
        'llama-3.1-8b,h100,vllm,"2,048",512,64,400,17,1,N/A\n',
    ],
    ids=["titles", "semicolons", "tabs and seconds", "thousands and missing"],
)
def test_tables_as_people_keep_them(tmp_path, text):
    (row,) = rows(tmp_path, text, "r.csv")
    assert (row.model, row.system, row.engine, row.decode.tp) == ("llama-3.1-8b", "h100", "vllm", 1)
    assert (row.isl, row.osl, row.concurrency, row.ttft_s, row.tpot_s) == (2048, 512, 64, 0.4, 0.017)


def test_a_run_that_completed_nothing_is_no_measurement(tmp_path):
    with pytest.raises(InputError, match="run 2: '0 requests completed'"):
        rows(tmp_path, [VLLM, {**VLLM, "completed": 0}], **HERE)


def test_co_located_instances_are_counted_once_by_either_name(tmp_path):
    for column in ("decode_workers", "prefill_workers"):
        (row,) = rows(tmp_path, VLLM, system="h100", layout="TP2", **{column: "3"})
        assert row.colocated and (row.prefill_workers, row.decode_workers, row.gpus) == (3, 3, 6)


def test_a_split_is_given_by_its_layouts(tmp_path):
    given = {"prefill-layout": "TP2", "decode-layout": "TP4", "decode_workers": "3", "prefill_workers": "2"}
    (row,) = rows(tmp_path, VLLM, system="h100", **given)
    assert not row.colocated and row.gpus == 16


@pytest.mark.parametrize(
    ("content", "name", "line"),
    [
        (VLLM, "a.json", "a result of vLLM's serving benchmark does not say --system, --layout: give them"),
        (METRICS, "a.csv", "does not say --model, --system, --engine, --isl, --osl, --layout, --concurrency"),
        ("{" * 100_000, "a.json", "JSON, or one JSON object a line"),
        ("[" * 100_000, "a.json", "JSON, or one JSON object a line"),
        ("[1, 2]", "a.json", "objects, one for each run"),
        ("[]", "a.json", "1 to 20,000"),
        ("a,b\n1\n", "a.csv", "1 cells"),
        ("", "a.csv", "a CSV file with a header"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, content, name, line, capsys):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    code = main.main(["validate", str(path), "--weights", "bf16"])
    err = capsys.readouterr().err
    assert code == 2 and len(err.splitlines()) == 1 and line in err


@pytest.mark.parametrize("text", [GUIDELLM_CSV, GUIDELLM_OLD_CSV], ids=["three titles", "one title"])
def test_a_cut_file_of_guidellm_is_one_line_or_rows(tmp_path, text, capsys):
    for end in range(0, len(text), 37):
        path = tmp_path / "g.csv"
        path.write_text(text[:end])
        words = ["--system", "h100", "--layout", "TP4", "--engine", "vllm", "--model", "qwen3-32b"]
        code = main.main(["validate", str(path), *words])
        assert (code, len(capsys.readouterr().err.splitlines())) in ((0, 0), (2, 1))


def test_numbers_that_are_none_are_refused(tmp_path):
    for value in (10**400, "nan", -5, True, [1], {"a": 1}):
        with pytest.raises(InputError):
            rows(tmp_path, {**VLLM, "total_input_tokens": value}, **HERE)
    with pytest.raises(InputError):
        rows(tmp_path, {**VLLM, "total_input_tokens": 1e308, "completed": 1e-9}, **HERE)


@pytest.mark.parametrize(
    ("content", "name", "command"),
    [
        (VLLM, "r.json", "ratematch validate"),
        (METRICS, "r.csv", "ratematch validate"),
        (COLLECTION, "c.csv", "ratematch validate"),
        (GUIDELLM_CSV, "g.csv", "a result of guidellm: `ratematch validate"),
        (GUIDELLM_OLD_CSV, "g.csv", "a result of guidellm: `ratematch validate"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n", "t.csv", "trace"),
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "config.json", "import-model"),
    ],
)
def test_a_plan_of_another_file_says_what_it_is(tmp_path, content, name, command, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    assert main.main(["plan", name]) == 2
    err = capsys.readouterr().err
    assert command in err and name in err and len(err.splitlines()) == 1
