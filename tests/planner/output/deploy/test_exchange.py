"""How tokens get to their experts: what was planned is what engines are asked for."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from planner.evidence.deployment import layout
from planner.evidence.runs import Widths
from planner.inputs.fleet import Fleet
from planner.inputs.kernels import deployed
from planner.inputs.precision import FORMATS, Precision
from planner.inputs.scenario import Limits, Scenario
from planner.inputs.traffic import Traffic
from planner.output.deploy import launch, sglang, subject, vllm, write
from planner.output.deploy.parts import Export, Options
from planner.planning.plan import plan
from planner.simulate import decode, forward, prefill
from planner.simulate.colocated import PASS_TOKENS, launched
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.setup import Setup
from planner.simulate.points import Prompt
from planner.simulate.space import Layouts
from tests.planner.output.deploy.test_export import CATALOG, ENGINES, planned

LAUNCHED = {  # how an engine is told its all-to-all; gathering: nothing, or this
    "vllm": ("--all2all-backend", None),
    "sglang": ("--moe-a2a-backend", None),
    "trtllm": ("TRTLLM_FORCE_COMM_METHOD", "ALLGATHER"),
}

HALVES = {"vllm": "--enable-dbo", "sglang": "--enable-two-batch-overlap"}  # and two batches in turn


def test_vllm_is_asked_for_the_all_to_all_that_was_planned_beyond_a_host():
    """By default vLLM gathers; on a rack NVLink kernels write within the domain, DeepEP goes across hosts."""
    found, flag = planned("mla-h200", "vllm"), "--all2all-backend"
    pool = found.chosen.pools[-1]

    def backends(system, dp, phase):
        wide = replace(pool.layout, tp=1, attention_dp=dp, moe_tp=1, ep=dp, pp=1, label=f"DEP{dp}")
        here = replace(found, resolved=replace(found.resolved, system=CATALOG.system(system)))
        of = subject.subject(here, "vllm", Options(), CATALOG)
        return vllm.settings(of, replace(pool, layout=wide, phase=phase, exchange="all-to-all")).get(flag)

    assert backends("h200", 16, "decode") == "deepep_low_latency"
    assert backends("h200", 16, "prefill") == backends("h200", 16, "colocated") == "deepep_high_throughput"
    assert backends("h200", 8, "decode") is None and backends("l40s", 16, "decode") is None
    assert backends("gb200", 4, "prefill") == backends("gb200", 72, "decode") == "flashinfer_nvlink_one_sided"
    assert backends("gb200", 96, "decode") == "deepep_low_latency"
    assert backends("mi300x", 8, "decode") == backends("mi355x", 16, "decode") == "mori_low_latency"
    assert backends("mi355x", 8, "prefill") == "mori_high_throughput"


def _setup(engine: str, system: str, model: str = "deepseek-r1") -> Setup:
    gpu, profile = CATALOG.system(system), CATALOG.engine(engine)
    return Setup(
        machine=Machine(
            gpu=gpu.gpu,
            fabric=gpu.fabric,
            kernels=deployed(CATALOG.kernels(gpu, engine), profile),
            engine=profile,
            vendor=gpu.vendor,
        ),
        model=CATALOG.model(model),
        precision=Precision(gemm=FORMATS["bf16"], moe=FORMATS["bf16"], kv="bf16"),
    )


def _wide(ranks: int) -> Layouts:
    return layout(Widths(tp=1, attention_dp=ranks, moe_tp=1, moe_ep=ranks), 1, True)


def _taken(setup: Setup, ranks: int, tokens: float) -> str:
    """How a pass of DeepSeek-R1 on whole experts is timed."""
    at = _wide(ranks)
    work = forward.experts(setup, at, "all-to-all", np.full((1, 1, 1), tokens))
    ways = {
        way: np.sum([cost.seconds for cost in forward.experts(setup, at, way, tokens).parts.values()])
        for way in ("all-to-all", "gathered")
    }
    way = forward.taken(setup, at, "all-to-all", np.full((1, 1, 1), tokens))
    total = np.sum([cost.seconds for cost in work.parts.values()])
    assert total == pytest.approx(ways[way])  # what is told is what was timed
    return way


def _halved(setup: Setup, ranks: int, phase: str, tokens: float) -> bool:
    """Whether such a pass is timed as two halves."""
    at = _wide(ranks)
    if phase == "prefill":
        return prefill.mean_pass(setup, at, "all-to-all", 1.0, 1.0, Prompt(new=int(tokens))).halved
    return decode.step(setup, at, "all-to-all", np.full((1, 1, 1), tokens), isl=2048, osl=512).halved


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("system", CATALOG.names("system"))
def test_the_exchange_that_was_timed_is_the_one_that_is_launched(engine, system):
    gpu = CATALOG.system(system)
    if gpu.vendor not in CATALOG.engine(engine).can.vendors:
        pytest.skip(f"{engine} does not run on {gpu.vendor}")
    found = planned("mla-h200", engine)
    resolved = replace(found.resolved, system=gpu)
    here = replace(
        found, resolved=resolved, precision=replace(found.precision, weights="bf16", experts="bf16")
    )
    of = subject.subject(here, engine, Options(), CATALOG)
    pool, (name, gathers) = found.chosen.pools[-1], LAUNCHED[engine]
    domain, told, cut = gpu.fabric.scale_up_gpus, set(), set()
    setup, halves = _setup(engine, system), HALVES.get(engine)
    for ranks in (8, domain, 2 * domain):
        wide = replace(pool.layout, tp=1, attention_dp=ranks, moe_tp=1, ep=ranks, pp=1, label=f"DEP{ranks}")
        for phase, tokens in (("prefill", 8192.0), ("decode", 1.0), ("decode", 512.0), ("colocated", 512.0)):
            here = setup
            if phase == "colocated":  # launched once for its steps and prompts
                at = _wide(ranks)
                here = launched(setup, at, "all-to-all", batch=tokens, prompt_tokens=tokens).setup
            way = _taken(here, ranks, tokens)
            halved = _halved(here, ranks, phase, tokens)
            one = replace(
                pool,
                layout=wide,
                phase=phase,
                exchange=way,
                two_batches=halved,
                max_batch=64,
                max_batched_tokens=int(tokens),
            )
            said = {**launch.ENGINES[engine].settings(of, one), **launch.environment(of, one)}
            runs = "gathered" if said.get(name) == gathers else "all-to-all"
            assert runs == way, (ranks, phase, tokens, said.get(name))
            told.add(way)
            assert (halves in said) == halved, (ranks, phase, tokens)
            cut.add((phase, halved))
            assert not halved or (ranks > domain and way == "all-to-all")
            if gpu.vendor == "amd" and way == "all-to-all":
                assert "mori" in said[name]
    if engine == "trtllm" or gpu.fabric.topology == "pcie" or (engine == "vllm" and gpu.vendor == "amd"):
        assert not any(halved for _, halved in cut)
    assert ("colocated", True) not in cut
    if gpu.fabric.topology == "pcie":
        assert told == {"gathered"}
    elif engine != "vllm":
        assert "all-to-all" in told


@pytest.mark.parametrize(
    "batch, mtp, backend, told",
    [
        (128, 0, "deepep", None),  # what its buffers hold anyhow
        (300, 0, "deepep", "300"),
        (300, 1, "deepep", "600"),  # drafts are dispatched beside the tokens that they follow
        (1024, 0, "deepep", "1024"),
    ],
)
def test_sglang_is_told_how_many_tokens_low_latency_kernels_take(batch, mtp, backend, told):
    """A decode batch above what its DeepEP buffers are sized for stops the server."""
    found, variable = planned("mla-gb200", "sglang"), "SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK"
    first, then = found.chosen.pools
    assert then.exchange == "all-to-all" and then.layout.attention_dp > 1
    serving = replace(found.chosen, pools=(first, replace(then, max_batch=batch)))
    here = replace(found, scenario=replace(found.scenario, mtp=mtp), disaggregated=serving)
    prefill, decode = write.flags(here)["pools"]
    assert decode["flags"].get("--moe-a2a-backend") == backend
    assert decode.get("environment", {}).get(variable) == told
    assert "environment" not in prefill
    for target in ("sglang", "dynamo", "llm-d"):
        written = write.export(here, target, Options(), CATALOG)
        if isinstance(written, Export):
            texts = "".join(written.files.values())
            assert (variable in texts) == (told is not None), target
            assert told is None or re.search(rf"{variable}\W+(value: )?\W?{told}\b", texts), target


def test_steps_that_low_latency_kernels_do_not_take_are_planned_gathered():
    """SGLang's take 1,024 tokens of a rank: more drafts, smaller batches, or tokens that are gathered."""
    profile = CATALOG.engine("sglang")
    fits = forward.fits_dispatch(profile, np.array([300.0, 341.2, 341.4, 512.0]), 3)
    assert fits.tolist() == [True, False, False, False]  # 342 in flight are 1,026 tokens
    assert forward.fits_dispatch(CATALOG.engine("vllm"), np.array([5000.0]), 3).all()
    asked = Scenario(
        model="deepseek-r1",
        system="gb200",
        engine="sglang",
        traffic=Traffic(isl=1024, osl=4096),
        limits=Limits(ftl_s=20.0, ttl_s=0.3),
        fleet=Fleet(gpus=72),
        mtp=3,
    )
    for pool in plan(asked, CATALOG).chosen.pools:
        if pool.phase != "prefill" and pool.exchange == "all-to-all":
            assert pool.max_batch * 4 <= 1024


def test_mori_has_room_for_the_tokens_of_every_pass():
    found, variable = planned("mla-mi355x", "sglang"), "SGLANG_MORI_NUM_MAX_DISPATCH_TOKENS_PER_RANK"
    of = subject.subject(found, "sglang", Options(), CATALOG)
    for pool in found.chosen.pools:
        wide = replace(pool.layout, tp=1, attention_dp=8, moe_tp=1, ep=8, pp=1, label="DEP8")
        one = replace(pool, layout=wide, exchange="all-to-all")
        room = int(launch.environment(of, one)[variable])
        assert room >= (pool.max_batched_tokens if pool.phase != "colocated" else pool.max_batch)
        assert variable not in launch.environment(of, replace(one, exchange="gathered"))


def test_ranks_on_other_hosts_are_told_of_the_exchange_too():
    """mpirun hands on no variable that it is not told of."""
    found = planned("mla-h200", "trtllm")
    pools = tuple(
        replace(
            pool,
            exchange="all-to-all",
            layout=replace(pool.layout, tp=1, attention_dp=16, moe_tp=1, ep=16, pp=1, label="DEP16"),
            instances=1,
        )
        for pool in found.chosen.pools
    )
    field = "disaggregated" if found.chosen is found.disaggregated else "colocated"
    here = replace(found, **{field: replace(found.chosen, pools=pools)})
    written = write.export(here, "trtllm", Options(), CATALOG)
    assert isinstance(written, Export), written
    script = "".join(text for name, text in written.files.items() if name.startswith("host-"))
    ran = [block for block in script.split("\n# ") if "mpirun" in block]
    assert ran and all(
        re.search(r"TRTLLM_FORCE_COMM_METHOD=DEEPEP\w*", block) and "-x TRTLLM_FORCE_COMM_METHOD" in block
        for block in ran
    )


def test_vllm_runs_smaller_passes_in_halves_where_they_were_planned_so():
    """By default it cuts a decode step from 32 tokens of a rank on, and one with prompts from 512."""
    found = planned("mla-h200", "vllm")
    of = subject.subject(found, "vllm", Options(), CATALOG)
    pool = found.chosen.pools[-1]
    wide = replace(pool.layout, tp=1, attention_dp=16, moe_tp=1, ep=16, pp=1, label="DEP16")

    def told(phase, tokens, cut=True):
        one = replace(
            pool, layout=wide, phase=phase, exchange="all-to-all", two_batches=cut, max_batched_tokens=tokens
        )
        said = vllm.settings(of, one)
        return [said.get(f"--{name}") for name in ("enable-dbo", f"dbo-{phase}-token-threshold")]

    assert told("decode", 64) == told("prefill", 8192) == [True, None]
    assert told("decode", 48) == [True, 24] and told("prefill", 512) == [True, 256]
    assert told("decode", 64, cut=False) == [None, None]


@pytest.mark.parametrize(
    "engine, system", [("trtllm", "h200"), ("sglang", "h200"), ("sglang", "gb200"), ("vllm", "gb200")]
)
def test_co_located_instances_have_one_exchange_for_steps_and_prompts(engine, system):
    """The one with which a step and its prompts take less time together, never a better one for each."""
    setup, at = _setup(engine, system), _wide(8)
    batch = np.geomspace(1.0, 512.0, 10).reshape(1, -1, 1)

    def spent(one, prompts):
        steps = decode.expert_side(one, at, "all-to-all", batch).layers().seconds
        full = forward.experts(one, at, "all-to-all", PASS_TOKENS).layers().seconds
        return steps + prompts / PASS_TOKENS * setup.machine.engine.prefill_stretch * full

    for prompts in (0.0, 64.0, 4096.0):
        one = launched(setup, at, "all-to-all", batch=batch, prompt_tokens=prompts)
        sent, gathered, each = (
            spent(how, prompts)
            for how in (replace(setup, gathers=False), replace(setup, gathers=True), setup)
        )
        assert np.allclose(spent(one.setup, prompts), np.minimum(sent, gathered))
        assert np.all(spent(one.setup, prompts) >= each * (1 - 1e-12))
        again = decode.expert_side(one.setup, at, "all-to-all", batch)
        assert np.allclose(one.steps.layers().seconds, again.layers().seconds)


@pytest.mark.parametrize(
    "ranks, phase, exchange, told",
    [
        (16, "prefill", "all-to-all", True),
        (16, "colocated", "all-to-all", True),
        (16, "prefill", "gathered", False),
        (16, "decode", "all-to-all", False),  # low-latency kernels
        (4, "prefill", "all-to-all", False),  # of one host
        (96, "prefill", "all-to-all", False),  # over the network
    ],
)
def test_sglang_says_what_dispatching_prompts_on_a_rack_needs(ranks, phase, exchange, told):
    found = planned("mla-gb200", "sglang")
    of = subject.subject(found, "sglang", Options(), CATALOG)
    first = found.chosen.pools[0]
    wide = replace(first.layout, tp=1, attention_dp=ranks, moe_tp=1, ep=ranks, pp=1, label=f"DEP{ranks}")
    pool = replace(first, layout=wide, phase=phase, exchange=exchange)
    one = replace(of, serving=replace(found.chosen, pools=(pool,)))
    assert sglang.normal_across_hosts(one, 4) == told
