"""How tokens get to their experts: what was planned is what engines are asked for."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from planner.output.deploy import subject, vllm, write
from planner.output.deploy.parts import Export, Options
from tests.planner.output.deploy.test_export import CATALOG, planned


def test_vllm_is_asked_for_the_all_to_all_that_was_planned_beyond_a_host():
    """By default vLLM gathers; on a rack NVLink kernels write within the domain, DeepEP goes across hosts."""
    plan, flag = planned("mla-h200", "vllm"), "--all2all-backend"
    pool = plan.chosen.pools[-1]

    def backends(system, dp, phase):
        layout = replace(pool.layout, tp=1, attention_dp=dp, moe_tp=1, ep=dp, pp=1, label=f"DEP{dp}")
        here = replace(plan, resolved=replace(plan.resolved, system=CATALOG.system(system)))
        of = subject.subject(here, "vllm", Options(), CATALOG)
        return vllm.settings(of, replace(pool, layout=layout, phase=phase)).get(flag)

    assert backends("h200", 16, "decode") == "deepep_low_latency"
    assert backends("h200", 16, "prefill") == backends("h200", 16, "colocated") == "deepep_high_throughput"
    assert backends("h200", 8, "decode") is None and backends("l40s", 16, "decode") is None
    assert backends("gb200", 4, "prefill") == backends("gb200", 72, "decode") == "flashinfer_nvlink_one_sided"
    assert backends("gb200", 96, "decode") == "deepep_low_latency"


@pytest.mark.parametrize(
    "system, batch, mtp, backend, told",
    [
        ("gb200", 128, 0, "deepep", None),  # what its buffers hold anyhow
        ("gb200", 300, 0, "deepep", "300"),
        ("gb200", 300, 1, "deepep", "600"),  # drafts are dispatched beside the tokens that they follow
        ("gb200", 1024, 0, "deepep", "1024"),
        ("gb200", 1025, 0, None, None),  # more than the kernels take
        ("rtx-pro-6000", 300, 0, None, None),  # no NVLink
    ],
)
def test_sglang_is_told_how_many_tokens_low_latency_kernels_take(system, batch, mtp, backend, told):
    """A decode batch above what its DeepEP buffers are sized for stops the server."""
    plan, variable = planned("mla-gb200", "sglang"), "SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK"
    first, then = plan.chosen.pools
    assert then.exchange == "all-to-all" and then.layout.attention_dp > 1
    serving = replace(plan.chosen, pools=(first, replace(then, max_batch=batch)))
    scenario = replace(plan.scenario, mtp=mtp)
    resolved = replace(plan.resolved, system=CATALOG.system(system))
    here = replace(plan, scenario=scenario, disaggregated=serving, resolved=resolved)
    prefill, decode = write.flags(here)["pools"]
    assert decode["flags"].get("--moe-a2a-backend") == backend
    assert decode.get("environment", {}).get(variable) == told
    assert "environment" not in prefill
    for target in ("sglang", "dynamo", "llm-d"):
        found = write.export(here, target, Options(), CATALOG)
        if isinstance(found, Export):
            texts = "".join(found.files.values())
            assert (variable in texts) == (told is not None), target
            assert told is None or re.search(rf"{variable}\W+(value: )?\W?{told}\b", texts), target
