"""Files: scenarios, presets, configs, results, kernels; spoiled a little, or beyond recognition."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from planner.inputs.catalog import preset_folder
from tests.fuzz import harness, hostile
from tests.planner.evidence.results import samples

TESTS = Path(__file__).resolve().parents[1]
SMALL = ["--gpus", "4", "--instance-gpus", "1", "--isl", "512", "--osl", "64", "--time-limit", "0.2"]
SCENARIO = """schema = 1
note = "small"
model = "llama-3.1-8b"
system = "h100"
isl = 512
osl = 64
ttl = "30ms"
gpus = 4
instance-gpus = 1
time-limit = 0.2
goal = "throughput"
headroom = "10 %"
mix = false
"""
FLAGS = ("layout", "prefill-layout", "isl", "concurrency", "rate", "weights", "mtp", "decode-instances")
KINDS = {"models": "llama-3.1-8b", "systems": "h100", "engines": "trtllm"}
OWN = {
    "system": 'label = "mine"\nusd_per_gpu_hour = 2.0\n[gpu]\nmemory_bytes = 9e10\nwatts = 500.0\n',
    "engine": 'label = "mine"\nmax_batch = 64\nstep_s = 1e-3\n',
}
MODELS = ("llama-3.1-8b", "gpt-oss-20b", "deepseek-v3.2", "qwen3.5-397b-a17b")


def _write(chance: random.Random, path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(hostile.as_bytes(chance, text))
    return path


def _shipped(folder: str, name: str) -> str:
    return (preset_folder() / folder / f"{name}.toml").read_text(encoding="utf-8")


def scenarios(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` scenario files; one in thirty is planned, the others are shown."""

    def make(chance: random.Random, folder: Path) -> Sequence[str]:
        text = hostile.spoil_toml(chance, SCENARIO)
        if chance.random() < 0.3:
            text += f"\nbase = {hostile.toml_value(chance)}\n"
        path = _write(chance, folder / "own" / "scenarios" / "s.toml", text)
        if chance.random() < 1 / 30:
            return ["plan", chance.choice(("s", str(path))), chance.choice(("--json", "--csv", "--markdown"))]
        return ["presets", "scenarios", "s", *chance.choice(([], ["--json"]))]

    return harness.each("scenarios", seed, count, make)


def presets(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` presets and kernels files in the user's folder; one in twenty is planned with.

    One in ten is a file of its own that builds on a preset, named by its path.
    """

    def make(chance: random.Random, folder: Path) -> Sequence[str]:
        own = folder / "own"
        for path in own.glob("*/*"):
            path.unlink()
        if chance.random() < 0.1:
            kind = chance.choice(("system", "engine"))
            base = chance.choice(("h100", "h200", "vllm", "own", hostile.word(chance)))
            text = hostile.spoil_toml(chance, f"base = {json.dumps(base)}\n{OWN[kind]}")
            path = _write(chance, folder / "own.toml", text)
            if chance.random() < 0.8:
                return ["presets", f"{kind}s", str(path), *chance.choice(([], ["--json"]))]
            return ["plan", "--model", "llama-3.1-8b", f"--{kind}", str(path), *SMALL]
        planned = chance.random() < 1 / 20
        if planned and chance.random() < 0.5:
            text = hostile.spoil_toml(chance, _shipped("kernels", "h100"))
            _write(chance, own / "kernels" / "h100.toml", text)
        else:
            kind = chance.choice(list(KINDS))
            name = chance.choice(MODELS) if kind == "models" and not planned else KINDS[kind]
            _write(chance, own / kind / f"{name}.toml", hostile.spoil_toml(chance, _shipped(kind, name)))
            if not planned:
                return ["presets", kind, name, *chance.choice(([], ["--json"]))]
        words = ["plan", "--model", "llama-3.1-8b", "--system", "h100", *SMALL]
        return [*words, *chance.choice(([], ["--json"], ["--csv"], ["--markdown"]))]

    return harness.each("presets", seed, count, make)


def configs(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` files config.json that are imported; one in ten model that came of it is shown.

    One in thirty stands in the place of a model in a plan.
    """
    inputs = TESTS / "planner" / "inputs"
    known = [
        json.loads(path.read_text(encoding="utf-8"))
        for folder in ("configs", "field/configs", "field/min")
        for path in sorted((inputs / folder).glob("*.json"))
    ]
    assert known

    def make(chance: random.Random, folder: Path) -> Sequence[str]:
        if chance.random() < 0.1 and list(folder.glob("own/models/*.toml")):
            return ["presets", "models", "m", *chance.choice(([], ["--json"]))]
        path = _write(chance, folder / "config.json", hostile.spoil_json(chance, chance.choice(known)))
        if chance.random() < 1 / 30:
            words = ["--model", str(path), "--system", "h100", *SMALL]
            return ["plan", *words, *chance.choice(([], ["--json"]))]
        name = "m" if chance.random() < 0.95 else hostile.word(chance)
        return ["import-model", str(path), f"--name={name}", *chance.choice(([], ["--json"]))]

    return harness.each("configs", seed, count, make)


def results(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` files of measured runs."""
    text = (TESTS / "planner" / "evidence" / "data" / "runs.csv").read_text(encoding="utf-8")

    def make(chance: random.Random, folder: Path) -> Sequence[str]:
        path = _write(chance, folder / "runs.csv", hostile.spoil_csv(chance, text, chance.randint(1, 3)))
        if chance.random() < 0.05:
            return ["calibrate", "--engines", str(path), "--out", str(folder / "out")]
        form = chance.choice(([], ["--json"], ["--plot"], ["--ascii"], ["--write", str(folder / "page.md")]))
        return ["validate", str(path), *form]

    return harness.each("results", seed, count, make)


def foreign(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` results of benchmark tools, and of their names in a scenario's place."""
    documents = (
        *(samples.VLLM, samples.SGLANG, samples.AIPERF, samples.GUIDELLM, [samples.INFERENCEX]),
        *(samples.TRTLLM_BENCH, samples.LLMPERF),
    )
    said = [*("--system", "h100"), *("--layout", "TP1"), *("--model", "llama-3.1-8b"), *("--engine", "vllm")]

    def make(chance: random.Random, folder: Path) -> Sequence[str]:
        if chance.random() < 0.7:
            path = folder / "result.json"
            _write(chance, path, hostile.spoil_json(chance, chance.choice(documents)))
        else:
            text = chance.choice(
                (samples.METRICS, samples.COLLECTION, samples.GUIDELLM_CSV, samples.GUIDELLM_OLD_CSV)
            )
            path = _write(chance, folder / "result.csv", hostile.spoil_csv(chance, text, 2))
        if chance.random() < 0.2:
            return ["plan", str(path)]
        if chance.random() < 0.2:
            return ["validate", str(path), f"--{chance.choice(FLAGS)}={hostile.word(chance)}"]
        return ["validate", str(path), *chance.choice(([], said)), *chance.choice(([], ["--json"]))]

    return harness.each("foreign", seed, count, make)


def kernels(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` folders of measured kernels; one in ten is fitted."""
    known = sorted((TESTS / "planner" / "evidence" / "data" / "kernels").glob("*.csv"))
    texts = {path.name: path.read_text(encoding="utf-8") for path in known}

    def make(chance: random.Random, folder: Path) -> Sequence[str]:
        place = folder / "kernels"
        for path in place.glob("*"):
            path.unlink()
        for name in chance.sample(list(texts), chance.randint(1, 2)):
            _write(chance, place / name, hostile.spoil_csv(chance, texts[name], chance.choice((3, 15))))
        if chance.random() < 0.1:
            return ["calibrate", str(place), "--out", str(folder / "out")]
        return ["validate", "--kernels", str(place), *chance.choice(([], ["--json"]))]

    return harness.each("kernels", seed, count, make)


def traces(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` traces of every format; some are cut, stretched, or written again."""
    known = [(name, "".join(text.splitlines(keepends=True)[:40])) for name, text in _traces()]

    def make(chance: random.Random, folder: Path) -> Sequence[str]:
        name, text = chance.choice(known)
        if name.endswith("json"):
            lines = text.splitlines()
            at = chance.randrange(len(lines))
            lines[at] = hostile.spoil_json(chance, json.loads(lines[at]))
            text = "\n".join(lines)
        else:
            text = hostile.spoil_csv(chance, text, chance.randint(1, 3))
        path = _write(chance, folder / "trace", text)
        words = ["trace", str(path)]
        if name == "clients.csv":
            lengths = dict(known)["lengths.csv"]
            words += ["--lengths", str(_write(chance, folder / "lengths", lengths)), "--for", "60"]
        if chance.random() < 0.3:
            flag = chance.choice(("from", "for", "rate", "speed", "instances", "model", "seed", "lengths"))
            words.append(f"--{flag}={chance.choice(('2', '0.5', '1e9', '1m', hostile.word(chance)))}")
        if chance.random() < 0.1:
            words += ["--out", str(folder / "out"), "--replace"]
        return [*words, *chance.choice(([], ["--json"], ["--ascii"]))]

    return harness.each("traces", seed, count, make)


def _traces() -> Iterator[tuple[str, str]]:
    """A small one of each format."""
    stamp = "2023-11-16 18:1{}:46.68"
    yield (
        "azure.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        + "".join(f"{stamp.format(i % 10)},{100 + i},{i + 1}\n" for i in range(40)),
    )
    yield (
        "burstgpt.csv",
        "Timestamp,Session ID,Request tokens,Response tokens\n"
        + "".join(f"{i},{i % 3},{100 + i},{i + 1}\n" for i in range(40)),
    )
    yield (
        "agents.csv",
        "session,depth,t_s,isl,osl,hit_blocks64\n"
        + "".join(f"{i // 9},{i % 2},{i},{1000 + 100 * i},{i + 1},{i}\n" for i in range(40)),
    )
    yield (
        "table.csv",
        "time_s,input_tokens,output_tokens,session,blocks\n"
        + "".join(f"{i / 3},{100 + i},{i + 1},s{i % 4},1 2 {i}\n" for i in range(40)),
    )
    yield (
        "clients.csv",
        "model,client,window_start_s,req_per_s,cv_interarrival\n"
        + "".join(f"m,{i % 3},{600 * (i // 3)},{1 + i},{1 + i / 10}\n" for i in range(30)),
    )
    yield (
        "lengths.csv",
        "model,window_start_s,field,q1,q50,q99\n"
        + "".join(
            f"m,{w},{field},1,50,900\n"
            for w in (0, 600, "day")
            for field in ("input_tokens", "output_tokens")
        ),
    )
    yield (
        "mooncake.json",
        "\n".join(
            json.dumps(
                {"timestamp": 3000 * (i // 5), "input_length": 900, "output_length": 9, "hash_ids": [0, i]}
            )
            for i in range(40)
        ),
    )
    qwen = {"timestamp": 1.5, "input_length": 30, "output_length": 9}
    yield (
        "qwen.json",
        "\n".join(
            json.dumps({"chat_id": i, "parent_chat_id": i - 4, **qwen, "hash_ids": [0, i]}) for i in range(40)
        ),
    )
    yield (
        "table.json",
        "\n".join(
            json.dumps({"time": f"{stamp.format(i % 10)}", "input": 90, "output": 9, "blocks": [0, i]})
            for i in range(40)
        ),
    )
