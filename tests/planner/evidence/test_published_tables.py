"""Offline and open-loop runs that others published: throughput, inter-token latency and first token.

Offline: NVIDIA/TensorRT-LLM, docs/source/developer-guide/perf-overview.md at 03e27c7d (1.2) and
docs/source/performance/perf-overview.md at 00f37686 (1.0): all requests at once, equal lengths, output
tokens per second of the whole deployment (those of 1.2 are printed per GPU).
Open loop: github.com/inference-sim/sim-to-real-accuracy-validation: vLLM 0.15.1 with 128 sequences and
2048 tokens a pass, Poisson arrivals.
"""

from pathlib import Path

import numpy as np
import pytest

from planner.evidence import runs, validate_runs
from planner.inputs.catalog import load

OFFLINE = (
    "model,system,engine,gemm_dtype,moe_dtype,isl,osl,tp,attention_dp,moe_ep,requests,output_tokens_per_s"
)
PIPELINES = """
llama-3.1-70b,rtx-pro-6000,trtllm,nvfp4,nvfp4,500,2000,2,1,1,1,3000,4114
llama-3.1-70b,rtx-pro-6000,trtllm,nvfp4,nvfp4,2048,2048,4,1,1,1,1500,3870
llama-3.1-70b,rtx-pro-6000,trtllm,nvfp4,nvfp4,128,2048,4,1,1,1,3000,7922
llama-3.1-70b,rtx-pro-6000,trtllm,nvfp4,nvfp4,128,128,8,1,1,1,30000,11881
llama-3.1-70b,rtx-pro-6000,trtllm,nvfp4,nvfp4,128,2048,8,1,1,1,3000,9833
llama-3.1-70b,rtx-pro-6000,trtllm,nvfp4,nvfp4,1000,1000,8,1,1,1,3000,8166
llama-3.1-70b,rtx-pro-6000,trtllm,nvfp4,nvfp4,5000,500,8,1,1,1,1500,2491
llama-3.1-405b,rtx-pro-6000,trtllm,nvfp4,nvfp4,1000,1000,8,1,1,1,3000,2369
"""
DENSE = """
llama-3.1-70b,h200,trtllm,fp8,fp8,1000,1000,2,1,1,3000,5174
llama-3.1-70b,h200,trtllm,fp8,fp8,8192,1024,2,1,1,1500,1074
llama-3.1-70b,h200,trtllm,fp8,fp8,1024,8192,2,1,1,1500,4018
llama-3.1-70b,h100,trtllm,fp8,fp8,2048,128,2,1,1,3000,762
llama-3.1-405b,h200,trtllm,fp8,fp8,500,2000,8,1,1,3000,4724
llama-3.1-8b,h100,trtllm,fp8,fp8,1000,2000,1,1,1,1500,13899
llama-3.1-70b,rtx-pro-6000,trtllm,nvfp4,nvfp4,1000,1000,1,1,1,3000,1787
"""
ON_CARDS = """
llama-3.1-70b,l40s,trtllm,fp8,fp8,1000,1000,4,1,1,3000,1209
llama-3.1-70b,l40s,trtllm,fp8,fp8,2048,128,4,1,1,3000,178
llama-3.1-70b,l40s,trtllm,fp8,fp8,2048,2048,8,1,1,1500,1200
llama-3.1-70b,l40s,trtllm,fp8,fp8,5000,500,8,1,1,1500,260
llama-3.1-70b,l40s,trtllm,fp8,fp8,128,2048,4,1,1,3000,1943
llama-3.1-70b,l40s,trtllm,fp8,fp8,1000,1000,8,1,1,3000,1334
"""
ATTENTION_DP = """
deepseek-r1,h200,trtllm,fp8,fp8_block,1000,1000,1,8,8,3000,13016
deepseek-r1,h200,trtllm,fp8,fp8_block,1024,1024,1,8,8,3000,12960
deepseek-r1,h200,trtllm,fp8,fp8_block,1024,8192,1,8,8,1500,9744
deepseek-r1,h200,trtllm,fp8,fp8_block,1024,32768,1,8,8,1000,3504
llama-4-maverick,h200,trtllm,fp8,fp8,1024,1024,1,8,8,3000,33440
qwen3-235b-a22b,h200,trtllm,fp8,fp8,1000,1000,1,4,4,3000,13152
qwen3-235b-a22b,h200,trtllm,fp8,fp8,1024,8192,1,4,4,1500,5668
qwen3-235b-a22b,h200,trtllm,fp8,fp8,8192,1024,1,4,4,1500,2508
"""
OPEN_LOOP = (
    "model,system,engine,isl,osl,tp,moe_tp,shared_prefix,requests_per_s,max_batch,max_batched_tokens,"
    "ttft_ms,tpot_ms,ttft_p90_ms,e2e_ms"
)
AT_A_RATE = """
llama-3.1-8b,h100,vllm,750,251,1,1,150,6,128,2048,25.999,7.770,28.81,1884.778
llama-3.1-8b,h100,vllm,547,248,1,1,100,20,128,2048,30.413,9.315,34.17,2236.197
llama-3.1-8b,l40s,vllm,547,248,1,1,100,2.5,128,2048,74.067,26.464,85.291,6337.538
llama-3.1-8b,h100,vllm,547,248,1,1,100,8,128,2048,25.645,7.810,28.524,1884.858
mixtral-8x7b,h100,vllm,547,248,2,2,100,2.5,128,2048,56.304,16.375,55.706,4055.064
mixtral-8x7b,h100,vllm,547,248,2,2,100,6,128,2048,53.340,18.737,60.857,4616.569
mixtral-8x7b,h100,vllm,566,247,2,2,100,10,128,2048,56.781,19.361,64.507,4753.587
mixtral-8x7b,h100,vllm,547,248,4,4,100,20,128,2048,36.775,11.630,41.552,2891.329
mixtral-8x22b,h100,vllm,566,247,8,8,100,5,128,2048,68.187,17.965,59.873,4501.279
"""


def judged(tmp_path: Path, head: str, lines: str, arrivals: str) -> dict[str, dict[str, float]]:
    rows = [f"{head},arrivals", *(f"{line},{arrivals}" for line in lines.split())]
    file = tmp_path / "runs.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    return validate_runs.report(runs.read(file), load())


def test_offline_tables_of_dense_models(tmp_path: Path) -> None:
    found = judged(tmp_path, OFFLINE, DENSE, "burst")["output_tokens_per_s"]
    assert found["n"] == 7 and found["median_ape"] < 0.12 and abs(found["bias"]) < 0.12


def test_offline_tables_of_pipelines(tmp_path: Path) -> None:
    """Up to 2,000 requests in flight: a scheduler looks through all of them for each of eight stages."""
    head = OFFLINE.replace(",tp,", ",pp,tp,")
    found = judged(tmp_path, head, PIPELINES, "burst")["output_tokens_per_s"]
    assert found["n"] == 8 and found["median_ape"] < 0.12 and abs(found["bias"]) < 0.12


def test_offline_tables_over_a_bus(tmp_path: Path) -> None:
    """Four and eight cards, where most of a pass is its all-reduces: no direct link was once 5 times off."""
    found = judged(tmp_path, OFFLINE, ON_CARDS, "burst")["output_tokens_per_s"]
    assert found["n"] == 6 and found["median_ape"] < 0.25 and abs(found["bias"]) < 0.25


def test_offline_tables_with_attention_dp(tmp_path: Path) -> None:
    found = judged(tmp_path, OFFLINE, ATTENTION_DP, "burst")["output_tokens_per_s"]
    assert found["n"] == 8 and found["median_ape"] < 0.15 and abs(found["bias"]) < 0.08


def test_open_loop_runs(tmp_path: Path) -> None:
    found = judged(tmp_path, OPEN_LOOP, AT_A_RATE, "poisson")
    assert found["tpot"]["median_ape"] < 0.09 and found["ttft"]["median_ape"] < 0.20
    assert found["ttft_p90"]["median_ape"] < 0.20 and found["e2e"]["median_ape"] < 0.10


def read(tmp_path: Path, line: str) -> runs.Row:
    file = tmp_path / "runs.csv"
    file.write_text(f"{OFFLINE},arrivals,concurrency\n{line}", encoding="utf-8")
    return runs.read(file)[0]


def test_a_run_with_as_many_in_flight_as_requests_is_a_burst(tmp_path: Path) -> None:
    line = "llama-3.1-8b,h100,trtllm,fp8,fp8,1000,2000,1,1,1,1500,13899"
    assert read(tmp_path, f"{line},closed,1500").burst
    assert not read(tmp_path, f"{line},closed,100").burst
    few = read(tmp_path, f"{line},burst,100")
    assert few.burst and few.concurrency == 100
    with pytest.raises(runs.csv_files.InputError, match="closed, burst or poisson"):
        read(tmp_path, f"{line},sometimes,100")
    with pytest.raises(runs.csv_files.InputError, match="requests_per_s"):
        read(tmp_path, f"{line},poisson,")


def test_memory_that_a_row_states_is_what_its_cache_gets(tmp_path: Path) -> None:
    head = f"{OFFLINE},memory_fraction"
    line = "llama-3.1-70b,h200,trtllm,fp8,fp8,1024,8192,2,1,1,1500,4018"
    file = tmp_path / "runs.csv"
    file.write_text("\n".join([head, f"{line},0.9", f"{line},0.5", f"{line},"]), encoding="utf-8")
    rates, _ = validate_runs.predict(runs.read(file), load()).more["output_tokens_per_s"]
    assert rates[1] < 0.9 * rates[0] and np.isclose(rates[0], rates[2])
