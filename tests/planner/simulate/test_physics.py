"""Physics of whole design points: never faster than light, monotone where nature is, nothing lost."""

import os
import zlib
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest

from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning import resolve, sweep
from planner.planning.resolve import PoolSetup, Question
from planner.simulate import colocated, decode, forward, kv_transfer, prefill, space
from planner.simulate import points as points_module
from planner.simulate.points import Points, Prompt
from planner.simulate.space import Layouts

# one model per kind of attention and feed-forward, each system family, each engine
SAMPLES = (
    ("llama-3.1-8b", "l40s", "vllm"),
    ("llama-3.1-70b", "h200", "trtllm"),
    ("deepseek-r1", "gb200", "trtllm"),
    ("deepseek-v3.2", "b200", "sglang"),
    ("deepseek-v4-flash", "b200", "sglang"),
    ("gpt-oss-120b", "h100", "vllm"),
    ("qwen3.5-397b-a17b", "b300", "sglang"),
    ("qwen3-235b-a22b", "mi300x", "sglang"),
    ("gemma-4-26b-a4b", "rtx-pro-6000", "vllm"),
    ("nemotron-3-super-120b", "gb300", "trtllm"),
    ("llama-4-maverick", "mi355x", "vllm"),
    ("kimi-k2.5", "h20", "sglang"),
    ("mixtral-8x7b", "a100", "vllm"),
)
DRAWS = int(os.environ.get("DRAWS", "1"))  # of lengths and factors; more in `make fuzz`


def question(model: str, system: str, engine: str = "trtllm", isl: int = 4096, osl: int = 512) -> Question:
    scenario = Scenario(
        model=model,
        system=system,
        engine=engine,
        traffic=Traffic(isl=isl, osl=osl),
        limits=Limits(ftl_s=10, ttl_s=0.1),
        fleet=Fleet(gpus=64, instance_gpus=16),
    )
    return resolve.prepare(scenario, load())


def launched_as(*asked: Any, prompt_tokens: object, **rest: Any) -> colocated.Launch:
    """As `planner.simulate.colocated.launched`, whatever the prompts."""
    return colocated.launched_as(*asked, **rest)


def ask(model: str, system: str, engine: str = "trtllm", isl: int = 4096, osl: int = 512) -> PoolSetup:
    """What every pool of a question runs on."""
    return question(model, system, engine, isl, osl).pools["prefill"]


@lru_cache
def swept(model: str, system: str, engine: str) -> sweep.Sweep:
    return sweep.run(question(model, system, engine), 64, light=True)


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_point_beats_light(sample: tuple[str, str, str]) -> None:
    found = swept(*sample)
    for points in (found.prefill, found.decode, found.colocated):
        assert len(points), points.phase
        latency = points.ftl_s if points.phase == "prefill" else points.ttl_s
        assert np.all(np.isfinite(latency))
        assert np.all(points.light_s > 0)
        assert np.all(latency >= points.light_s)
    assert np.all(found.split_ftl_s >= found.prefill.ftl_s)


@pytest.mark.parametrize(
    "asked",
    [question("deepseek-r1", "h200", isl=16384), question("llama-3.1-8b", "h200", isl=512)],
    ids=["memory bounds batches", "the engine does"],
)
def test_blocks_do_not_change_what_is_swept(asked: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the points nor the count of those that memory refused."""
    whole = sweep.run(asked, 16)
    monkeypatch.setattr(points_module, "BLOCK_POINTS", 512)
    cut = sweep.run(asked, 16)
    for a, b in ((whole.prefill, cut.prefill), (whole.decode, cut.decode), (whole.colocated, cut.colocated)):
        assert a.out_of_memory == b.out_of_memory >= 0
        for name in ("ftl_s", "ttl_s", "requests_per_s", "batch"):
            np.testing.assert_allclose(np.sort(getattr(a, name)), np.sort(getattr(b, name)), rtol=1e-12)
    assert whole.colocated.out_of_memory > 0


@pytest.mark.parametrize("sample", SAMPLES)
def test_tokens_are_counted_once(sample: tuple[str, str, str]) -> None:
    """Little's law: a batch in flight makes osl - 1 tokens per request, one per TTL."""
    for points in (swept(*sample).decode, swept(*sample).colocated):
        np.testing.assert_allclose(points.requests_per_s * points.ttl_s * 511, points.batch, rtol=1e-9)


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_rank_has_more_sequences_than_its_engine_takes(sample: tuple[str, str, str]) -> None:
    """Those of all stages of its pipeline."""
    most = question(*sample).pools["decode"].setup.machine.engine.max_batch
    for points in (swept(*sample).decode, swept(*sample).colocated):
        assert np.all(points.batch <= most * points.sharding.attention_dp)


def one_layout(**widths: int) -> Layouts:
    given = {"tp": 1, "pp": 1, "attention_dp": 1, "moe_tp": 1, "moe_ep": 1} | widths
    return Layouts(**{name: np.array([[[int(v)]]]) for name, v in given.items()})


def steps_s(q: PoolSetup, at: Layouts, batches: tuple[float, ...], isl: int = 4096) -> list[float]:
    batch = np.array(batches).reshape(1, -1, 1)
    ledger = decode.step(q.setup, at, at.exchange_of(), batch, isl=isl, osl=512)
    pace = forward.pace(q.setup, at, ledger.layers(), ledger.head, batch, batch)
    return [float(s) for s in np.broadcast_to(pace.seconds, batch.shape).ravel()]


def step_s(q: PoolSetup, at: Layouts, batch: float, isl: int = 4096) -> float:
    return steps_s(q, at, (batch,), isl)[0]


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_step_never_gets_faster_with_more_work(sample: tuple[str, str, str]) -> None:
    q = ask(*sample)
    layouts = space.layouts(q.setup.model, "decode", max_gpus=16, scale_up_gpus=8)
    for row in range(0, len(layouts), 7):
        at = layouts.take(np.array([row])).spread(2)
        by_batch = steps_s(q, at, (1, 2, 5, 16, 17, 60, 128, 500))
        assert by_batch == sorted(by_batch), layouts.choice(row, False).label
        by_context = [step_s(q, at, 8.0, isl) for isl in (16, 128, 1000, 4096, 32768, 131072)]
        assert by_context == sorted(by_context), layouts.choice(row, False).label


def faster(q: PoolSetup, bandwidth: float = 1.0, peak: float = 1.0, link: float = 1.0) -> PoolSetup:
    gpu, fabric = q.setup.machine.gpu, q.setup.machine.fabric
    machine = replace(
        q.setup.machine,
        gpu=replace(
            gpu,
            hbm_bytes_per_s=gpu.hbm_bytes_per_s * bandwidth,
            peak_flops={k: v * peak for k, v in gpu.peak_flops.items()},
        ),
        fabric=replace(
            fabric,
            scale_up_bytes_per_s=fabric.scale_up_bytes_per_s * link,
            scale_out_bytes_per_s=fabric.scale_out_bytes_per_s * link,
        ),
    )
    return replace(q, setup=replace(q.setup, machine=machine))


@pytest.mark.parametrize("sample", SAMPLES)
def test_better_hardware_makes_no_point_slower(
    sample: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More bandwidth, FLOP/s or a faster link: in any phase and batching, first token and steps alike.

    Co-located instances with one launch: hardware on which another is the better choice trades first tokens
    for steps.
    """
    draw = np.random.default_rng(zlib.crc32(f"{sample}".encode()))
    for turn in range(DRAWS):
        told = partial(launched_as, gathers=zlib.crc32(f"{sample}{turn}".encode()) % 2 == 0)
        monkeypatch.setattr(colocated, "launched", told)
        isl, osl = (int(2 ** draw.uniform(low, high)) for low, high in ((7, 15), (5, 12)))
        asked = question(*sample, isl=isl, osl=osl)
        plain = sweep.run(asked, 16)
        for better in ("bandwidth", "peak", "link"):
            factor = float(2 ** draw.uniform(0.05, 2))
            pools = {phase: faster(pool, **{better: factor}) for phase, pool in asked.pools.items()}
            quick = sweep.run(replace(asked, pools=pools), 16)
            for phase in ("prefill", "decode", "colocated"):
                before, after = getattr(plain, phase), getattr(quick, phase)
                for name in ("layout", "mode", "batch", "chunk_tokens"):
                    np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
                for name in ("ftl_s", "ttl_s"):
                    slower = getattr(after, name) > getattr(before, name) * (1 + 1e-9)
                    assert not slower.any(), (better, phase, name, isl, osl, factor)


def test_longer_prompts_take_longer() -> None:
    q = ask("llama-3.1-70b", "h200")
    at = space.layouts(q.setup.model, "prefill", max_gpus=8, scale_up_gpus=8)
    fastest = [float(prefill.simulate(q.setup, at, isl).ftl_s.min()) for isl in (256, 1024, 4096, 16384)]
    assert fastest == sorted(fastest)


def test_the_slow_link_costs_what_it_should() -> None:
    """The same layout inside a domain of 16 is faster than across two domains of 8."""
    q = ask("llama-3.1-405b", "h200")
    fabric = q.setup.machine.fabric
    wide = replace(
        q, setup=replace(q.setup, machine=replace(q.setup.machine, fabric=replace(fabric, scale_up_gpus=16)))
    )
    at = one_layout(tp=16)
    assert step_s(q, at, 16.0) > 1.1 * step_s(wide, at, 16.0)


def column(points: Points, label: str, chunked: bool = False) -> np.ndarray:
    rows = [i for i in range(len(points.layouts)) if points.layouts.choice(i, chunked).label == label]
    return np.flatnonzero(np.isin(points.layout, rows))


def test_mla_reprojects_unless_cached() -> None:
    """Chunks of a DeepSeek prompt pay for the earlier ones again; a cache removes it, GQA never has it."""
    for model, penalised in (("deepseek-r1", True), ("llama-3.1-70b", False)):
        q = ask(model, "gb200", isl=65536)
        at = one_layout(tp=8, moe_ep=8) if penalised else one_layout(tp=8)
        kept = replace(q.setup, mla_cache=True)
        plain, cached = (
            float(np.ravel(whole.layers().seconds)[0])
            for whole in (
                colocated.mixed_pass(
                    s, at, "replicated", batch=8.0, chunk=512.0, prompt=Prompt(new=65536), context=65792.0
                )
                for s in (q.setup, kept)
            )
        )
        assert (plain > 1.02 * cached) if penalised else (plain == cached)


def test_deeper_chunked_pipelines_cut_first_token_latency() -> None:
    """Flow shop: p stages take (p - 1) passes more than one stage's share, so FTL falls with p."""
    q = ask("deepseek-r1", "gb200", isl=131072)
    at = space.layouts(q.setup.model, "prefill", max_gpus=16, scale_up_gpus=72)
    points = prefill.simulate(q.setup, at, 131072)
    best = {
        stages: points.ftl_s[column(points, f"CPP{stages}xTEP4" if stages > 1 else "TEP4", True)].min()
        for stages in (1, 2, 4)
    }
    assert best[2] < 0.75 * best[1]
    assert best[4] < 0.75 * best[2]


def test_mtp_makes_tokens_faster_at_small_batch() -> None:
    q = ask("deepseek-r1", "gb200")
    at = space.layouts(q.setup.model, "decode", max_gpus=8, scale_up_gpus=72)
    plain, drafted = (decode.simulate(q.setup, at, 4096, 512, mtp=m) for m in (0, 1))
    assert drafted.ttl_s.min() < plain.ttl_s.min()
    assert drafted.ttl_s.min() > plain.ttl_s.min() / decode.tokens_per_step(1)


def test_kv_flows_balance() -> None:
    """Cache leaves as fast as it arrives: egress x its GPUs = ingress x its GPUs."""
    q = ask("deepseek-r1", "gb200", isl=16384, osl=2048)
    setup = q.setup
    pre, dec = one_layout(pp=4), one_layout(attention_dp=8, moe_ep=8)
    egress = kv_transfer.bytes_per_s_per_gpu(setup.model, setup.precision, pre, 16384, 3.0)
    ingress = kv_transfer.bytes_per_s_per_gpu(setup.model, setup.precision, dec, 16384, 3.0)
    ratio = float(np.ravel(ingress)[0]) / float(np.ravel(egress)[0])
    assert ratio == pytest.approx(4 / 8)


def test_kv_is_held_once_beyond_the_heads() -> None:
    q = ask("llama-3.1-70b", "h200")
    assert float(np.ravel(kv_transfer.holders(q.setup.model, one_layout(tp=8)))[0]) == 8
    assert float(np.ravel(kv_transfer.holders(q.setup.model, one_layout(tp=16)))[0]) == 8
    r1 = ask("deepseek-r1", "gb200")
    assert float(np.ravel(kv_transfer.holders(r1.setup.model, one_layout(tp=8, moe_ep=8)))[0]) == 1


def test_transfer_hides_behind_a_slow_prefill() -> None:
    q = ask("llama-3.1-70b", "h200")
    at = one_layout(tp=8)
    slow, quick = (
        float(np.ravel(kv_transfer.added_ftl_s(q.setup.model, q.setup.precision, at, 4096, ftl, 1e9))[0])
        for ftl in (100.0, 1e-3)
    )
    moved = 4096 * 80 * 2 * 8 * 128 / (8 * 1e9)
    assert slow == pytest.approx(moved / 80)
    assert quick == pytest.approx(moved - 1e-3 * 79 / 80)
