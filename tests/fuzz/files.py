"""Files: scenarios, presets, configs, results, kernels; spoiled a little, or beyond recognition."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from planner.inputs.catalog import preset_folder
from tests.fuzz import harness, hostile

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
KINDS = {"models": "llama-3.1-8b", "systems": "h100", "engines": "trtllm"}
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
    """Failures of `count` presets and kernels files in the user's folder; one in twenty is planned with."""

    def make(chance: random.Random, folder: Path) -> Sequence[str]:
        own = folder / "own"
        for path in own.glob("*/*"):
            path.unlink()
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
    """Failures of `count` files config.json that are imported; one in ten model that came of it is shown."""
    known = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((TESTS / "planner" / "inputs" / "configs").glob("*.json"))
    ]
    assert known

    def make(chance: random.Random, folder: Path) -> Sequence[str]:
        if chance.random() < 0.1 and list(folder.glob("own/models/*.toml")):
            return ["presets", "models", "m", *chance.choice(([], ["--json"]))]
        path = _write(chance, folder / "config.json", hostile.spoil_json(chance, chance.choice(known)))
        name = "m" if chance.random() < 0.95 else hostile.word(chance)
        return ["import-model", str(path), f"--name={name}", *chance.choice(([], ["--json"]))]

    return harness.each("configs", seed, count, make)


def results(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` files of measured runs."""
    text = (TESTS / "planner" / "evidence" / "data" / "runs.csv").read_text(encoding="utf-8")

    def make(chance: random.Random, folder: Path) -> Sequence[str]:
        path = _write(chance, folder / "runs.csv", hostile.spoil_csv(chance, text, chance.randint(1, 3)))
        if chance.random() < 0.01:
            return ["calibrate", "--engines", str(path), "--out", str(folder / "out")]
        form = chance.choice(([], ["--json"], ["--plot"], ["--ascii"], ["--write", str(folder / "page.md")]))
        return ["validate", str(path), *form]

    return harness.each("results", seed, count, make)


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
