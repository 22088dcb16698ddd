"""vLLM: `vllm serve` for each instance, and a router of its own that hands requests from prefill to decode.

Batch limits are of a rank of attention DP. Across hosts a DP group has `--data-parallel-*`, a TP or PP group
`--nnodes`; a rank that spans hosts inside a DP group has no flag.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from planner.output.deploy.parts import EngineTable, Placed, Process, Settings, Subject, Value, argv
from planner.planning.result import LayoutChoice, PoolPlan
from planner.words import Phase

IMAGES = "/dev/shm/ratematch-images"  # where encoded images lie; containers have the host's
ENCODER_MEMORY = 0.01  # share of a GPU for a cache that an encoder has no use for
PASS_TOKENS = 8192  # of prompts in a pass of instances that the plan gives no chunk
# tokens of a rank from which vLLM runs a pass in halves, of its own
CUT_FROM: Mapping[Phase, int] = {"prefill": 512, "decode": 32}
_ROLES: Mapping[Phase, str] = {"prefill": "kv_producer", "decode": "kv_consumer"}


def refusal(of: Subject) -> str:
    """What of a plan vLLM has no way to run, beyond its layouts; "" where it has."""
    pools = of.serving.pools
    prefill = [pool for pool in pools if pool.phase == "prefill"]
    recurrent = any(layer.kind == "linear" for layer in of.model.attention)
    if of.prefill_pipelines:  # so the cache is pushed
        if recurrent:
            return "the push connector that prefill pipelines need does not move states of linear attention"
        if any(pool.layout.attention_dp > 1 for pool in prefill):
            return "the push connector that prefill pipelines need addresses no ranks of attention DP"
        if len({(pool.layout.tp, pool.layout.pp) for pool in prefill}) > 1:
            return "prefill instances of several widths beside pipelines cannot share a router that pushes"
    if of.split:
        for first in prefill:
            for then in (pool for pool in pools if pool.phase == "decode"):
                a, b = first.layout.tp, then.layout.tp
                if max(a, b) % min(a, b):
                    return f"TP {a} and TP {b}: one must be a multiple of the other to hand over the cache"
                heads = max(
                    (layer.kv_heads for layer in of.model.attention if layer.kind == "gqa"), default=0
                )
                if a > b and heads and a > heads:
                    return f"prefill TP {a} copies the {heads} KV heads, which decode TP {b} cannot take over"
    return ""


def host_unit(pool: PoolPlan) -> int:
    """GPUs that must be on one host."""
    layout = pool.layout
    return layout.tp * layout.pp if layout.attention_dp > 1 else 1


def side_ports(pool: PoolPlan) -> int:
    """Ports that an instance moves its cache through."""
    return pool.layout.attention_dp


def widths(table: EngineTable, layout: LayoutChoice, *, is_moe: bool) -> dict[str, Value]:
    """The flags that make a layout."""
    flag = table.flags
    found: dict[str, Value] = {flag["tp"]: layout.tp}
    if layout.pp > 1:
        found[flag["pp"]] = layout.pp
    if layout.attention_dp > 1:
        found[flag["dp"]] = layout.attention_dp
    if is_moe and layout.ep > 1:
        found[flag["expert_parallel"]] = True
    return found


def settings(of: Subject, pool: PoolPlan) -> Settings:
    """The flags that every instance of a pool has."""
    flag = of.flag
    found = widths(of.table, pool.layout, is_moe=of.model.is_moe)
    tokens = pool.max_batched_tokens
    if pool.phase == "colocated" and not pool.chunk_tokens:  # whole prompts between decode steps
        tokens = max(tokens, PASS_TOKENS)
    if backend := of.exchange(pool):
        found[flag("exchange")] = backend
        if of.halves(pool):
            found[flag("two_batches")] = True
            passing = max(pool.max_batched_tokens // 2, 1)  # of a rank: those of the emptier ones
            if passing < CUT_FROM[pool.phase]:
                found[flag(f"{pool.phase}_halves_from")] = passing
    found[flag("max_requests")] = pool.max_batch
    found[flag("max_tokens")] = max(tokens, pool.max_batch)
    if of.own_engine:
        found[flag("memory")] = _share(pool.memory_fraction)
    found[flag("context")] = of.context_tokens
    if of.plan.precision:
        found[flag("kv")] = of.table.kv[of.plan.precision.kv]
    if of.scenario.traffic.cached_share:
        found[flag("prefix_cache")] = True
    if of.mtp:
        found[flag("drafts")] = {"method": "mtp", "num_speculative_tokens": of.mtp}
    if pool.phase != "colocated":
        found[flag("transfer")] = {"kv_connector": connector(of), "kv_role": _ROLES[pool.phase]}
    return found


def environment(of: Subject, pool: PoolPlan) -> Mapping[str, str]:
    """What every instance of a pool is told beside its flags: nothing."""
    return {}


def connector(of: Subject) -> str:
    """Pulls the cache, but for prefill pipelines, whose every stage has to send its own."""
    return "NixlPushConnector" if of.prefill_pipelines else "NixlConnector"


def processes(of: Subject, one: Placed, hosts: Sequence[str], model: Sequence[str]) -> list[Process]:
    """What an instance runs on each of its hosts."""
    pool, flag = of.serving.pools[one.pool], of.flag
    common = dict(settings(of, pool))
    env: dict[str, str] = {}
    if pool.phase != "colocated":
        transfer: dict[str, Any] = dict(common[flag("transfer")])  # type: ignore[arg-type]
        transfer["engine_id"] = one.name
        common[flag("transfer")] = transfer
    dp, head = pool.layout.attention_dp, hosts[one.hosts[0]]
    several = len(one.hosts) > 1
    found = []
    for rank, (host, gpus) in enumerate(zip(one.hosts, one.gpus, strict=True)):
        here: dict[str, Value] = {flag("host"): "0.0.0.0", flag("port"): one.port}
        if several and dp > 1:
            local = dp // len(one.hosts)
            here |= {flag("dp_local"): local, flag("dp_head"): head, flag("dp_port"): one.head_port}
            if rank:
                here |= {flag("dp_start"): rank * local}
        elif several:
            here |= {flag("nodes"): len(one.hosts), flag("rank"): rank}
            here |= {flag("head"): head, flag("head_port"): one.head_port}
        if rank:
            here |= {flag("headless"): True}
            for name in ("host", "port"):
                here.pop(flag(name))
        if pool.phase != "colocated":
            env = {
                "VLLM_NIXL_SIDE_CHANNEL_HOST": hosts[host],
                "VLLM_NIXL_SIDE_CHANNEL_PORT": str(one.side_port),
            }
        found.append(
            Process(
                name=f"{one.name}.{rank}" if several else one.name,
                host=host,
                gpus=gpus,
                argv=(*of.table.command, *model, *argv({**common, **here})),
                env=env,
                health="" if rank else f"{head}:{one.port}",
            )
        )
    return found


def encoder(of: Subject) -> Settings:
    """The flags of a server that encodes images alone, of which each is asked for by itself."""
    flag, pool = of.flag, of.encoders
    assert pool is not None
    images = max(math.ceil(pool.batch * pool.images), 1)
    return {
        flag("encodes"): True,
        flag("max_requests"): images,
        flag("max_tokens"): max(images * pool.image_tokens, PASS_TOKENS),
        flag("memory"): ENCODER_MEMORY,
        flag("context"): of.context_tokens,
        "--no-enable-prefix-caching": True,
        **_images(of, "ec_producer"),
    }


def fed(of: Subject, urls: Sequence[str]) -> tuple[str, ...]:
    """What an instance that computes prompts is told of encoded images; the router asks for them."""
    return argv(_images(of, "ec_consumer"))


def _images(of: Subject, role: str) -> Settings:
    found = {
        "ec_connector": "ECExampleConnector",
        "ec_role": role,
        "ec_connector_extra_config": {"shared_storage_path": IMAGES},
    }
    return {of.flag("request_ids"): True, of.flag("images"): found}


def router_config(of: Subject, places: Sequence[Placed], hosts: Sequence[str]) -> dict[str, Any]:
    """What the router has to know of every instance."""

    def entry(one: Placed) -> dict[str, Any]:
        host = hosts[one.hosts[0]]
        found: dict[str, Any] = {"name": one.name, "url": f"http://{host}:{one.port}"}
        if one.pool == len(of.serving.pools):
            return found
        pool = of.serving.pools[one.pool]
        if pool.phase == "prefill" and of.prefill_pipelines:
            found["push"] = {
                "remote_engine_id": one.name,
                "remote_host": host,
                "remote_port": one.side_port,
                "tp_size": pool.layout.tp,
                "pp_size": pool.layout.pp,
            }
        return found

    phases = {"prefill": "prefill", "decode": "decode", "colocated": "serve"}
    config: dict[str, Any] = {}
    for one in places:
        encodes = one.pool == len(of.serving.pools)
        does = "encode" if encodes else phases[of.serving.pools[one.pool].phase]
        config.setdefault(does, []).append(entry(one))
    return config


def _share(fraction: float) -> float:
    return round(fraction, 4)
