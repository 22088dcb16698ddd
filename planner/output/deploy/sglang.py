"""SGLang: `sglang.launch_server` for each instance, and its router.

The width of attention DP lies inside `--tp-size`, which is a pipeline stage. Batch limit and chunk are of the
whole instance; chunks are whole pages of the cache.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from planner.output.deploy.parts import EngineTable, Placed, Process, Settings, Subject, Value, argv
from planner.planning.result import LayoutChoice, PoolPlan

IMAGES_OVER = "zmq_to_scheduler"  # how what encoders make comes to a prompt: the default
PASS_TOKENS = 8192  # of prompts in a pass of instances that the plan gives no chunk
DEEPEP = "deepep"
DISPATCHED = 128  # tokens of a rank that DeepEP's low-latency kernels take unless SGLang is told


def refusal(of: Subject) -> str:
    """What of a plan SGLang has no way to run, beyond its layouts; "" where it has."""
    stages = {pool.layout.pp for pool in of.serving.pools if pool.phase == "prefill"}
    for pool in of.serving.pools:
        pp = pool.layout.pp
        if pool.phase == "decode" and pp > 1 and stages != {pp}:
            return f"{pool.layout.label} (decode): as many pipeline stages as in prefill, or one"
        if of.mtp and pp > 1 and pool.phase != "prefill":
            return f"{pool.layout.label} ({pool.phase}): no drafted tokens beside pipeline stages"
    return ""


def host_unit(pool: PoolPlan) -> int:
    """GPUs that must be on one host."""
    return 1


def side_ports(pool: PoolPlan) -> int:
    """Ports that an instance moves its cache through."""
    return 1


def widths(table: EngineTable, layout: LayoutChoice, *, is_moe: bool, old: bool = False) -> dict[str, Value]:
    """The flags that make a layout."""
    flag, dp = table.flags, layout.attention_dp
    found: dict[str, Value] = {flag["tp"]: layout.tp * dp}
    if layout.pp > 1:
        found[flag["pp"]] = layout.pp
    if dp > 1 and old:
        found |= {table.old_flags["attention_dp"]: dp, table.old_flags["attention_dp_too"]: True}
    elif dp > 1:
        found[flag["attention_dp"]] = dp
    if is_moe and layout.ep > 1:
        found[flag["ep"]] = layout.ep
    return found


def settings(of: Subject, pool: PoolPlan, *, old: bool = False) -> Settings:
    """The flags that every instance of a pool has; `old` spells those of builds before --attn-dp-size."""
    layout, flag, moe = pool.layout, of.flag, of.model.is_moe
    dp = layout.attention_dp
    found = widths(of.table, layout, is_moe=moe, old=old)
    if copies := of.copies(pool):
        found[flag("copies")] = copies
    if dp > 1:
        found[flag("dp_head")] = True
        if dp == layout.tp * dp:
            found[flag("dense_tp")] = 1
    if backend := of.exchange(pool):
        found[flag("exchange")] = backend
        if backend != DEEPEP:
            found[flag("exchange_mode")] = "normal"
        elif pool.phase != "colocated":
            found[flag("exchange_mode")] = "low_latency" if pool.phase == "decode" else "normal"
        if of.halves(pool):
            found[flag("two_batches")] = True
    found[flag("max_requests")] = pool.max_batch * dp
    if pool.phase == "prefill":
        found[flag("chunk")] = chunk(of, pool.max_batched_tokens) * dp
    elif pool.phase == "colocated":
        found[flag("chunk")] = chunk(of, pool.chunk_tokens or PASS_TOKENS) * dp
        if pool.mode == "piggyback":
            found[flag("mixed")] = True
    if pool.phase != "prefill":
        found[flag("graphs")] = pool.max_batch
    if of.own_engine:
        found[flag("memory")] = round(pool.memory_fraction, 4)
    found[flag("context")] = of.context_tokens
    if of.plan.precision:
        found[flag("kv")] = of.table.kv[of.plan.precision.kv]
    if of.mtp:
        found |= {
            flag("drafts"): "EAGLE",
            flag("draft_steps"): of.mtp,
            flag("draft_topk"): 1,
            flag("draft_tokens"): of.mtp + 1,
        }
    if pool.phase != "colocated":
        found |= {flag("phase"): pool.phase, flag("transfer"): "nixl" if of.vendor == "nvidia" else "mori"}
    return found


def normal_across_hosts(of: Subject, host_gpus: int) -> bool:
    """Whether DeepEP's kernels for prompts have to reach over the NVLink of several hosts of a rack."""
    return any(
        pool.phase != "decode"
        and of.exchange(pool) == DEEPEP
        and of.reach(pool) == "rack"
        and pool.layout.tp * pool.layout.attention_dp > host_gpus
        for pool in of.serving.pools
    )


def environment(of: Subject, pool: PoolPlan) -> Mapping[str, str]:
    """What every instance of a pool is told beside its flags: tokens of a rank that its all-to-all holds.

    DeepEP has buffers for those of decode steps alone, MoRI for those of every pass.
    """
    backend = of.exchange(pool)
    steps = 0 if pool.phase == "prefill" else math.ceil(pool.max_batch / pool.layout.pp) * (of.mtp + 1)
    if backend == DEEPEP and steps > DISPATCHED:
        return {of.table.environment["dispatched"]: str(steps)}
    if backend and backend != DEEPEP:
        tokens = chunk(of, pool.chunk_tokens or PASS_TOKENS) if pool.phase == "colocated" else 0
        tokens = chunk(of, pool.max_batched_tokens) if pool.phase == "prefill" else tokens
        return {of.table.environment["dispatched_amd"]: str(max(steps, tokens))}
    return {}


def chunk(of: Subject, tokens: int) -> int:
    """A chunk of at least so many tokens in whole pages."""
    page = of.table.page_tokens
    return -(-tokens // page) * page


def processes(of: Subject, one: Placed, hosts: Sequence[str], model: Sequence[str]) -> list[Process]:
    """What an instance runs on each of its hosts."""
    pool, flag = of.serving.pools[one.pool], of.flag
    head, several = hosts[one.hosts[0]], len(one.hosts) > 1
    found = []
    for rank, (host, gpus) in enumerate(zip(one.hosts, one.gpus, strict=True)):
        here: dict[str, Value] = {flag("host"): "0.0.0.0", flag("port"): one.port}
        if pool.phase == "prefill":
            here[flag("bootstrap")] = one.side_port
        if several:
            here |= {flag("nodes"): len(one.hosts), flag("rank"): rank}
            here |= {flag("head"): f"{head}:{one.head_port}"}
        found.append(
            Process(
                name=f"{one.name}.{rank}" if several else one.name,
                host=host,
                gpus=gpus,
                argv=(*of.table.command, *model, *argv({**settings(of, pool), **here})),
                env=environment(of, pool),
                health="" if rank else f"{head}:{one.port}",
            )
        )
    return found


def encoder(of: Subject) -> Settings:
    """The flags of a server that encodes images alone."""
    return {of.flag("encodes"): True, of.flag("images"): IMAGES_OVER}


def fed(of: Subject, urls: Sequence[str]) -> tuple[str, ...]:
    """What an instance that computes prompts is told of the servers that encode its images."""
    flag = of.flag
    return (flag("reads"), flag("encoders"), *urls, flag("images"), IMAGES_OVER)


def router(of: Subject, places: Sequence[Placed], hosts: Sequence[str], port: int) -> tuple[str, ...]:
    """The command of its router."""
    words = ["python3", "-m", "sglang_router.launch_router"]
    if of.split:
        words.append("--pd-disaggregation")
    alone = [
        one
        for one in places
        if one.pool < len(of.serving.pools) and of.serving.pools[one.pool].phase == "colocated"
    ]
    for one in (one for one in places if one.pool < len(of.serving.pools)):
        phase, url = of.serving.pools[one.pool].phase, f"http://{hosts[one.hosts[0]]}:{one.port}"
        if phase == "prefill":
            words += ["--prefill", url, str(one.side_port)]
        elif phase == "decode":
            words += ["--decode", url]
    if alone:
        words += ["--worker-urls", *(f"http://{hosts[one.hosts[0]]}:{one.port}" for one in alone)]
    return (*words, "--host", "0.0.0.0", "--port", str(port))
