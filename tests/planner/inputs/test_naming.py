"""Names as people type them, and files of one's own in their place."""

from __future__ import annotations

import json

import pytest

from planner import plan
from planner.errors import InputError
from planner.inputs.catalog import load
from planner.inputs.scenario import Scenario
from planner.inputs.scenario_file import read as read_scenario
from tests.planner.inputs.small_llama import LLAMA

SHIPPED = load()


@pytest.mark.parametrize(
    ("typed", "preset", "weights"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.1-70b", "auto"),
        ("nvidia/Llama-3.3-70B-Instruct-FP8", "llama-3.1-70b", "fp8"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507", "qwen3-235b-a22b", "auto"),
        ("Qwen/Qwen3-235B-A22B-Thinking-2507-FP8", "qwen3-235b-a22b", "fp8"),
        ("nvidia/DeepSeek-R1-0528-NVFP4-v2", "deepseek-r1", "fp4"),
        ("nvidia/Llama-3_3-Nemotron-Super-49B-v1-FP8", "nemotron-super-49b", "fp8"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "llama-3.1-8b", "int4"),
        ("casperhansen/llama-3.3-70b-instruct-awq", "llama-3.1-70b", "int4"),
        ("Llama-3.1-8B-Instruct-GPTQ-Int8", "llama-3.1-8b", "int8"),
        ("openai/gpt-oss-120b", "gpt-oss-120b", "auto"),
        ("zai-org/GLM-5-FP8", "glm-5", "fp8"),
        ("LLAMA-3.1-70B", "llama-3.1-70b", "auto"),
        ("llama3.3-70b", "llama-3.1-70b", "auto"),
        ("llama3.1:8b", "llama-3.1-8b", "auto"),
        ("~/.cache/huggingface/hub/models--Qwen--Qwen3-32B-AWQ", "qwen3-32b", "int4"),
    ],
)
def test_models_as_hubs_call_them(typed, preset, weights):
    assert SHIPPED.canonical("model", typed) == preset
    found = read_scenario(f'schema = 1\nmodel = "{typed}"', SHIPPED)
    assert (found.model, found.weights) == (preset, weights)
    told = read_scenario(f'schema = 1\nweights = "bf16"\nmodel = "{typed}"', SHIPPED)
    assert told.weights == "bf16"  # what is said counts more than what a name implies


@pytest.mark.parametrize(
    ("typed", "preset", "gpus"),
    [
        ("H200_SXM", "h200", None),
        ("8xH100", "h100", 8),
        ("2x8xH100", "h100", 16),
        ("p5.48xlarge", "h100", 8),
        ("2 x p6-b200.48xlarge", "b200", 16),
        ("a4x-highgpu-4g x 18", "gb200", 72),
        ("Standard_ND96isr_MI300X_v5", "mi300x", 8),
        ("A100-80G", "a100", None),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000", None),
        ("16 x nvidia-b200", "b200", 16),
        ("GB200 NVL72 x72", "gb200", 72),
        ("NVIDIA-H100-80GB-HBM3", "h100", None),
        ("a100-sxm4-80gb", "a100", None),
        ("AMD Instinct MI355X", "mi355x", None),
        ("rtx-pro-6000", "rtx-pro-6000", None),
    ],
)
def test_machines_as_people_call_them(typed, preset, gpus):
    found = read_scenario(f'schema = 1\nsystem = "{typed}"', SHIPPED)
    assert (found.system, found.fleet.gpus) == (preset, gpus or Scenario().fleet.gpus)
    assert read_scenario(f'schema = 1\ngpus = 3\nsystem = "{typed}"', SHIPPED).fleet.gpus == 3


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("system", "a100-40gb"),  # half the memory
        ("system", "h100-pcie"),  # another bandwidth
        ("system", "p4d.24xlarge"),  # of 40 GB
        ("model", "deepseek-r1-distill-qwen-32b"),
        ("model", "llama-3-70b"),
    ],
)
def test_what_is_another_model_or_machine_is_not_found(kind, typed):
    with pytest.raises(InputError):
        SHIPPED.canonical(kind, typed)


def test_hints_are_near():
    with pytest.raises(InputError, match=r"did you mean qwen3-.*config\.json"):
        SHIPPED.canonical("model", "Qwen/Qwen3-4B")
    with pytest.raises(InputError) as error:
        SHIPPED.canonical("model", "somethingelse")
    assert "did you mean" not in str(error.value) and "known: deepseek-r1" in str(error.value)
    for bad in ("0xh100", "99999xh100"):
        with pytest.raises(InputError, match=r"system: .*whole number"):
            read_scenario(f'schema = 1\nsystem = "{bad}"', SHIPPED)


# --- files of one's own


def test_a_system_is_a_base_and_what_differs(tmp_path):
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "big.toml").write_text('base = "h200"\n[gpu]\nmemory_bytes = 2e11\n')
    (tmp_path / "systems" / "bigger.toml").write_text('base = "big"\nlabel = "B"\n[gpu]\nwatts = 900.0\n')
    mine = load(tmp_path)
    big, base = mine.system("big"), SHIPPED.system("h200")
    assert big.gpu.memory_bytes == 2e11 and big.gpu.hbm_bytes_per_s == base.gpu.hbm_bytes_per_s
    assert (big.kernels, big.label, big.name) == ("h200", f"{base.label}, changed", "big")
    bigger = mine.system("bigger")
    assert (bigger.gpu.memory_bytes, bigger.gpu.watts, bigger.label) == (2e11, 900.0, "B")
    found = plan(Scenario(model="llama-3.1-8b", system="big", engine="vllm"), mine)
    assert found.bands["colocated"].level != "both"  # nothing was measured on it


def test_an_engine_and_a_model_have_bases_too(tmp_path):
    for folder in ("engines", "models"):
        (tmp_path / folder).mkdir()
    (tmp_path / "engines" / "mine.toml").write_text('base = "vllm"\nmax_batch = 64\n')
    (tmp_path / "models" / "wide.toml").write_text('base = "llama-3.1-8b"\nvocab = 256000\n')
    mine = load(tmp_path)
    assert (mine.engine("mine").max_batch, mine.engine("mine").kernels) == (64, "vllm")
    assert (mine.model("wide").vocab, mine.model("wide").published_params) == (256000, 0.0)


def test_a_preset_of_a_shipped_name_may_build_on_it_and_is_marked(tmp_path):
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "h200.toml").write_text('base = "h200"\nusd_per_gpu_hour = 9.0\n')
    mine = load(tmp_path)
    assert mine.system("h200").usd_per_gpu_hour == 9.0
    assert mine.is_own("system", "h200") and mine.shadowed("system", "h200")
    assert not mine.is_own("system", "h100")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('base = "nothing"', "nothing"),
        ("base = 3", "base.*name of a preset"),
        ('base = "loop"', "lead back"),
        ('base = "h200"\n[gpu]\nmemory_bytes = -1', "memory_bytes"),
        ('base = "h200"\n[gpu]\nmemroy = 1', "memory_bytes"),
        ('base = "h200"\ngpu = 3', "gpu.*table"),
    ],
)
def test_bases_that_cannot_be_used_are_told_in_one_line(tmp_path, text, says):
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "loop.toml").write_text(text)
    with pytest.raises(InputError, match=says) as error:
        load(tmp_path).system("loop")
    assert "\n" not in str(error.value)


def test_a_file_of_another_kind_is_named_with_its_base(tmp_path):
    (tmp_path / "gpu.toml").write_text('base = "h200"\n')
    with pytest.raises(InputError, match=r"gpu\.toml: base: 'h200' is not accepted; known: ideal"):
        SHIPPED.engine(str(tmp_path / "gpu.toml"))


@pytest.mark.parametrize("typed", ["~meta/llama20ms", "~nobody-of-this-name/x.toml", "~/\0", "~"])
def test_a_home_that_is_none_is_a_name_that_is_not_known(typed):
    """Found by the search: `flags` 1446 of seed 14."""
    with pytest.raises(InputError, match="model"):
        SHIPPED.model(typed)


def test_a_base_may_be_a_file_beside_it(tmp_path):
    (tmp_path / "ours.toml").write_text('base = "h200"\n[gpu]\nmemory_bytes = 2e11\n')
    (tmp_path / "dear.toml").write_text('base = "ours.toml"\nusd_per_gpu_hour = 9.0\n')
    found = SHIPPED.system(str(tmp_path / "dear.toml"))
    assert (found.gpu.memory_bytes, found.usd_per_gpu_hour, found.kernels) == (2e11, 9.0, "h200")
    (tmp_path / "ours.toml").write_text('base = "dear.toml"\n')
    with pytest.raises(InputError, match="lead back"):
        load().system(str(tmp_path / "dear.toml"))


def test_a_scenario_names_files_beside_it(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "gpu.toml").write_text('base = "h200"\n')
    path = tmp_path / "here" / "s.toml"
    path.write_text('schema = 1\nsystem = "gpu.toml"\n')
    monkeypatch.chdir(tmp_path)
    assert read_scenario(path, SHIPPED).system == str(tmp_path / "here" / "gpu.toml")
    (tmp_path / "gpu.toml").write_text('base = "h100"\n')
    assert read_scenario(path, SHIPPED).system == "gpu.toml"  # from here first
    path.write_text('schema = 1\nsystem = "no.toml"\n')
    with pytest.raises(InputError, match="no such file"):
        read_scenario(path, SHIPPED)


def test_files_stand_in_the_place_of_names(tmp_path):
    gpu, engine, model = (tmp_path / name for name in ("my gpu.toml", "engine.toml", "config.json"))
    gpu.write_text('base = "h100"\n[gpu]\nmemory_bytes = 96e9\n')
    engine.write_text('base = "sglang"\nmax_batch = 32\n')
    model.write_text(json.dumps({**LLAMA, "architectures": ["LlamaForCausalLM"]}))
    scenario = Scenario(model=str(model), system=str(gpu), engine=str(engine))
    found = plan(scenario, SHIPPED)
    assert found.status != "infeasible" and found.scenario == scenario
    assert SHIPPED.model(str(tmp_path)).hidden == 256  # a folder with a config.json
    for part in ("snapshots/0a1b", "refs"):
        (tmp_path / "models--Me--Mine" / part).mkdir(parents=True)
    (tmp_path / "models--Me--Mine/snapshots/0a1b/config.json").write_text(model.read_text())
    (tmp_path / "models--Me--Mine/refs/main").write_text("0a1b\n")
    assert SHIPPED.model(str(tmp_path / "models--Me--Mine")).hidden == 256  # and one of the hub's cache
    text = f'schema = 1\nsystem = "{gpu}"\nmodel = "{model}"'
    assert read_scenario(text, SHIPPED).system == str(gpu)


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("system", "none.toml", None),
        ("system", "bad.toml", "= 3"),
        ("system", "other.toml", "hidden = 3"),
        ("model", "none.json", None),
        ("model", "bad.json", "[" * 100_000),
        ("model", "vision.json", '{"architectures": ["ViTForImageClassification"]}'),
        ("engine", "evil.toml", 'base = "\\u001b]0;x\\u0007"'),
    ],
)
def test_files_that_cannot_be_used_are_told_in_one_line(tmp_path, kind, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as error:
        getattr(SHIPPED, kind)(str(path))
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)


def test_pipes_and_folders_are_refused(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    for name in ("pipe.toml", "folder.toml"):
        with pytest.raises(InputError):
            SHIPPED.system(str(tmp_path / name))


def test_a_broken_file_is_told_where_it_might_have_been_meant(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "broken.toml").write_text("not = [toml")
    with pytest.raises(InputError, match=r"did you mean|known.*broken\.toml"):
        load(tmp_path).canonical("model", "brokn")
    assert load(tmp_path).model("llama-3.1-8b")


def test_what_an_import_could_not_read_is_said_by_every_plan(tmp_path):
    from planner.output.data import to_dict
    from planner.output.notes import notes

    path = tmp_path / "config.json"
    path.write_text(json.dumps({**LLAMA, "novel_config": {"slots": 3}}))
    scenario = Scenario(model=str(path), system="h200", engine="vllm")
    found = plan(scenario, SHIPPED)
    assert found.not_read == ("novel_config",)
    assert any("novel_config" in note for note in notes(found))
    assert to_dict(found)["model"]["not_read"] == ["novel_config"]
    path.write_text(json.dumps(LLAMA))
    whole = plan(scenario, load())
    assert (whole.bands["colocated"].level, found.bands["colocated"].level) == ("one", "neither")
    assert not any("not read" in note for note in notes(whole))
