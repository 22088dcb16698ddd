"""TensorRT-LLM: `trtllm-serve` with a configuration for each pool, and its disaggregated server.

`tensor_parallel_size` is a whole pipeline stage; attention DP is as wide as it or off. Batch limits are of
a rank. Across hosts one `mpirun` on the first starts every rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.output.deploy.parts import EngineTable, Placed, Process, Settings, Subject, Value
from planner.planning.result import LayoutChoice, PoolPlan

GATHER, DEEPEP, DEEPEP_ANYWHERE = "ALLGATHER", "DEEPEP", "DEEPEPLOWLATENCY"
DEEPEP_DOMAINS = (2, 4, 8, 16)  # over which DeepEP's high-throughput kernels run, whole domains of 8
PASS_TOKENS = 8192  # of prompts in a pass of instances that the plan gives no chunk


def refusal(of: Subject) -> str:
    """What of a plan TensorRT-LLM has no way to run, beyond its layouts; "" where it has."""
    return ""


def host_unit(pool: PoolPlan) -> int:
    """GPUs that must be on one host."""
    return 1


def side_ports(pool: PoolPlan) -> int:
    """Ports that an instance moves its cache through: its runtime finds them itself."""
    return 0


def widths(table: EngineTable, layout: LayoutChoice, *, is_moe: bool) -> dict[str, Value]:
    """The keys that make a layout."""
    flag, stage = table.flags, layout.tp * layout.attention_dp
    found: dict[str, Value] = {flag["tp"]: stage}
    if layout.pp > 1:
        found[flag["pp"]] = layout.pp
    if is_moe:
        found |= {flag["ep"]: layout.ep, flag["moe_tp"]: layout.moe_tp}
    if layout.attention_dp > 1:
        found[flag["attention_dp"]] = True
    return found


def settings(of: Subject, pool: PoolPlan) -> Settings:
    """The configuration that every instance of a pool has."""
    flag = of.flag
    prefill, page = pool.phase == "prefill", of.table.page_tokens
    found = widths(of.table, pool.layout, is_moe=of.model.is_moe)
    tokens = pool.max_batched_tokens
    if pool.phase == "colocated" and not pool.chunk_tokens:
        tokens = max(tokens, PASS_TOKENS)
    isl = of.scenario.traffic.isl
    chunked = (prefill and 0 < pool.chunk_tokens < isl) or pool.phase == "colocated"
    if chunked and prefill:
        tokens = -(-tokens // page) * page
    found[flag("max_requests")] = pool.max_batch
    found[flag("max_tokens")] = max(tokens, pool.max_batch)
    found[flag("context")] = of.context_tokens
    if chunked:
        found[flag("chunked")] = True
    if prefill:
        found[flag("no_overlap")] = True
    cache: dict[str, Any] = {}
    if of.plan.precision:
        cache["dtype"] = of.table.kv[of.plan.precision.kv]
    if of.own_engine:
        cache["free_gpu_memory_fraction"] = round(pool.memory_fraction, 4)
    cache["enable_block_reuse"] = bool(of.scenario.traffic.cached_share)
    found[flag("cache")] = cache
    if not prefill:
        found[flag("graphs")] = {"enable_padding": True, "max_batch_size": pool.max_batch}
    if of.split and pool.phase != "colocated":
        room = -(-isl // page) * page
        found[flag("transfer")] = {"backend": "NIXL", "max_tokens_in_buffer": room}
    if copies := of.copies(pool):
        slots = {"num_slots": of.model.experts + copies}
        found[flag("experts")] = {"load_balancer": slots}
    if of.mtp:
        found[flag("drafts")] = {"decoding_type": "MTP", "max_draft_len": of.mtp}
    return found


def environment(of: Subject, pool: PoolPlan) -> Mapping[str, str]:
    """What every instance of a pool is told beside its keys: how tokens reach whole experts.

    It chooses by itself else: NVLink kernels wherever there is NVLink, gathering where there is none.
    """
    at = pool.layout
    if not of.model.is_moe or at.attention_dp == 1 or at.moe_tp > 1:
        return {}
    backend = of.exchange(pool) or GATHER
    domains = at.tp * at.attention_dp / of.system.fabric.scale_up_gpus
    if backend == DEEPEP and domains not in DEEPEP_DOMAINS:
        backend = DEEPEP_ANYWHERE
    return {of.table.environment["exchange"]: backend}


def config_name(one: str) -> str:
    """The file of a pool's configuration."""
    return f"{one}.yaml"


def processes(
    of: Subject, one: Placed, hosts: Sequence[str], model: Sequence[str], config: str
) -> list[Process]:
    """What an instance runs: on its first host, ranks on others started from there."""
    pool, head = of.serving.pools[one.pool], hosts[one.hosts[0]]
    env = environment(of, pool)
    serve = (*of.table.command, *model, "--host", "0.0.0.0", "--port", str(one.port), "--config", config)
    if len(one.hosts) > 1:
        each = ",".join(f"{hosts[h]}:{len(gpus)}" for h, gpus in zip(one.hosts, one.gpus, strict=True))
        ranks = sum(map(len, one.gpus))
        mpi = ("mpirun", "--allow-run-as-root", "-n", str(ranks), "--host", each)
        kept = [word for name in ("CUDA_VISIBLE_DEVICES", *env) for word in ("-x", name)]
        serve = (*mpi, *kept, "trtllm-llmapi-launch", *serve)
    return [
        Process(
            name=one.name,
            host=one.hosts[0],
            gpus=one.gpus[0],
            argv=serve,
            env=env,
            health=f"{head}:{one.port}",
            spans=len(one.hosts) > 1,
        )
    ]


def servers(of: Subject, places: Sequence[Placed], hosts: Sequence[str], port: int) -> dict[str, Any]:
    """The configuration of its disaggregated server."""

    def pool(phase: str) -> dict[str, Any]:
        urls = [
            f"{hosts[one.hosts[0]]}:{one.port}" for one in places if of.serving.pools[one.pool].phase == phase
        ]
        return {"num_instances": len(urls), "urls": urls}

    return {
        "hostname": "0.0.0.0",
        "port": port,
        "backend": "pytorch",
        "context_servers": pool("prefill"),
        "generation_servers": pool("decode"),
    }
