"""Memory against hand counts, one model per kind of attention. Each sum is written out from the config."""

import numpy as np
import pytest

from planner.inputs import precision
from planner.inputs.catalog import load
from planner.inputs.model import ModelSpec
from planner.inputs.precision import FORMATS, Precision
from planner.inputs.scenario import Scenario
from planner.planning.resolve import prepare
from planner.simulate import memory, params
from planner.simulate.space import Layouts

BF16 = Precision(gemm=FORMATS["bf16"], moe=FORMATS["bf16"], kv="bf16")
FP8 = Precision(gemm=FORMATS["fp8"], moe=FORMATS["fp8"], kv="fp8")


def layout(tp: int = 1, pp: int = 1, dp: int = 1, moe_tp: int = 1, ep: int = 1) -> Layouts:
    return Layouts(
        tp=np.array([tp]),
        pp=np.array([pp]),
        attention_dp=np.array([dp]),
        moe_tp=np.array([moe_tp]),
        moe_ep=np.array([ep]),
    )


def weights(model: ModelSpec, formats: Precision, at: Layouts) -> float:
    return float(memory.weight_bytes(model, formats, at)[0])


def cache(model: ModelSpec, formats: Precision, at: Layouts, tokens: float) -> float:
    return float(np.ravel(memory.kv_bytes(model, formats, at, tokens))[0])


def test_gqa_llama_70b_tp8() -> None:
    model = load().model("llama-3.1-70b")
    # 80 layers of: 8 query and 1 + 1 KV heads of 128 on 8192; 1024 back; three matrices 8192 x 3584
    layer = 8192 * (10 * 128) + 1024 * 8192 + 3 * 8192 * 3584
    table = 2 * 128256 * 8192 / 8
    assert weights(model, BF16, layout(tp=8)) == pytest.approx(2 * (80 * layer + table), rel=1e-9)
    # one KV head per GPU: K and V of 128, 80 layers, 2 bytes
    assert cache(model, BF16, layout(tp=8), 1000) == 1000 * 80 * 2 * 128 * 2
    # TP 16 duplicates the eight heads: no less per GPU than TP 8
    assert cache(model, BF16, layout(tp=16), 1000) == cache(model, BF16, layout(tp=8), 1000)


def test_mla_deepseek_r1_dep8() -> None:
    model = load().model("deepseek-r1")
    mixing = 7168 * (1536 + 576) + 1536 * 128 * 192 + 512 * 128 * 256 + 128 * 128 * 7168
    dense = 3 * 7168 * 18432
    expert = 3 * 7168 * 2048
    layers = 61 * mixing + 3 * dense + 58 * (32 + 1) * expert
    unquantised = 58 * 256 * 7168 * 2 + 2 * 2 * 129280 * 7168
    assert weights(model, FP8, layout(dp=8, ep=8)) == pytest.approx(layers + unquantised, rel=1e-9)
    # a latent of 512 and 64 rotary elements, whatever the TP
    assert cache(model, FP8, layout(tp=8, ep=8), 1000) == 1000 * 61 * 576
    assert cache(model, FP8, layout(tp=1), 1000) == 1000 * 61 * 576


def test_sliding_window_gpt_oss_stops_growing() -> None:
    model = load().model("gpt-oss-120b")
    per = 2 * 8 * 64 * 2  # K and V, 8 heads of 64, bf16
    assert cache(model, BF16, layout(), 100) == 36 * per * 100
    assert cache(model, BF16, layout(), 10000) == 18 * per * 128 + 18 * per * 10000


def test_linear_attention_qwen35_holds_a_state() -> None:
    model = load().model("qwen3.5-397b-a17b")
    state = 64 * 128 * 128 + 3 * (2 * 16 * 128 + 64 * 128)  # 64 value heads; convolution of width 4
    full = 15 * 2 * 2 * 256 * 2  # 15 of 60 layers, 2 KV heads of 256, bf16
    assert cache(model, BF16, layout(), 4096) == 45 * 4 * state + full * 4096


def test_sparse_attention_caches_the_index_too() -> None:
    model = load().model("deepseek-v3.2")
    assert cache(model, FP8, layout(), 1000) == 1000 * 61 * (656 + 132)  # with scales; the rotary key in bf16


def test_folded_latents_deepseek_v4_flash() -> None:
    model = load().model("deepseek-v4-flash")
    # 43 layers keep 128 whole tokens; 21 keep an entry and an index key for 4 tokens, 20 an entry for 128
    near, sparse, dense = 43 * 128 * 584, 21 * 1024 * (584 + 132), 20 * 32 * 584  # a key with its scale: 132
    assert cache(model, FP8, layout(tp=8), 4096) == near + sparse + dense


@pytest.mark.parametrize(("name", "share"), [("deepseek-v4-pro", 0.10), ("deepseek-v4-flash", 0.07)])
def test_folded_latents_against_the_published_share(name: str, share: float) -> None:
    """At 1M tokens V4 caches 10 % (Pro) and 7 % (Flash) of what V3.2 does, says its technical report."""
    old, new = (memory.distinct_kv_bytes(load().model(m), FP8, 1e6) for m in ("deepseek-v3.2", name))
    assert new / old == pytest.approx(share, rel=0.2)


def test_shared_latents_deepseek_v4_1_flash() -> None:
    model = load().model("deepseek-v4.1-flash")
    # of 40 layers, each with 128 whole tokens, 3 keep an entry and an index key for 2 tokens, 1 one for each
    assert cache(model, FP8, layout(tp=8), 4096) == 40 * 128 * 584 + (3 / 2 + 1) * 4096 * (584 + 132)
    # its technical report: 890 bytes a token, with index keys of 4 bits; here they have 8
    fp4 = Precision(gemm=FORMATS["fp8"], moe=FORMATS["mxfp4"], kv="fp4")
    assert memory.growing_kv_bytes(model, fp4) == pytest.approx(890 + 2.5 * (132 - 68))


def test_tables_are_spread_over_a_stage() -> None:
    model = load().model("deepseek-v4.1-flash")
    one, eight = (float(memory.weight_bytes(model, FP8, layout(dp=n, ep=n))[0]) for n in (1, 8))
    experts = 40 * 384 * 3 * 2304 * 5120 * FP8.moe.weight_bytes
    assert one - eight == pytest.approx((196.6e9 * 33 / 32 + experts) * 7 / 8, rel=0.001)


# The pool that the engine logs for Qwen3-235B-A22B FP8 on 4 H100 with a bf16 cache (public issues): vLLM with
# its defaults 178,880 tokens, 8.7 GB; SGLang at mem-fraction-static 0.93 17.7 GB.
@pytest.mark.parametrize(("engine", "fraction", "logged"), [("vllm", 0.9, 8.7e9), ("sglang", 0.93, 17.7e9)])
def test_pools_are_those_that_engines_log(engine: str, fraction: float, logged: float) -> None:
    scenario = Scenario(
        model="qwen3-235b-a22b",
        system="h100",
        engine=engine,
        weights="fp8",
        kv="bf16",
        memory_fraction=fraction,
    )
    setup = prepare(scenario, load()).pools["decode"].setup
    at = layout(tp=4, moe_tp=4)
    held = float(memory.weight_bytes(setup.model, setup.precision, at)[0])
    live = 8192 * float(memory.token_bytes(setup.model, at)[0])  # max-num-batched-tokens on 80 GB
    pool = memory.room(setup.machine, setup.model).cache_bytes(held, live)
    assert pool == pytest.approx(logged, rel=0.06)
    tokens = pool / float(np.ravel(memory.kv_bytes(setup.model, setup.precision, at, 1.0))[0])
    assert engine != "vllm" or tokens == pytest.approx(178_880, rel=0.06)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm", "ideal"])
def test_a_pool_takes_what_weights_and_activations_leave(engine: str) -> None:
    setup = (
        prepare(Scenario(model="llama-3.1-70b", system="h100", engine=engine), load()).pools["decode"].setup
    )
    room = memory.room(setup.machine, setup.model)
    for held, live in ((0.0, 0.0), (3e10, 1e9), (5e10, 5e9)):
        pool = room.cache_bytes(held, live)
        assert room.fits(room.held(held, 0.999 * pool), live)
        assert not room.fits(room.held(held, 1.001 * pool), live)
        assert (
            held + pool + live + memory.reserve_bytes(setup.machine, setup.model)
            < setup.machine.gpu.memory_bytes
        )
    assert room.cache_bytes(1e12, 0.0) == 0.0


def test_a_larger_share_of_memory_never_holds_less() -> None:
    for engine in ("vllm", "sglang", "trtllm"):
        found = [
            memory.room(
                prepare(Scenario(engine=engine, memory_fraction=f), load()).pools["decode"].setup.machine,
                load().model("llama-3.1-70b"),
            ).cache_bytes(2e10, 1e9)
            for f in (0.5, 0.8, 0.9, 0.95)
        ]
        assert found == sorted(found) and found[0] < found[-1]


def test_fullest_stage_of_an_uneven_pipeline() -> None:
    model = load().model("deepseek-r1")
    assert float(memory.stage_share(61, np.array(32.0))) == 2 / 61
    whole, staged = weights(model, FP8, layout(ep=1)), weights(model, FP8, layout(pp=32))
    assert staged > whole / 32


@pytest.mark.parametrize("name", load().names("model"))
def test_one_gpu_holds_every_parameter(name: str) -> None:
    """Weights in bf16 are two bytes for each parameter that is counted, biases aside."""
    model = load().model(name)
    plain = Precision(gemm=FORMATS["bf16"], moe=FORMATS["bf16"], kv="bf16")
    tables = (2 - model.lookup_bytes) * model.lookup_params  # looked up in a format of their own
    assert weights(model, plain, layout()) == pytest.approx(2 * params.total(model) - tables, rel=2e-3)


def test_prediction_heads_weigh_what_is_published_of_them() -> None:
    """685 B on Hugging Face are 671 B and one head with its own copies of embedding and output.

    On one GPU in bf16, two bytes a parameter; DeepSeek-V3 has one head, however many tokens it drafts.
    """
    model = load().model("deepseek-v3")
    plain = Precision(gemm=FORMATS["bf16"], moe=FORMATS["bf16"], kv="bf16")
    none, one, three = (float(memory.weight_bytes(model, plain, layout(), mtp)[0]) for mtp in (0, 1, 3))
    head = (one - none) / 2 + params.embedding_params(model)
    assert head / 1e9 == pytest.approx(685 - 671, rel=0.05)
    assert three == one
    sharded = [float(memory.weight_bytes(model, plain, layout(dp=8, ep=8), mtp)[0]) for mtp in (0, 1)]
    assert sharded[1] - sharded[0] < (one - none) / 6


def test_more_room_for_a_sequence_never_less_than_needed() -> None:
    for batch in (1, 2, 7, 64, 1000):
        held = float(memory.decode_tokens(float(batch), 1000, 500))
        assert batch * 1250 < held <= batch * 1500


def test_formats() -> None:
    catalog = load()
    r1, oss, llama = (catalog.model(n) for n in ("deepseek-r1", "gpt-oss-120b", "llama-3.1-8b"))
    gb200, h200, a100 = (catalog.system(n).gpu for n in ("gb200", "h200", "a100"))
    assert precision.resolve("auto", "auto", r1, gb200).moe.name == "nvfp4"
    assert precision.resolve("auto", "auto", r1, h200).gemm.name == "fp8_block"
    assert precision.resolve("auto", "auto", llama, h200).gemm.name == "fp8"
    assert precision.resolve("auto", "auto", llama, a100).gemm.name == "bf16"
    assert precision.resolve("auto", "auto", llama, a100).kv == "bf16"
    mx = precision.resolve("fp4", "fp8", oss, h200)
    assert (mx.gemm.name, mx.moe.name) == ("bf16", "mxfp4_wo")
    assert precision.resolve("fp8", "auto", llama, a100).gemm.name == "fp8_wo"
