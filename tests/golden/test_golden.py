"""Sixty whole plans and the study's verdicts as they were: a change of structure changes none of them.

The numbers are kept to nine digits, timings left out. Where a change means to move one, renew it in
that change's own commit and say why:

    python tests/golden/test_golden.py            # all plans
    python tests/golden/test_golden.py verdicts   # the study's verdicts
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import sys
from pathlib import Path

import pytest
import scipy

from tui.cli.main import main

HERE = Path(__file__).parent
PLANS = HERE / "plans.jsonl"
VERDICTS = HERE / "verdicts.json"
DIGITS = 9
TIMINGS = ("seconds",)
# what a plan draws, survives and picks from: tests/planner/planning/test_power.py and its siblings
BESIDE = ("power", "survival", "survive", "fleet", "max-usd-per-hour", "max-kw", "max-racks")
SOLVER = "1.17."  # the scipy whose HiGHS found the mixes that are kept; constraints.txt has it on Python 3.11

# model, system and engine that fit together, then what differs from the defaults: one plan a line
CASES = """
deepseek-r1 gb200 trtllm --isl 16k --osl 2k --ttl 20ms --gpus 72
deepseek-r1 h200 sglang --isl 8k --osl 1k --gpus any
deepseek-r1 gb200 trtllm --mtp 2 --gpus 72 --ttl 15ms
deepseek-r1 gb200 trtllm --mtp 3 --gpus 72 --ttl 10ms --mix
deepseek-r1 b200 trtllm --goal fewest-gpus --rate 20 --gpus any
deepseek-r1 h20 sglang --goal cost --rate 4 --gpus 128 --ttl 80ms
deepseek-r1 gb300 trtllm --mla-cache --isl 64k --osl 1k --ftl 20s
deepseek-v3 h800 vllm --ftl 5s
deepseek-v3.2 b200 trtllm --isl 32k --osl 1k
deepseek-v3.2 h200 vllm --ftl 20s --kv fp8
deepseek-v4-flash b300 sglang
deepseek-v4-pro gb300 trtllm --gpus 72
gemma-4-26b-a4b h100 vllm
glm-5 gb200 sglang --gpus 72
glm-5 a100 vllm --gpus 64
gpt-oss-120b b200 trtllm --ttl 10ms
gpt-oss-120b h100 vllm --goal fewest-gpus --rate 10 --gpus any
gpt-oss-20b rtx-pro-6000 vllm
gpt-oss-20b mi300x vllm --gpus 8
kimi-k2 mi355x sglang --gpus 64 --ttl 60ms
kimi-k2.5 gb200 trtllm --gpus 72
llama-3.1-405b h200 trtllm
llama-3.1-405b gb200 trtllm --weights fp4 --kv fp8 --gpus 72
llama-3.1-405b mi325x vllm
llama-3.1-70b h200 trtllm
llama-3.1-70b h200 trtllm --mix
llama-3.1-70b h200 trtllm --mix --gpus 37
llama-3.1-70b h200 trtllm --headroom 20%
llama-3.1-70b h200 trtllm --headroom 20% --mix
llama-3.1-70b h200 trtllm --headroom 30% --gpus any
llama-3.1-70b h200 trtllm --gpus any
llama-3.1-70b h200 trtllm --goal fewest-gpus --rate 12
llama-3.1-70b h200 trtllm --goal cost --rate 12 --price 3.5
llama-3.1-70b h200 trtllm --goal cost --rate 12 --mix
llama-3.1-70b h200 trtllm --goal fewest-gpus --rate 500
llama-3.1-70b h200 trtllm --ttl 2ms
llama-3.1-70b h200 trtllm --ftl 100ms --isl 16k
llama-3.1-70b h200 trtllm --gpus 2 --weights bf16
llama-3.1-70b h200 trtllm --instance-gpus 2 --ttl 10ms
llama-3.1-70b b200 trtllm-1.0 --weights fp4
llama-3.1-70b mi300x sglang --weights bf16
llama-3.1-70b a100 vllm --weights bf16 --kv bf16
llama-3.1-70b l40s vllm --gpus 32 --ttl 100ms
llama-3.1-8b h100 vllm --ftl 500ms
llama-3.1-8b h20 sglang-0.5.1 --isl 1k --osl 1k
llama-3.1-8b l40s vllm --isl 2k --osl 256 --gpus 8
llama-4-maverick gb200 trtllm --gpus 72
llama-4-scout h200 vllm --isl 128k --osl 1k --ftl 60s
minimax-m2.5 h200 sglang
mixtral-8x22b h100 trtllm
mixtral-8x7b a100 vllm --weights bf16
nemotron-3-super-120b b200 vllm
nemotron-super-49b h100 trtllm
qwen3-235b-a22b h200 sglang
qwen3-235b-a22b gb200 trtllm --gpus 72 --isl 2k --osl 8k
qwen3-30b-a3b l40s vllm --gpus 16
qwen3-32b h100 trtllm
qwen3-32b mi355x vllm --gpus 16 --mix
qwen3-8b h800 sglang --gpus 16
qwen3-coder-480b b200 vllm
qwen3.5-27b h200 vllm
qwen3.5-397b-a17b b300 sglang --gpus 64
deepseek-r1 l40s vllm --gpus 8
deepseek-r1 gb200 trtllm --ftl 1ms --gpus 72
""".strip().splitlines()


def _rounded(value):
    """The value with numbers kept to `DIGITS` digits and timings left out."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items() if key not in (*TIMINGS, *BESIDE)}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return value


def _printed(arguments):
    """The JSON that a command prints, rounded."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main([*arguments, "--json"])
    return _rounded(json.loads(out.getvalue(), parse_constant=_refused))


def _refused(constant):
    """NaN and Infinity, which Python reads and JSON has not."""
    raise ValueError(f"{constant} in JSON")


def _planned(case):
    """The plan of one case, its frontiers as rows."""
    model, system, engine, *flags = case.split()
    document = _printed(["plan", "--model", model, "--system", system, "--engine", engine, *flags])
    for beside in ("frontier", "host-cache"):  # what is drawn, and caches: test_frontiers.py, test_caches.py
        document["scenario"].pop(beside)
    for name, points in document["frontier"].items():
        document["frontier"][name] = [list(point.values()) for point in points]
    return {"case": case, **document}


def _verdicts():
    """What the study's claims come to in each setting."""
    claims = _printed(["paper"])["claims"]
    return {
        str(claim["id"]): {"verdict": claim["verdict"], "settings": claim["settings"]} for claim in claims
    }


def _kept():
    return {row["case"]: row for row in map(json.loads, PLANS.read_text().splitlines())}


def _differences(kept, now, path=""):
    """Paths at which two documents differ, numbers by more than a part in ten million."""
    if isinstance(kept, dict) and isinstance(now, dict):
        for key in sorted({*kept, *now}):
            if key not in kept or key not in now:
                yield f"{path}.{key} is only {'now' if key in now else 'kept'}"
            else:
                yield from _differences(kept[key], now[key], f"{path}.{key}")
    elif isinstance(kept, list) and isinstance(now, list):
        if len(kept) != len(now):
            yield f"{path} has {len(now)} rows, kept were {len(kept)}"
        for index, (a, b) in enumerate(zip(kept, now, strict=False)):
            yield from _differences(a, b, f"{path}[{index}]")
    elif isinstance(kept, float) and isinstance(now, (int, float)):
        if not math.isclose(kept, now, rel_tol=1e-7, abs_tol=1e-12):
            yield f"{path}: {now} (kept: {kept})"
    elif kept != now:
        yield f"{path}: {now!r} (kept: {kept!r})"


def _comparable(plan):
    """A plan without its mix where another solver may find another one as good."""
    if plan.get("mix") and not scipy.__version__.startswith(SOLVER):
        return {**plan, "mix": "one of several"}
    return plan


@pytest.mark.parametrize("case", CASES)
def test_the_plan_is_as_it_was(case):
    kept, now = _comparable(_kept()[case]), _comparable(_planned(case))
    assert list(_differences(kept, now)) == []


@pytest.mark.slow
def test_the_verdicts_of_the_study_are_as_they_were():
    assert list(_differences(json.loads(VERDICTS.read_text()), _verdicts())) == []


if __name__ == "__main__":
    if sys.argv[1:] == ["verdicts"]:
        VERDICTS.write_text(json.dumps(_verdicts(), indent=1, ensure_ascii=False) + "\n")
    else:
        rows = (json.dumps(_planned(case), ensure_ascii=False) for case in CASES)
        PLANS.write_text("\n".join(rows) + "\n")
