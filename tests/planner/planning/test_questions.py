"""Questions that people asked in public, and what is known of the right answer.

Of those that concern formats, layouts and memory; each by the flags that its asker would type.
"""

from pathlib import Path

import pytest

from planner.errors import InputError
from planner.inputs.catalog import load
from planner.inputs.huggingface.import_model import import_model
from planner.output.data import to_dict
from planner.planning.plan import plan
from tui.cli.flags import Parser, add_scenario, read_scenario

GB = 1e9
CONFIGS = Path(__file__).parents[1] / "inputs" / "configs"


def answer(flags, catalog=None):
    """The plan of a command line, as its JSON."""
    catalog = catalog or load()
    parser = Parser("ratematch plan", "", "", "")
    add_scenario(parser)
    return to_dict(plan(read_scenario(parser.read(flags.split()), catalog), catalog))


def weights(document):
    """Bytes of weights on the fullest GPU of what is to be deployed."""
    serving = document[document["choice"]]
    pools = [serving[key] for key in ("prefill", "decode", "pool") if key in serving]
    return max(pool["memory"]["weights_bytes"] for pool in pools)


def test_gpt_oss_120b_runs_on_one_gpu_of_80_gb():
    found = answer("--model gpt-oss-120b --system h100 --engine vllm --gpus 1")
    assert found["status"] == "optimal"
    assert found["precision"]["experts"] == "mxfp4_wo"
    assert 58 * GB < weights(found) < 68 * GB  # published: 63 GB


def pools(document):
    serving = document[document["choice"]]
    return [serving[key] for key in ("prefill", "decode", "pool") if key in serving]


def test_the_kv_pool_of_qwen3_235b_on_four_h100():
    flags = "--model qwen3-235b-a22b --system h100 --gpus 4 --weights fp8 --kv bf16 --ttl 2s --ftl 1000s"
    default = answer(f"{flags} --engine vllm")
    (pool,) = pools(default)
    assert pool["memory"]["kv_pool_bytes"] == pytest.approx(8.7e9, rel=0.2)  # its chunk is not the default
    assert pool["memory"]["kv_bytes"] <= pool["memory"]["kv_pool_bytes"] * (1 + 1e-9)
    (pool,) = pools(answer(f"{flags} --engine sglang --memory-fraction 0.93"))
    assert pool["memory"]["kv_pool_bytes"] == pytest.approx(17.7e9, rel=0.1)


def test_bytes_of_a_token_in_a_sparse_cache():
    for model, known in (("deepseek-v3.2", 48_068), ("glm-5", 78 * 788)):
        assert answer(f"--model {model} --system b200")["precision"]["kv_bytes_per_token"] == known


def test_glm_5_fits_24_gpus_of_80_gb():
    asked = "--model glm-5 --system a100 --engine vllm --gpus 24"
    found = answer(f"{asked} --colocated-layout PP3xTP8")
    (pool,) = pools(found)
    assert pool["layout"]["label"] == "PP3xTP8" and found["precision"]["experts"] == "bf16"
    assert 60 * GB < weights(found) < 65 * GB
    # left to the plan it is as large, and at least as good but for the slack of an earlier first token
    free = answer(asked)
    assert free["precision"]["experts"] == "bf16" and 60 * GB < weights(free) < 65 * GB
    per_gpu = "capacity_tokens_per_s_per_gpu"  # the expected rate has the luck of many candidates taken off
    assert free["colocated"][per_gpu] >= found["colocated"][per_gpu] * (1 - 0.02)
    fewer = answer("--model glm-5 --system a100 --engine vllm --gpus 16")
    assert fewer["choice"] is None
    assert all(r["value"] <= 24 for r in fewer["infeasible"]["relax"] if r["field"] == "gpus")


def test_an_awq_model_of_72b_runs_on_one_gpu_of_80_gb(tmp_path):
    import_model(CONFIGS / "Qwen--Qwen2.5-72B-Instruct-AWQ_config.json", "qwen2.5-72b-awq", tmp_path)
    found = answer("--model qwen2.5-72b-awq --system a100 --engine vllm --gpus 1", load(tmp_path))
    assert found["precision"]["weights"] == "int4_wo"
    assert 38 * GB < weights(found) < 45 * GB  # published: 41 GB, with one scale per 128 weights


def test_gpt_oss_120b_is_four_bits_by_default():
    found = answer("--model gpt-oss-120b --system h200 --gpus 8 --isl 1k --osl 1k")
    assert (found["precision"]["weights"], found["precision"]["experts"]) == ("bf16", "mxfp4_wo")
    best = found[found["choice"]]["tokens_per_s_per_gpu"] * 8
    assert 0.6 * 78_000 < best < 1.5 * 78_000


def test_r1_with_mtp_gains_in_both_ways_and_the_verdict_does_not_turn_on_it():
    """With MTP in the split alone, co-located at 2.85 times the split once became the split at 3.76."""
    flags = "--model deepseek-r1 --system h200 --isl 1k --osl 2k --gpus 16"
    for engine in ("sglang", "trtllm", "vllm"):
        plain, drafted = (answer(f"{flags} --engine {engine} {mtp}") for mtp in ("", "--mtp 1"))
        for way in ("disaggregated", "colocated"):
            assert drafted[way]["tokens_per_s_per_gpu"] > 1.1 * plain[way]["tokens_per_s_per_gpu"]
        assert plain["choice"] == drafted["choice"] == "colocated"
        assert plain["drafts"] is None and drafted["drafts"]["tokens_per_step"] == pytest.approx(1.85)
        assert "85 to 90 %" in drafted["drafts"]["source"]


def test_a_model_without_heads_drafts_with_a_model_beside_it():
    flags = "--model llama-3.1-70b --system h200 --ttl 10ms"
    with pytest.raises(InputError, match=r"mtp: 2 .*a draft cost beside it.*no multi-token"):
        answer(f"{flags} --mtp 2")
    drafts = "--mtp 2 --draft-cost 3%"
    plain, drafted = (answer(f"{flags} {more}") for more in ("", f"{drafts} --mtp-acceptance 75%"))
    assert drafted["drafts"]["source"] == "given"
    for way in ("disaggregated", "colocated"):
        assert drafted[way]["tokens_per_s_per_gpu"] > plain[way]["tokens_per_s_per_gpu"]
    assumed = answer(f"{flags} {drafts}")
    assert assumed["drafts"]["source"] == "assumed"
    assert any("assumed: nothing measured" in note for note in assumed["notes"])
