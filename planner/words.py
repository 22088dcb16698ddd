"""The closed choices, each a `Literal`: what a field may hold, and what a checker may hold it to."""

from __future__ import annotations

from typing import Literal, TypeAlias

Tariff: TypeAlias = Literal["rental"]  # a price that a system's preset knows, beside that of owning it
Phase: TypeAlias = Literal["prefill", "decode", "colocated"]  # what an instance does
Stage: TypeAlias = Literal["encode", Phase]  # the same, of what encodes images before it too
Way: TypeAlias = Literal["disaggregated", "colocated"]  # the two ways of serving: split, or not
Choice: TypeAlias = Literal["disaggregated", "colocated", ""]  # a way, or "" where none meets the limits
Finding: TypeAlias = Literal["split", "colocated", "tie", ""]  # which way is better; "" as in Choice
# where images are encoded: before the prompt on the GPUs that compute it, on GPUs of their own, or the better
Encoder: TypeAlias = Literal["auto", "in-place", "pool"]
Loss: TypeAlias = Literal["none", "gpu", "instance", "node", "rack"]  # that a plan survives one of
Goal: TypeAlias = Literal["throughput", "fewest-gpus", "cost", "watts", "tokens-per-watt"]
ClaimKind: TypeAlias = Literal["direction", "magnitude"]  # what a finding of the study says
Outcome: TypeAlias = Literal["pass", "fail", "open"]  # of checking it
Arrivals: TypeAlias = Literal["auto", "steady", "poisson", "bursty", "trace"]  # how requests come
# what a frontier counts: what is served within the limits as the plan has its requests, all that instances
# can do, or what they do within the limits where requests come at their own time
Drawn: TypeAlias = Literal["auto", "saturation", "goodput"]
At: TypeAlias = Literal["auto", "mean", "p50", "p90", "p95", "p99"]  # what of a latency a limit binds
# when a plan has its requests replayed: where closed forms of their waits are not sure, always, never
Settling: TypeAlias = Literal["auto", "on", "off"]
Routing: TypeAlias = Literal["least-loaded", "central", "round-robin", "random"]  # who takes a request
Status: TypeAlias = Literal["optimal", "feasible", "infeasible"]
# how a co-located instance batches prompts with output tokens; "" for an instance of one phase
Batching: TypeAlias = Literal["", "inflight", "piggyback"]

PrefixRouting: TypeAlias = Literal["prefix-aware", "round-robin"]  # how requests are spread over caches
PrefixReuse: TypeAlias = Literal["none", PrefixRouting]  # what finds what the prompts of a trace share

PresetKind: TypeAlias = Literal["model", "system", "engine", "scenario", "kernels"]
Quantity: TypeAlias = Literal["tokens", "seconds", "count", "rate", "share", "usd"]  # what a number counts
FieldKind: TypeAlias = Literal[Quantity, "choice", "switch", "layout", "file", "fleet"]  # what an input holds

AttentionKind: TypeAlias = Literal["gqa", "mla", "linear", "conv", "cross", "none"]
FfnKind: TypeAlias = Literal["dense", "moe", "none"]
Exchange: TypeAlias = Literal["replicated", "all-to-all", "gathered"]  # how tokens reach their experts
# what lies between ranks that exchange tokens: host bridges, a mesh of links inside a host, a switch inside a
# host or one that spans hosts, and beyond those the network
Reach: TypeAlias = Literal["pcie", "mesh", "host", "rack", "network"]
Pass: TypeAlias = Literal["prefill", "decode"]  # which of an operator's two kernels

# "_wo" is weight-only, "_a4" has activations of four bits too
WeightFormat: TypeAlias = Literal[
    "bf16",
    "fp8",
    "fp8_block",
    "nvfp4",
    "mxfp4",
    "mxfp4_a4",
    "fp8_wo",
    "int8_wo",
    "nvfp4_wo",
    "mxfp4_wo",
    "int4_wo",
]
BesideFormat: TypeAlias = Literal[WeightFormat, ""]  # "": as the rest
CacheFormat: TypeAlias = Literal["bf16", "fp8", "fp4"]
# what a scenario may ask for; "auto" is the narrowest format that the GPU multiplies in, or the checkpoint's
Weights: TypeAlias = Literal["auto", "bf16", "fp8", "fp4", "fp8_block", "nvfp4", "mxfp4", "int8", "int4"]
Cache: TypeAlias = Literal["auto", "bf16", "fp8", "fp4"]
Vendor: TypeAlias = Literal["nvidia", "amd"]  # who makes a GPU
# what an engine needs for experts that do not divide the EP width: nothing, spare slots that hold copies
# of some, or those and attention DP
UnevenExperts: TypeAlias = Literal["as they are", "slots", "slots with attention DP"]
# what the share that an engine is given counts: of the GPU, weights and cache alone, or what weights and
# activations leave of it, for the cache
MemoryRule: TypeAlias = Literal["everything", "weights and cache", "cache"]
Topology: TypeAlias = Literal["switch", "mesh", "pcie"]  # of a scale-up domain

Stop: TypeAlias = Literal["memory", "ftl", "ttl", "rate"]  # what stops a design point
LimitState: TypeAlias = Literal["ok", "tight", "missed"]  # how a plan stands against one of its limits
Level: TypeAlias = Literal["both", "one", "neither"]  # how much of a scenario was measured
# what a number rests on: runs like it, runs that differ in one respect, or neither
EvidenceKind: TypeAlias = Literal["measured", "neighbour", "extrapolated"]
Step: TypeAlias = Literal["phase", "width", "format", "GPU", "model", "drafts"]  # a respect to differ in

EngineFamily: TypeAlias = Literal["vllm", "sglang", "trtllm"]  # engines that a deployment can be written for
Target: TypeAlias = Literal[EngineFamily, "dynamo", "llm-d"]  # what launches it
Benchmark: TypeAlias = Literal["aiperf", "vllm", "sglang"]  # whose load generator measures it
