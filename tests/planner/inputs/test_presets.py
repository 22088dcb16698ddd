"""The catalog: every preset loads and makes sense, and every broken file is told in one line."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from planner.errors import InputError
from planner.inputs import catalog, toml_tables
from planner.inputs.catalog import load
from planner.inputs.fields import check
from planner.inputs.system import System
from planner.simulate.operators.attention import kinds

PRESETS = load()
KINDS = ("model", "system", "engine", "scenario")
EXPECTED = {
    "model": {"llama-3.1-70b", "deepseek-r1", "deepseek-v3.2", "gpt-oss-120b", "kimi-k2.5", "glm-5"},
    "system": {"a100", "h100", "h200", "h20", "h800", "l40s", "rtx-pro-6000", "b200", "gb200"},
    "engine": {"trtllm", "sglang", "vllm"},
    "scenario": {"prefill-heavy", "balanced-long", "balanced", "generation-heavy", "chat"},
}
MODEL = """
label = "Toy"
family = "toy"
hidden = 64
vocab = 1000
layers = 2
attention = [{ kind = "gqa", layers = 2, heads = 4, kv_heads = 2, head_dim = 16 }]
ffn = [{ kind = "dense", layers = 2, width = 128 }]
"""


def own(tmp_path, folder, name, text):
    """A catalog with one file of the user's own."""
    path = tmp_path / folder / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return load(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_presets_are_there(kind):
    assert EXPECTED[kind] <= set(PRESETS.names(kind))
    assert PRESETS.names(kind) == PRESETS.names(f"{kind}s")


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in KINDS for name in PRESETS.names(kind)], ids=str
)
def test_every_preset_loads_and_says_what_it_is(kind, name):
    preset = getattr(PRESETS, kind)(name)
    assert PRESETS.note(kind, name)
    if kind != "scenario":
        assert preset.name == name and preset.label


@pytest.mark.parametrize("kind", KINDS)
def test_aliases_lead_to_one_preset_and_hide_none(kind):
    names = set(PRESETS.names(kind))
    seen = {}
    for name in names:
        for alias in PRESETS._table(kind, name).get(catalog.ALIASES, ()):
            assert alias not in names
            assert seen.setdefault(alias, name) == name
            assert PRESETS.canonical(kind, alias) == name


@pytest.mark.parametrize("name", PRESETS.names("model"))
def test_models_are_shaped_like_transformers(name):
    spec = PRESETS.model(name)
    assert sum(a.layers for a in spec.attention) == sum(f.layers for f in spec.ffn) == spec.layers
    assert spec.hidden % 64 == 0 and spec.source and spec.max_context >= 32768
    mixing = kinds.layers(spec)
    assert any(layer.kv_elements for layer in mixing)
    assert all(layer.heads >= layer.kv_heads for layer in mixing)
    assert spec.published_params > 1e9


@pytest.mark.parametrize("name", PRESETS.names("system"))
def test_numbers_of_a_system_are_sane_and_have_sources(name):
    system = PRESETS.system(name)
    gpu, fabric = system.gpu, system.fabric
    peaks = [gpu.peak_flops[rate] for rate in ("bf16", "fp8", "fp4") if rate in gpu.peak_flops]
    assert all(1.9 <= wide / narrow <= 4.4 for narrow, wide in pairwise(peaks))
    assert 40e9 < gpu.memory_bytes < 440e9
    # reading all of memory takes 20 to 60 ms on every GPU in service, 13 on the first with HBM4
    assert 0.013 < gpu.memory_bytes / gpu.hbm_bytes_per_s < 0.06
    assert fabric.scale_out_bytes_per_s <= fabric.scale_up_bytes_per_s < gpu.hbm_bytes_per_s
    assert 1 <= fabric.scale_up_gpus <= 72
    assert gpu.watts < system.watts_per_gpu < 4 * gpu.watts
    assert 0.3 < system.usd_per_gpu_hour < 10
    numbers = {"memory_bytes", "hbm_bytes_per_s", "peak_flops", "sms", "watts", "fabric"}
    optional = {
        name
        for name, value in (
            ("rental_usd_per_gpu_hour", system.rental_usd_per_gpu_hour),
            ("idle_watts", gpu.idle_watts),
            ("full_watts", gpu.full_watts),
        )
        if value
    }
    assert gpu.idle_watts < 0.3 * gpu.watts and gpu.full_watts <= gpu.watts
    assert numbers | optional | {"usd_per_gpu_hour", "watts_per_gpu", "kernels"} == set(system.sources)
    assert all(len(text) > 5 for text in system.sources.values())


def test_formats_exist_only_where_the_hardware_has_them():
    has = {name: set(PRESETS.system(name).gpu.peak_flops) for name in PRESETS.names("system")}
    assert has["a100"] == {"bf16"}
    assert has["h200"] == has["mi300x"] == {"bf16", "fp8"}
    assert has["gb200"] == has["mi355x"] == {"bf16", "fp8", "fp4"}


def test_relatives_of_the_same_generation_are_ordered():
    h100, h200, h20, h800 = (PRESETS.system(name) for name in ("h100", "h200", "h20", "h800"))
    assert h200.gpu.memory_bytes > h20.gpu.memory_bytes > h100.gpu.memory_bytes == h800.gpu.memory_bytes
    assert h20.gpu.peak_flops["bf16"] < h800.gpu.peak_flops["bf16"] / 5
    assert h800.fabric.scale_up_bytes_per_s < h100.fabric.scale_up_bytes_per_s
    assert PRESETS.system("gb200").fabric.scale_up_gpus == 72


@pytest.mark.parametrize("name", [name for name in PRESETS.names("engine") if name != "ideal"])
def test_engines_cost_something_and_say_where_from(name):
    engine = PRESETS.engine(name)
    assert 5e-5 <= engine.step_s <= 5e-3 and 1e-6 <= engine.layer_s <= 5e-5
    assert 0 <= engine.qk_norm_s <= 5e-5
    assert 0 < engine.floor_share <= 1 and 0.9 <= engine.prefill_stretch <= 1.5
    assert 0.5 < engine.memory_fraction < 1 and engine.reserve_bytes >= 1e9
    assert engine.sources


@pytest.mark.parametrize("name", PRESETS.names("scenario"))
def test_scenarios_name_presets_and_fit_their_model(name):
    scenario = check(PRESETS.scenario(name))
    model = PRESETS.model(scenario.model)
    PRESETS.system(scenario.system)
    PRESETS.engine(scenario.engine)
    if name not in ("paper-fig5-long-prefill", "paper-fig12-million"):  # the study goes beyond, and says so
        assert scenario.traffic.isl + scenario.traffic.osl <= model.max_context


def test_the_papers_four_patterns():
    lengths = {
        name: (PRESETS.scenario(name).traffic.isl, PRESETS.scenario(name).traffic.osl)
        for name in ("prefill-heavy", "balanced-long", "balanced", "generation-heavy")
    }
    assert list(lengths.values()) == [(16384, 2048), (16384, 16384), (2048, 2048), (2048, 16384)]
    for name in lengths:
        scenario = PRESETS.scenario(name)
        assert (scenario.model, scenario.system, scenario.weights) == ("deepseek-r1", "gb200", "fp4")
        assert (scenario.limits.ftl_s, scenario.limits.ttl_s, scenario.fleet.gpus) == (10.0, 0.02, 72)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("DeepSeek-R1", "deepseek-r1"),
        ("deepseek-ai/DeepSeek-R1", "deepseek-r1"),
        ("r1", "deepseek-r1"),
        ("llama-70b", "llama-3.1-70b"),
        ("meta-llama/Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("openai/gpt_oss_120b", "gpt-oss-120b"),
    ],
)
def test_models_are_found_by_the_names_people_use(typed, name):
    assert PRESETS.model(typed).name == name


@pytest.mark.parametrize(
    ("kind", "typed", "hint"),
    [("model", "lama-3.1-70b", "llama-3.1-70b"), ("system", "h2000", "h200"), ("engine", "vlm", "vllm")],
)
def test_an_unknown_name_is_told_with_the_nearest(kind, typed, hint):
    with pytest.raises(InputError, match=hint) as error:
        getattr(PRESETS, kind)(typed)
    assert error.value.field == kind and "\n" not in str(error.value)


def test_own_files_lie_over_the_presets(tmp_path):
    mine = own(tmp_path, "models", "Toy", MODEL + 'aliases = ["plaything"]')
    assert mine.model("toy").hidden == 64
    assert mine.model("plaything").name == "toy"
    assert set(mine.names("model")) == {*PRESETS.names("model"), "toy"}
    own(tmp_path, "models", "deepseek-r1", MODEL)
    assert load(tmp_path).model("deepseek-r1").label == "Toy"
    assert "toy" not in load(tmp_path / "elsewhere").names("model")


def test_the_users_folder_is_where_the_environment_says(tmp_path, monkeypatch):
    own(tmp_path, "models", "toy", MODEL)
    monkeypatch.setenv(catalog.CONFIG_VARIABLE, str(tmp_path))
    assert "toy" in load().names("model")
    monkeypatch.setenv(catalog.CONFIG_VARIABLE, "")
    assert catalog.user_folder().name == "ratematch"


def test_threads_that_ask_at_once_are_given_one_and_the_same(monkeypatch):
    """All four parse the file, for none is done before the last has begun; one result is kept."""
    together = threading.Barrier(4, timeout=30)
    monkeypatch.setattr(
        toml_tables,
        "read_toml",
        lambda path, original=toml_tables.read_toml: (together.wait(), original(path))[1],
    )
    shared = load()
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(lambda _: shared.accuracy(), range(4)))
        models = list(pool.map(lambda _: shared.model("llama-3.1-8b"), range(4)))
    assert all(table is tables[0] for table in tables) and tables[0]["bands"]
    assert all(model is models[0] for model in models)
    assert shared.model("llama-3.1-8b") is models[0] == PRESETS.model("llama-3.1-8b")


def test_nothing_is_parsed_before_it_is_asked_for(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        toml_tables,
        "read_toml",
        lambda path, original=toml_tables.read_toml: (read.append(path.stem), original(path))[1],
    )
    mine = own(tmp_path, "models", "broken", "hidden = [")
    assert read == []
    assert mine.model("llama-3.1-8b").hidden == mine.model("LLAMA-3.1-8B").hidden == 4096
    assert read == ["llama-3.1-8b"]
    assert mine.model("r1").name == "deepseek-r1"  # looking for an alias passes over the broken file
    with pytest.raises(InputError, match=r"broken\.toml.*not valid TOML"):
        mine.model("broken")


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("hidden = 64", "", "toy.toml: hidden.*missing"),
        ("hidden = 64", "hiden = 64", "toy.toml.*hiden.*hidden"),
        ("hidden = 64", "hidden = -64", "toy.toml: hidden.*-64"),
        ("hidden = 64", "hidden = 0", "toy.toml: hidden.*above 0"),
        ("hidden = 64", 'hidden = "64"', "toy.toml: hidden.*whole number"),
        ("hidden = 64", "hidden = 64.5", "toy.toml: hidden.*whole number"),
        ("hidden = 64", "hidden = true", "toy.toml: hidden.*whole number"),
        ("hidden = 64", "hidden = [64]", "toy.toml: hidden.*whole number"),
        ("hidden = 64", "hidden = 64\npublished_params = nan", "toy.toml: published_params"),
        ("hidden = 64", "hidden = 64\npublished_params = inf", "toy.toml: published_params"),
        ("hidden = 64", "hidden = 64\nhidden = 64", "not valid TOML"),
        ("hidden = 64", 'hidden = 64\ncheckpoint = "fp7"', "checkpoint.*fp7.*bf16"),
        ("heads = 4", "haeds = 4", r"attention\[0\].*haeds.*heads"),
        ("heads = 4", "heads = 3", r"attention\[0\].*divisor"),
        ('kind = "gqa"', 'kind = "gga"', r"attention\[0\].*gga.*gqa"),
        ('kind = "gqa"', 'kind = "mla"', r"attention\[0\]: kv_lora"),
        ("layers = 2, heads", "layers = 1, heads", "attention.*add up to the model's 2"),
        ("attention = [{", "attention = { a = {", "attention.*list of tables|not valid TOML"),
        ("width = 128", 'width = 128, experts = "8"', r"ffn\[0\]: experts"),
        ('kind = "dense"', 'kind = "moe", experts = 2, topk = 3', r"ffn\[0\]: topk.*at most the 2"),
        ('label = "Toy"', "label = 7", "label.*text"),
    ],
)
def test_a_wrong_model_file_is_told_in_one_line(tmp_path, was, now, says):
    assert was in MODEL
    mine = own(tmp_path, "models", "toy", MODEL.replace(was, now))
    with pytest.raises(InputError, match=says) as error:
        mine.model("toy")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("bf16 =", "bf17 =", "peak_flops.*bf17"),
        ("bf16 = 9.89e14", "", "bf16 is missing"),
        ("sms = 132", "sms = -132", "sms.*-132"),
        ("scale_up_gpus = 8", "scale_up_gpus = 0", "scale_up_gpus.*above 0"),
        ("[fabric]", '[fabric]\ntopology = "ring"', "topology.*ring.*switch"),
        ("[fabric]", "[fabrik]", "fabrik.*fabric"),
        ('family = "hopper"', "family = {}", "family.*text"),
    ],
)
def test_a_wrong_system_file_is_told_in_one_line(tmp_path, was, now, says):
    text = PRESETS.files["system"]["h200"].read_text(encoding="utf-8")
    assert was in text
    with pytest.raises(InputError, match=says) as error:
        own(tmp_path, "systems", "mine", text.replace(was, now)).system("mine")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["model", "system", "engine"])
def test_a_preset_cut_off_anywhere_is_an_input_error_or_whole(tmp_path, kind):
    name = PRESETS.names(kind)[0]
    text = PRESETS.files[kind][name].read_text(encoding="utf-8")
    failures = 0
    for end in range(0, len(text), max(len(text) // 40, 1)):
        try:
            getattr(own(tmp_path, f"{kind}s", "cut", text[:end]), kind)("cut")
        except InputError as error:
            failures += 1
            assert "cut.toml" in str(error) and "\n" not in str(error)
    assert failures > 20


@pytest.mark.parametrize("line", ['label = "\\u001b[31mred"', '"\\u0007" = 1', 'a = [{ b = "\\u009b2J" }]'])
def test_control_characters_never_reach_a_terminal(line):
    with pytest.raises(InputError) as caught:
        toml_tables.parse_toml(line, "mine.toml")
    assert str(caught.value).isprintable() and "control characters" in str(caught.value)
    assert toml_tables.parse_toml('note = "two\\nlines, a \\"quote\\""', "mine.toml")


def test_a_file_that_is_not_text(tmp_path):
    mine = own(tmp_path, "engines", "odd", "")
    (tmp_path / "engines" / "odd.toml").write_bytes(b"\xff\xfe\x00label")
    with pytest.raises(InputError, match="UTF-8"):
        mine.engine("odd")


def _system(kernels: str) -> System:
    import dataclasses

    return dataclasses.replace(PRESETS.system("h200"), kernels=kernels)


ENTRY = "[gemm.vllm.{0}]\nconstants = {{ compute = {1} }}\nn = 3\nmape = 0.1\n"


def test_kernels_follow_their_relatives(tmp_path):
    own(tmp_path, "kernels", "near", 'relative = "far"\n' + ENTRY.format("bf16", 0.5))
    own(tmp_path, "kernels", "far", 'relative = "near"\n' + ENTRY.format("fp8", 0.7))  # round again: once
    kernels = load(tmp_path).kernels(_system("near"), "trtllm")
    assert [name for name, _ in kernels.tables] == ["near", "far"]
    assert kernels.find("gemm", "bf16")[0]["compute"] == 0.5
    assert kernels.find("gemm", "fp8")[1].system == "near"  # the nearest format on the GPU itself
    with pytest.raises(LookupError):
        kernels.find("moe", "bf16")


def test_kernels_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"kernels.*nowhere"):
        load(tmp_path).kernels(_system("nowhere"), "vllm")
    own(tmp_path, "kernels", "odd", "relative = 3")
    with pytest.raises(InputError, match=r"odd\.toml: relative"):
        load(tmp_path).kernels(_system("odd"), "vllm")


@pytest.mark.parametrize("name", PRESETS.names("system"))
def test_every_system_has_kernels_for_a_matrix_product(name):
    system = PRESETS.system(name)
    for engine in PRESETS.names("engine"):
        constants, origin = PRESETS.kernels(system, engine).find("gemm", "bf16")
        assert constants
        # AMD's are made by hand from published peaks and H20's from H200's: they name a source instead
        assert origin.measurements > 0 or origin.system.startswith(("mi3", "h20"))


def test_a_table_comes_back_from_its_own_encoding():
    for name in PRESETS.names("model"):
        spec = PRESETS.model(name)
        assert toml_tables.decode(type(spec), toml_tables.encode(spec), name) == spec
    for name in PRESETS.names("system"):
        system = PRESETS.system(name)
        assert toml_tables.decode(System, toml_tables.encode(system), name) == system
