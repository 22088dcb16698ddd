"""The columns of measured files, as `validate --help` and `calibrate --help` list them."""

from __future__ import annotations

RUN_COLUMNS = """columns of FILE.csv, one line for each run at a fixed number of requests in flight:
  model, system, engine          names of presets
  isl, osl, concurrency          tokens in and out; requests in flight over the whole deployment
  ttft_ms, tpot_ms               what was measured; either may be empty
  mode                           colocated (default) or disaggregated
  gemm_dtype, moe_dtype          bf16, fp8, fp8_block, nvfp4, mxfp4, int4_wo (default bf16)
  tp, pp, attention_dp, moe_tp, moe_ep         co-located widths (default 1)
  prefill_workers, prefill_tp, prefill_attention_dp, prefill_moe_tp, prefill_moe_ep,
  decode_workers, decode_tp, ...               disaggregated ones
  max_batch, max_batched_tokens, memory_fraction    limits of an attention rank, of a pass, of memory
  mtp, shared_prefix, poll_steps drafted tokens, cached tokens of each prompt, steps between two looks
  lengths                        fixed, or drawn from 80 % of isl and osl on; blank: as benchmarks do
  requests, arrivals             of the run; closed, burst (all at once) or poisson (requests_per_s)
  ttft_p90_ms, ttft_p99_ms, e2e_ms, output_tokens_per_s     more that was measured
  engine_versions, id            optional; other columns are not read"""

KERNEL_COLUMNS = """files of DIR, any of them, all with system, engine and latency_us (microseconds):
  gemm.csv               dtype, m, n, k
  attention_prefill.csv  kv_cache_dtype, batch_size, isl, num_heads, num_key_value_heads, head_dim,
                         window_size (empty: none)
  attention_decode.csv   the same and step; the context is isl + step
  mla_prefill.csv, mla_decode.csv      kv_cache_dtype, num_heads, batch_size, isl, step
  mla_*_module.csv       the same and gemm_type: a whole block, projections included
  dsa_*_module.csv       the same and model
  gated_delta_net.csv    kernel_source, phase (context, generation), batch_size, seq_len, num_k_heads,
                         head_k_dim, num_v_heads, head_v_dim, d_conv
  moe.csv                moe_dtype, kernel_source, num_tokens, hidden_size, inter_size, topk,
                         num_experts, moe_tp_size, moe_ep_size, distribution (balanced, power_law_1.2)
  allreduce.csv          num_gpus, message_size (elements of 2 bytes)
  nccl.csv               nccl_dtype, op_name, num_gpus, message_size (elements)
  moe_alltoall.csv       comm_backend, phase (dispatch, combine), comm_dtype, ep_size, hidden_size,
                         topk, num_tokens"""
