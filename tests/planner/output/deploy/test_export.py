"""Ten plans to each target: files that their tools read, counts, GPUs and ports that add up; or a reason."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import planner
from planner.errors import InputError
from planner.inputs.fleet import Fleet
from planner.inputs.scenario import Limits, Scenario
from planner.inputs.traffic import Traffic
from planner.output.deploy import launch, placement, write
from planner.output.deploy.parts import Export, Options, Placed, Refused
from planner.output.deploy.placement import Size
from tests.planner.output.deploy import checked

CATALOG = planner.load()
KNOWN = Path(__file__).parent / "known"
GOLDEN = Path(__file__).parent / "golden"
ENGINES = ("vllm", "sglang", "trtllm")
VERSIONS = {"vllm": "0.33.0", "sglang": "0.5.23"}


def asked(model, system, isl=8192, osl=1024, gpus=64, ttl=0.05, **rest):
    return Scenario(
        model=model,
        system=system,
        traffic=Traffic(isl=isl, osl=osl, requests_per_s=rest.pop("rate", None)),
        limits=Limits(ttl_s=ttl),
        fleet=Fleet(gpus=gpus),
        **rest,
    )


SCENARIOS = {  # dense, MoE, MLA, hybrid; three systems; some are split and some co-located
    "dense-h200": asked("llama-3.1-70b", "h200", gpus=16),
    "dense-chat": asked("llama-3.1-70b", "h200", isl=1024, osl=1024, ttl=0.03),
    "dense-mi355x": asked("llama-3.1-70b", "mi355x", gpus=16),
    "moe-h200": asked("qwen3-235b-a22b", "h200", gpus=32),
    "moe-gb200": asked("gpt-oss-120b", "gb200", gpus=36),
    "mla-h200": asked("deepseek-r1", "h200"),
    "mla-gb200": asked("deepseek-r1", "gb200", isl=16384, osl=2048, gpus=72, ttl=0.02),
    "mla-mtp": asked("deepseek-r1", "gb200", gpus=72, ttl=0.015, mtp=1, rate=8.0),
    "mla-mi355x": asked("deepseek-r1", "mi355x", ttl=0.06),
    "hybrid-h200": asked("qwen3.5-397b-a17b", "h200"),
}


@cache
def planned(name, engine):
    return planner.plan(replace(SCENARIOS[name], engine=engine), CATALOG)


@cache
def exported(name, engine):
    """The export of a scenario on an engine; an InputError as it is raised."""
    try:
        return write.export(planned(name, engine), engine, Options(name=name), CATALOG)
    except InputError as error:
        return error


def host_processes(text):
    """(environment, words) of what a host's script starts."""
    for block in text.split("\n# ")[2:]:
        command = block.split("\n", 1)[1].split(" \\\n    >logs/")[0].split(" >logs/")[0]
        parts = shlex.split(command.replace("\\\n", " "))
        env = dict(part.split("=", 1) for part in parts if re.match(r"[A-Z_]+=", part))
        yield env, parts[len(env) :]


def written():
    for name in SCENARIOS:
        for engine in ENGINES:
            found = exported(name, engine)
            if isinstance(found, Export):
                yield name, engine, found


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_plan_becomes_files_or_a_reason(name, engine):
    found = exported(name, engine)
    if isinstance(found, Export):
        assert {"start.sh", "host-0.sh", "compose.yaml", "bench.sh", "deployment.toml"} <= set(found.files)
    else:
        assert len(str(getattr(found, "reason", found))) > 20


def test_the_scenarios_have_both_ways_and_most_are_written():
    ways = Counter(planned(name, engine).choice for name, engine, _ in written())
    assert ways["disaggregated"] >= 5 and ways["colocated"] >= 2
    assert sum(ways.values()) >= 20


def test_counts_gpus_and_ports_add_up():
    for name, engine, found in written():
        serving = planned(name, engine).deployed
        places = launch.placed(_subject(name, engine))
        assert Counter(one.pool for one in places) == {
            i: pool.instances for i, pool in enumerate(serving.pools)
        }
        used = Counter(
            (host, gpu) for one in places for h, host in enumerate(one.hosts) for gpu in one.gpus[h]
        )
        assert sum(used.values()) == serving.gpus and max(used.values()) == 1
        http = [(one.hosts[0], one.port) for one in places]
        side = [(host, one.side_port) for one in places for host in one.hosts]
        assert len(set(http)) == len(http) and (engine == "trtllm" or len(set(side)) == len(side))
        visible = Counter()
        for host in range(sum(file.startswith("host-") for file in found.files)):
            for env, argv in host_processes(found.files[f"host-{host}.sh"]):
                gpus = env[next(key for key in env if key.endswith("VISIBLE_DEVICES"))].split(",")
                ranks = int(argv[argv.index("-n") + 1]) if "mpirun" in argv else len(gpus)
                visible[host] += ranks
        assert sum(visible.values()) == serving.gpus


def _subject(name, engine):
    from planner.output.deploy.subject import subject

    return subject(planned(name, engine), engine, Options(name=name), CATALOG)


def test_every_flag_is_one_that_the_engine_knows():
    for name, engine, found in written():
        if engine not in VERSIONS:
            continue
        known = json.loads((KNOWN / f"{engine}-{VERSIONS[engine]}.json").read_text())
        for file, text in found.files.items():
            for _, argv in host_processes(text) if file.startswith("host-") else ():
                for flag, value in zip(argv, [*argv[1:], ""], strict=True):
                    if not flag.startswith("--"):
                        continue
                    assert flag in known, (name, flag)
                    if isinstance(known[flag], list):
                        assert value in known[flag], (name, flag, value)
                    if known[flag] == "switch":
                        assert value.startswith("--") or not value, (name, flag, value)


def test_every_flag_of_the_tables_is_one_that_the_engine_knows():
    from planner.output.deploy import tables

    for engine, version in VERSIONS.items():
        table = tables.engine_table(engine)
        known = json.loads((KNOWN / f"{engine}-{version}.json").read_text())
        assert table.version == version
        assert set(table.flags.values()) <= set(known)


ASKED = {  # of a plan's traffic, what each load generator is told
    "plain": ({}, "--burstiness 1 ", "random-ids", "--arrival-pattern poisson"),
    "steady": ({"arrivals": "steady"}, "--burstiness 1e+04", "random-ids", "--arrival-pattern constant"),
    "bursty": ({"arrivals": "bursty"}, "--burstiness 0.25", "random-ids", "gamma --arrival-smoothness 0.25"),
    "varied": ({"isl_spread": 0.2}, "ratio 0.3464", "--random-input-len 11030", "--isl-stddev 1638"),
    "cached": (
        {"cached_share": 0.5},
        "--random-prefix-len 4096", "--gsp-question-len 4096", "--prefix-prompt-length 4096",
    ),
}  # fmt: skip


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("benchmark, version", [("vllm", ""), ("sglang", "0.5.23"), ("aiperf", "0.13.0")])
def test_a_benchmark_sends_the_traffic_of_the_plan_with_flags_that_it_knows(benchmark, version, asked):
    plan = planned("dense-h200", "vllm")
    changed, *told = ASKED[asked]
    for rate in (None, 2.0):
        traffic = replace(plan.scenario.traffic, requests_per_s=rate, **changed)
        made = replace(plan, scenario=replace(plan.scenario, traffic=traffic))
        script = write.export(made, "vllm", Options(benchmark=benchmark), CATALOG).files["bench.sh"]
        flags = re.findall(r"(?<=\s)--[a-z-]+", script)
        if version:
            known = json.loads((KNOWN / f"bench-{benchmark}-{version}.json").read_text())
            assert len(flags) > 8 and set(flags) <= set(known)
    assert told[("vllm", "sglang", "aiperf").index(benchmark)] in script


def test_instances_take_the_longest_request_of_a_trace_and_of_lengths_that_vary():
    plan = planned("dense-h200", "vllm")  # 8,192 tokens in, 1,024 out

    def made(**changed):
        traffic = replace(plan.scenario.traffic, **changed)
        return write.export(
            replace(plan, scenario=replace(plan.scenario, traffic=traffic)), "vllm", Options(), CATALOG
        )

    def longest(found):
        return int(re.search(r"--max-model-len (\d+)", found.files["host-0.sh"])[1])

    assert longest(made()) == 9 * 1024 + 1024
    # of a lognormal distribution with variation 0.5, 999 of 1,000 are below 3.8 times the mean; load
    # generators draw uniform ones, up to 1 + sqrt(3) / 2 times
    assert 3.8 * 9216 < longest(made(isl_spread=0.5)) < 3.8 * 9216 + 3000
    traced = made(trace="mooncake-conversations")
    assert 123_192 < longest(traced) <= 123_192 + 2000 + 2048  # its longest prompt, and its longest answer
    assert write.TRACED in traced.notes and write.TRACED not in made().notes
    assert longest(made(isl_spread=2.0)) == CATALOG.model("llama-3.1-70b").max_context


def test_yaml_is_read_back_and_scripts_are_sound(tmp_path):
    for name, engine, found in written():
        folder = tmp_path / f"{name}-{engine}"
        folder.mkdir()
        for file, text in found.files.items():
            (folder / file).write_text(text)
            if file.endswith(".yaml"):
                assert isinstance(checked.read_yaml(text), dict)
        compose = checked.read_yaml(found.files["compose.yaml"])
        assert all(set(one) >= {"image", "command", "profiles"} for one in compose["services"].values())
        for script in folder.glob("*.sh"):
            subprocess.run(["bash", "-n", script], check=True)


def one_of_each():
    """An export of each engine, way of serving and vendor: others differ in words and numbers."""
    seen = {}
    for name, engine, found in written():
        plan = planned(name, engine)
        seen.setdefault((engine, plan.choice, plan.resolved.system.vendor), found)
    assert len(seen) >= 6
    return seen


def test_compose_files_are_as_the_specification_has_them():
    for of, found in one_of_each().items():
        document = checked.read_yaml(found.files["compose.yaml"])
        assert checked.wrong("compose", document) == [], of
    for service in document["services"].values():
        service["comand"] = service.pop("command")
    assert checked.wrong("compose", document)


def test_scripts_pass_shellcheck(tmp_path):
    program = checked.shellcheck()
    for at, found in enumerate(one_of_each().values()):
        for file in ("start.sh", "bench.sh", "host-0.sh"):
            (tmp_path / f"{at}-{file}").write_text(found.files[file])
    subprocess.run([program, *tmp_path.glob("*.sh")], check=True)


def test_every_key_of_a_configuration_is_one_that_tensorrt_llm_knows():
    seen = 0
    for _, engine, found in written():
        for file, text in found.files.items():
            if engine == "trtllm" and file.endswith(".yaml") and file not in ("compose.yaml", "servers.yaml"):
                seen += 1
                assert checked.unknown_to_trtllm(checked.read_yaml(text)) == []
    assert seen >= 10
    assert checked.unknown_to_trtllm({"kv_cache_config": {"dtpye": "fp8"}}) == ["KvCacheConfig.dtpye"]


def test_limits_of_a_pool_reach_its_flags_in_the_units_of_the_engine():
    for name in SCENARIOS:
        for engine in ENGINES:
            if not isinstance(exported(name, engine), Export):
                continue
            plan = planned(name, engine)
            deploy = write.flags(plan)
            for pool, told in zip(plan.deployed.pools, deploy["pools"], strict=True):
                flags, layout = told["flags"], pool.layout
                if engine == "vllm":
                    dp = flags.get("--data-parallel-size", 1)
                    gpus = flags["--tensor-parallel-size"] * flags.get("--pipeline-parallel-size", 1) * dp
                    assert flags["--max-num-seqs"] == pool.max_batch <= flags["--max-num-batched-tokens"]
                elif engine == "sglang":
                    gpus = flags["--tp-size"] * flags.get("--pp-size", 1)
                    dp = flags.get("--attn-dp-size", 1)
                    assert flags["--max-running-requests"] == pool.max_batch * dp
                    assert flags.get("--chunked-prefill-size", 0) % (64 * dp) == 0
                else:
                    gpus = flags["tensor_parallel_size"] * flags.get("pipeline_parallel_size", 1)
                    assert flags["max_batch_size"] == pool.max_batch
                    if "moe_tensor_parallel_size" in flags:
                        split = flags["moe_tensor_parallel_size"] * flags["moe_expert_parallel_size"]
                        assert split == flags["tensor_parallel_size"]
                assert gpus == layout.gpus


@pytest.mark.parametrize(
    "name, engine", [("dense-h200", "vllm"), ("mla-gb200", "sglang"), ("moe-h200", "trtllm")]
)
def test_three_exports_are_as_they_were(name, engine):
    """`python tests/planner/output/deploy/test_export.py` writes them again."""
    found = exported(name, engine)
    kept = GOLDEN / f"{name}-{engine}.txt"
    assert _as_text(found) == kept.read_text()


def _as_text(found):
    """The commands and configurations, with what a change of the simulator moves left out."""
    files = {name: text for name, text in found.files.items() if name not in ("deployment.toml", "router.py")}
    return "".join(f"==== {name}\n{text}" for name, text in files.items())


def test_words_of_presets_are_quoted_wherever_they_go(tmp_path):
    evil = "x'; touch pwned #\n$(touch pwned)`touch pwned`${HOME}"
    plan = planned("dense-h200", "vllm")
    plan = replace(plan, resolved=replace(plan.resolved, model=replace(plan.resolved.model, name=evil)))
    found = write.export(plan, "vllm", Options(name=evil, checkpoint="a/b; touch pwned"), CATALOG)
    (tmp_path / "bin").mkdir()
    seen = tmp_path / "seen"
    for tool in ("vllm", "python3", "curl", "sleep"):
        (tmp_path / "bin" / tool).write_text(f'#!/bin/bash\nprintf "%s\\0" "$@" >>"{seen}"\n')
        (tmp_path / "bin" / tool).chmod(0o755)
    for file, text in found.files.items():
        (tmp_path / file).write_text(text)
    env = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    for script in ("host-0.sh", "bench.sh", "start.sh"):
        subprocess.run(["bash", str(tmp_path / script)], env=env, capture_output=True, timeout=60)
    assert not list(tmp_path.rglob("pwned"))
    said = seen.read_text().split("\0")
    assert evil in said and "a/b; touch pwned" in said
    compose = checked.read_yaml(found.files["compose.yaml"])
    told = [word for service in compose["services"].values() for word in service["command"]]
    assert evil.replace("$", "$$") in told


@pytest.mark.parametrize(
    "options, field",
    [
        (Options(hosts=("a b",)), "hosts"),
        (Options(hosts=("-oProxyCommand=x",)), "hosts"),
        (Options(hosts=("a", "a")), "hosts"),
        (Options(checkpoint="--trust-remote-code"), "checkpoint"),
        (Options(checkpoint="a\nb"), "checkpoint"),
        (Options(image="a b"), "image"),
        (Options(gpus_per_host=0), "gpus-per-host"),
        (Options(gpus_per_host=2), ""),
    ],
)
def test_options_are_checked(options, field):
    plan = planned("dense-h200", "vllm")
    if not field:
        assert isinstance(write.export(plan, "vllm", options, CATALOG), Export)
        return
    with pytest.raises(InputError) as error:
        write.export(plan, "vllm", options, CATALOG)
    assert error.value.field == field


def test_too_few_hosts_are_told():
    with pytest.raises(InputError, match="hosts"):
        write.export(planned("dense-chat", "vllm"), "vllm", Options(hosts=("a",)), CATALOG)


def test_a_layout_that_an_engine_has_no_flag_for_is_refused_with_the_reason():
    """Layouts of another engine's plan: each is written, or refused by name."""
    plan = planned("mla-gb200", "trtllm")
    pool = plan.chosen.pools[-1]
    partial = replace(pool.layout, tp=8, attention_dp=1, moe_tp=2, ep=4, pp=1, label="TP8-EP4TP2")
    serving = replace(plan.chosen, pools=(*plan.chosen.pools[:-1], replace(pool, layout=partial)))
    cut = replace(plan, disaggregated=serving)
    found = write.export(cut, "vllm", Options(), CATALOG)
    assert isinstance(found, Refused) and "TP8-EP4TP2" in found.reason and "whole experts" in found.reason
    assert isinstance(write.export(cut, "sglang", Options(), CATALOG), Export)
    assert isinstance(write.export(cut, "trtllm", Options(), CATALOG), Export)


def test_a_refusal_names_the_best_layouts_that_the_target_can_say():
    asked_for = replace(SCENARIOS["hybrid-h200"], engine="vllm", traffic=Traffic(isl=16384, osl=1024))
    plan = planner.plan(asked_for, CATALOG)
    assert isinstance(write.export(plan, "vllm", Options(), CATALOG), Refused)
    assert re.match(
        r"it can say \S+( \+ \S+)?: [\d,]+ output", write.nearest(plan, "vllm", Options(), CATALOG)
    )


def test_an_instance_lies_on_whole_divisors_of_its_hosts():
    for gpus, stage, tp in ((3, 1, 1), (12, 4, 4), (36, 36, 1), (32, 32, 8), (6, 2, 2)):
        size = Size(name="x", instances=5, gpus=gpus, stage=stage, tp=tp)
        here = placement.per_host(size, 8)
        assert gpus % here == 0 and here <= 8
        places = placement.placed([size, Size(name="y", instances=3, gpus=1, stage=1, tp=1)], 8, 9)
        used = Counter(
            (h, g) for one in places for h, gs in zip(one.hosts, one.gpus, strict=True) for g in gs
        )
        assert max(used.values()) == 1 and sum(used.values()) == 5 * gpus + 3
        assert {host for host, _ in used} == set(range(1 + max(host for host, _ in used)))
        assert all(isinstance(one, Placed) and len(one.hosts) == len(one.gpus) for one in places)


def test_instances_stay_within_a_domain_where_they_fit():
    wide = Size(name="d", instances=3, gpus=40, stage=40, tp=1)
    places = placement.placed([wide], 4, 18)
    assert all(one.hosts[-1] - one.hosts[0] < 10 for one in places)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, engine in (("dense-h200", "vllm"), ("mla-gb200", "sglang"), ("moe-h200", "trtllm")):
        (GOLDEN / f"{name}-{engine}.txt").write_text(_as_text(exported(name, engine)))
