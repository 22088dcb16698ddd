"""What each tool writes, as small as it may be."""

from __future__ import annotations

VLLM = {
    "date": "20260310-101500", "backend": "vllm", "model_id": "meta-llama/Llama-3.1-8B-Instruct",
    "tokenizer_id": "x", "num_prompts": 400, "request_rate": "inf", "max_concurrency": 64,
    "completed": 400, "total_input_tokens": 819200, "total_output_tokens": 204800,
    "output_throughput": 3297.9, "mean_ttft_ms": 412.5, "median_ttft_ms": 398.1, "p99_ttft_ms": 902.3,
    "mean_tpot_ms": 17.9, "mean_e2el_ms": 9559.0,
}  # fmt: skip
SGLANG = {
    "backend": "sglang", "dataset_name": "random", "request_rate": 4.0, "max_concurrency": None,
    "random_input_len": 1024, "random_output_len": 512, "completed": 100, "total_input_tokens": 102400,
    "total_output_tokens": 51200, "total_output_tokens_retokenized": 51100, "output_throughput": 2000.0,
    "mean_e2e_latency_ms": 5000.0, "mean_ttft_ms": 120.0, "p99_ttft_ms": 400.0, "mean_tpot_ms": 9.5,
    "concurrency": 20.1, "server_info": {"model_path": "Qwen/Qwen3-32B", "tp_size": 4},
}  # fmt: skip
AIPERF = {
    "schema_version": "1.0", "aiperf_version": "0.5.0",
    "time_to_first_token": {"unit": "ms", "avg": 210.0, "p90": 300.0, "p99": 512.0},
    "inter_token_latency": {"unit": "ms", "avg": 11.2}, "request_latency": {"unit": "sec", "avg": 5.9},
    "output_token_throughput": {"unit": "tokens/sec", "avg": 6180.0},
    "input_sequence_length": {"unit": "tokens", "avg": 2047.6},
    "output_sequence_length": {"unit": "tokens", "avg": 512.0},
    "input_config": {
        "endpoint": {"model_names": ["meta-llama/Llama-3.3-70B-Instruct"]}, "loadgen": {"concurrency": 64},
    },
}  # fmt: skip
TRTLLM_BENCH = {
    "engine": {
        "model": "meta-llama/Llama-3.1-70B-Instruct", "version": "1.1.0", "backend": "Pytorch",
        "dtype": "bfloat16", "kv_cache_dtype": "FP8", "quantization": "FP8",
    },
    "machine": {"name": "NVIDIA H200", "memory.total": "139.8 GB"},
    "world_info": {"tp_size": 4, "pp_size": 1, "ep_size": 1, "world_size": 4, "max_batch_size": 512},
    "request_info": {
        "num_requests": 640, "avg_num_concurrent_requests": 63.4, "avg_input_length": 1024.2,
        "avg_output_length": 1024.0,
    },
    "performance": {
        "avg_request_latency_ms": 17800.0, "request_throughput_req_s": 3.55,
        "system_output_throughput_tok_s": 3640.0,
    },
    "streaming_metrics": {
        "avg_ttft_ms": 310.0, "avg_tpot_ms": 17.1, "ttft_percentiles": {"p90": 510.0, "p99": 900.0},
    },
}  # fmt: skip
LLMPERF = {
    "version": "2023-08-31", "model": "meta-llama/Llama-3.1-8B-Instruct", "mean_input_tokens": 1024,
    "mean_output_tokens": 256, "num_concurrent_requests": 16, "results_inter_token_latency_s_mean": 0.0098,
    "results_ttft_s_quantiles_p99": 0.33, "results_ttft_s_mean": 0.15,
    "results_end_to_end_latency_s_mean": 2.45, "results_number_input_tokens_mean": 1031.2,
    "results_number_output_tokens_mean": 251.0, "results_num_completed_requests": 160,
    "results_mean_output_throughput_token_per_s": 1602.0,
}  # fmt: skip
GUIDELLM = {
    "benchmarks": [
        {
            "args": {"strategy": {"type_": "concurrent", "streams": streams}},
            "metrics": {
                "time_to_first_token_ms": {"successful": {"mean": 100.0, "percentiles": {"p90": 150.0}}},
                "inter_token_latency_ms": {"successful": {"mean": 12.0}},
                "request_latency": {"successful": {"mean": 6.2}},
                "output_tokens_per_second": {"successful": {"mean": 900.0}},
                "prompt_token_count": {"successful": {"mean": 1000.4}},
                "output_token_count": {"successful": {"mean": 500.0}},
            },
        }
        for streams in (8, 16)
    ]
}
_TITLES = (  # of its CSV from version 0.5 on: group, name, what
    ("Run Info", "Run Index", "", "1"),
    ("Run Info", "Profile", "", '{"type_": "concurrent", "streams": [8, 16]}'),
    ("Run Info", "Backend", "", '{"type": "openai_http", "model": "Qwen/Qwen3-32B"}'),
    ("Benchmark", "Strategy", "", "concurrent"),
    ("Request Counts", "Successful", "", "400"),
    ("Request Latency", "Successful Sec", "Mean", "6.2"),
    ("Request Latency", "Incomplete Sec", "Mean", "3.1"),
    ("Time to First Token", "Successful ms", "Mean", "100.0"),
    (
        "Time to First Token",
        "Successful ms",
        "Percentiles",
        "[50, 51, 52, 53, 60, 80, 120, 150.0, 160, 190.0, 300]",
    ),
    ("Inter Token Latency", "Successful ms", "Mean", "12.0"),
    ("Server Throughput", "Successful Requests/Sec", "Mean", "1.8"),
    ("Server Throughput", "Successful Concurrency", "Mean", "15.8"),
    ("Token Metrics", "Successful Input Tokens", "Mean", "1000.4"),
    ("Token Metrics", "Successful Output Tokens", "Mean", "500.0"),
    ("Token Throughput", "Successful Output Tokens/Sec", "Mean", "900.0"),
)
GUIDELLM_CSV = "".join(
    ",".join('"' + cells[i].replace('"', '""') + '"' for cells in _TITLES) + "\n" for i in range(4)
)
GUIDELLM_OLD_CSV = (  # and before: one title, statistics of each metric by status
    "Type,Name,Duration,Successful Requests,Successful Requests per second mean,"
    "Successful Time to first token ms mean,"
    '"Successful Time to first token ms [min, 0.1, 1, 5, 10, 25, 75, 90, 95, 99, max]",'
    "Errored Time to first token ms mean,Successful Inter token latency ms mean,"
    "Successful Prompt token count mean,Successful Output token count mean,"
    "Successful Output tokens per second mean\n"
    "generative_benchmark,concurrent@16,60,400,1.8,100.0,"
    '"[50, 51, 52, 53, 60, 80, 120, 150.0, 160, 190.0, 300]"'
    ",0,12.0,1000.4,500.0,900.0\n"
    'generative_benchmark,poisson@2.50,60,400,2.4,110.0,"[]",0,12.5,1000.4,500.0,950.0\n'
)
INFERENCEX = {
    "hw": "h200", "tp": 8, "ep": 8, "dp_attention": "true", "conc": 64, "framework": "sglang",
    "model": "deepseek-ai/DeepSeek-R1-0528", "precision": "fp8", "isl": 1024, "osl": 1024,
    "tput_per_gpu": 1000.0, "mean_ttft": 0.41, "mean_tpot": 0.0121, "mean_e2el": 13.0,
}  # fmt: skip
METRICS = """Metric,avg,min,max,p99,p90
Time To First Token (ms),210.33,101.2,890.1,512.0,401.0
Inter Token Latency (ms),11.2,9.8,14.4,13.9,12.6

Metric,Value
Output Token Throughput (per sec),"6,180.44"
"""
COLLECTION = """accelerator,model,version,isl,osl,tp,concurrency,output_tok/sec,ttft_median,tpot_median,engine
H200,openai/gpt-oss-120b,vLLM-0.15.1,1000,1000,1,50,2890.2,120.1,16.2,vllm
H200,meta-llama/Llama-3.3-70B-Instruct,vLLM-0.15.1,1000,1000,4,100,4090.0,301.2,22.9,vllm
"""
