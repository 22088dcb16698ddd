"""Command lines: every command, every flag, values in and out of range, words in the wrong place."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from planner.inputs.fields import FIELDS
from tests.fuzz import harness, hostile

# what is planned is small, so that a valid line costs little
SMALL = ["--model", "llama-3.1-8b", "--gpus", "4", "--instance-gpus", "2", "--time-limit", "0.2"]
VALID = {
    "isl": ("128", "1k", "4096", "1"),
    "osl": ("2", "64", "1k"),
    "rate": ("any", "0.5", "1e-6", "1e7"),
    "mtp": ("0",),
    "mtp-acceptance": ("0", "85%", "model"),
    "draft-cost": ("0", "3%", "1", "heads"),
    "ftl": ("1ms", "1", "3600"),
    "ttl": ("0.1ms", "20ms", "60"),
    "gpus": ("1", "3", "any"),
    "system": ("h100", "mi300x", "l40s"),
    "engine": ("vllm", "sglang"),
    "weights": ("auto", "bf16", "fp8"),
    "kv": ("auto", "fp8"),
    "price": ("0", "1000", "preset", "rental"),
    "goal": ("throughput", "cost"),
    "headroom": ("0", "90%"),
}
OTHERS = (
    "--json",
    "--csv",
    "--markdown",
    "--ascii",
    "--help",
    "--version",
    "--theme",
    "--demo",
    "--no-mouse",
)
COMMANDS = {
    "presets": ("models", "systems", "engines", "scenarios", "llama-3.1-8b", "h200", "--json"),
    "paths": ("config", "state"),
    "import-model": ("--name", "--json", "x"),
    "validate": ("--kernels", "--json", "--plot", "--ascii", "--write"),
    "calibrate": ("--engines", "--bands", "--system", "--operator", "--out"),
    "explain": ("TP8", "CPP4xTP8-EP4TP2", "DEP0", "--json"),
    "export": ("vllm", "sglang", "trtllm", "dynamo", "llm-d", "--out", "--isl=1"),
    "study": ("list", "show", "--out", "--workers", "--scheduler", "--resume", "--json"),
    "trace": ("--json", "--from", "--for", "--rate", "--speed", "--out"),
}
# what a plan is laid beside, or changed by
BESIDE = (
    "vllm",
    "8xH100",
    "h20",
    "chat",
    "ttl=20ms,30ms",
    "gpus=1",
    "price=rental",
    "mix",
    "ttl",
    "=",
    ",",
    "a=b=c",
)
# these work for seconds, or for ever, when nothing is wrong: a flag that is none keeps them from it
LONG = ("paper", "bench", "serve", "replay")


def run(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` command lines."""
    return harness.each("flags", seed, count, words)


def words(chance: random.Random, _: Path) -> Sequence[str]:
    draw = chance.random()
    if draw < 0.01:
        return _planned(chance)
    if draw < 0.65:
        return [*chance.choice(([], ["plan"], ["plan"])), *_flags(chance)]
    if draw < 0.95:
        command = chance.choice(list(COMMANDS))
        words = [chance.choice(COMMANDS[command]) for _ in range(chance.randint(0, 3))]
        words += [hostile.word(chance) for _ in range(chance.randint(0 if command == "presets" else 1, 2))]
        chance.shuffle(words)
        if command == "validate":  # without a file it works through all the measurements that ship
            words.insert(0, f"./{hostile.word(chance)}")
        return [command, *words]
    return [chance.choice(LONG), f"--no-such-{chance.randint(0, 99)}", hostile.word(chance)]


def _planned(chance: random.Random) -> Sequence[str]:
    """A line that gives a plan, or says why there is none."""
    words = ["plan", *SMALL]
    for key in chance.sample(list(VALID), chance.randint(0, 4)):
        words.append(f"--{key}={chance.choice(VALID[key])}")
    if chance.random() < 0.3:
        words += [chance.choice(("--compare", "--what-if")), chance.choice(BESIDE[:8])]
    return [*words, *chance.choice(([], ["--json"], ["--csv"], ["--markdown"], ["--ascii"]))]


def _flags(chance: random.Random) -> list[str]:
    """Flags of fields, one hostile word at least among their values."""
    words = list(SMALL) if chance.random() < 0.9 else []
    for field in chance.sample(FIELDS, chance.randint(1, 4)):
        name = chance.choice((field.key, *field.aliases))
        value = chance.choice(VALID.get(field.key, ("1",))) if chance.random() < 0.3 else hostile.word(chance)
        words += [f"--{name}={value}"] if chance.random() < 0.7 else [f"--{name}", value]
    words.insert(chance.randint(0, len(words)), hostile.word(chance))
    if chance.random() < 0.1:
        words += [chance.choice(("--compare", "--what-if")), chance.choice(BESIDE), hostile.word(chance)]
    if chance.random() < 0.3:
        words.append(chance.choice(OTHERS))
    return words
