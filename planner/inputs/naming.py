"""Names of models and machines as people type them: organisations, formats, variants, counts of GPUs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from planner.errors import LONGEST_LINE, InputError
from planner.inputs import files
from planner.words import PresetKind, Weights

# patterns are compiled when a name is first looked for: a start of the application looks for none
_SPLIT = r"[\s_.:]+"
# ends of a model's name that tell a format of its weights, longest first
_ENDS: tuple[tuple[str, Weights], ...] = (
    ("nvfp4|fp4", "fp4"),
    ("mxfp4", "mxfp4"),
    (r"fp8(-block|-dynamic|-kv|-tensorwise)?|modelopt-fp8|f8", "fp8"),
    (r"(awq|gptq)(-marlin)?-?(int)?8(-?bits?)?|w8a(8|16)|int8|8-?bits?|bnb-8bit", "int8"),
    (
        r"(awq|gptq)(-marlin)?(-?(int)?4)?(-?bits?)?|w4a16(-g\d+)?|int4|4-?bits?|bnb-4bit|autoround",
        "int4",
    ),
    ("bf16|fp16|bfloat16|float16", "bf16"),
)
_FORMATS = tuple((rf"-({ends})$", weights) for ends, weights in _ENDS)
# and ends that change nothing that a plan sees
_VARIANT = (
    r"-(instruct|chat|it|base|hf|thinking|reasoning|preview|latest|original|terminus|speciale|pt|sft|dpo|rl"
    r"|quantized|\d{4}(-\d{2})?(-\d{2})?)$"
)
_VERSION = r"-v\d+(-\d+)?$"  # of a release, where a size or a format stands before it
_SIZED = r"\d+b\b|fp4|fp8|instruct"
_MAKERS = r"^((meta|nvidia|google|qwen|amd|instinct|tesla|geforce|dgx|hgx|intel)-)+"
# ends of a machine's name that tell its form, and one that tells its memory
_FORM = r"-(sxm\d?|oam|nvl\d+|hbm\d?[a-z]?|server|edition|blackwell|gpu|node)$"
_MEMORY = r"-(\d+)-?g(i?)b?$"
MEMORY_SLACK = 0.15  # of a size in a name against that of the GPU
_COUNT = (r"(?i)^(\d{1,5})\s*[x×*]\s*(\S.*)$", r"(?i)^(\S.*?)\s*[x×*]\s*(\d{1,5})$")
# machine types of AWS, Google Cloud and Azure: GPUs in one, or the group that says it, and the system
_MACHINE_TYPES: tuple[tuple[str, int | str, str], ...] = (
    (r"p4de\.24xlarge", 8, "a100"),
    (r"p5\.48xlarge", 8, "h100"),
    (r"p5\.4xlarge", 1, "h100"),
    (r"p5en?\.48xlarge", 8, "h200"),
    (r"p6-(?P<system>b[23]00)\.48xlarge", 8, ""),
    (r"p6e-(?P<system>gb[23]00)\.36xlarge", 4, ""),
    (r"g6e\.48xlarge", 8, "l40s"),
    (r"g6e\.(12|24)xlarge", 4, "l40s"),
    (r"g6e\.(1|2|4|8|16)?xlarge", 1, "l40s"),
    (r"g7e\.48xlarge", 8, "rtx-pro-6000"),
    (r"a2-ultragpu-(?P<gpus>[1248])g", "gpus", "a100"),
    (r"a3-(high|mega|edge)gpu-(?P<gpus>[1248])g", "gpus", "h100"),
    (r"a3-ultragpu-(?P<gpus>[1248])g", "gpus", "h200"),
    (r"a4-highgpu-(?P<gpus>[1248])g", "gpus", "b200"),
    (r"a4x-highgpu-(?P<gpus>[1248])g", "gpus", "gb200"),
    (r"(standard_)?nd96amsr_a100_v4", 8, "a100"),
    (r"(standard_)?nd96is_?r_(?P<system>h[12]00|mi300x)_v5", 8, ""),
    (r"(standard_)?nd128isr_(ndr_)?(?P<system>gb[23]00)_v6", 4, ""),
)
NEAR = 0.6  # of a name that is offered for one that is not known

Fits = Callable[[str, float], bool]  # whether a machine has about so many bytes


def key(name: str) -> str:
    """A name as the catalog files it: without organisation, in lower case, with dashes.

    >>> key("meta-llama/Llama-3.3-70B-Instruct "), key("H200_SXM")
    ('llama-3.3-70b-instruct', 'h200-sxm')
    >>> key("~/.cache/huggingface/hub/models--Qwen--Qwen3-32B/")
    'qwen3-32b'
    """
    last = name.strip().rstrip("/").rsplit("/", 1)[-1]
    if last.startswith("models--"):  # a folder of the hub's cache: models--ORGANISATION--NAME
        last = last.rsplit("--", 1)[-1]
    return last.lower().replace("_", "-").replace(" ", "-")


def loose(name: str) -> str:
    """A key whose dots are dashes too, for file names that cannot have dots.

    >>> loose("Llama-3_3-Nemotron-Super-49B")
    'llama-3-3-nemotron-super-49b'
    """
    return re.sub(_SPLIT, "-", key(name))


def counted(text: str) -> tuple[int | None, str]:
    """A machine with a number of its GPUs, or so many hosts of a cloud: the number, and the rest.

    >>> counted("8xH100"), counted("h200 x 16"), counted("2x8xH100"), counted("rtx-pro-6000")
    ((8, 'H100'), (16, 'h200'), (16, 'H100'), (None, 'rtx-pro-6000'))
    >>> counted("p5en.48xlarge"), counted("2x a4-highgpu-8g"), counted("Standard_ND96isr_H100_v5 x 4")
    ((8, 'h200'), (16, 'b200'), (32, 'h100'))
    """
    stripped = text.strip()
    if found := re.match(_COUNT[0], stripped):
        return _so_many(int(found[1]), found[2])
    if found := re.match(_COUNT[1], stripped):
        return _so_many(int(found[2]), found[1])
    gpus, system = _host(stripped)
    return gpus, text if gpus is None else system


def _so_many(number: int, name: str) -> tuple[int, str]:
    """GPUs of a number of machines, or of hosts with so many GPUs each."""
    if hosts := re.match(_COUNT[0], name):
        return number * int(hosts[1]), hosts[2]
    gpus, system = _host(name.strip())
    return (number, name) if gpus is None else (number * gpus, system)


def _host(name: str) -> tuple[int | None, str]:
    """GPUs in a machine type of a cloud, and their system; None where it is not one."""
    for pattern, gpus, system in _MACHINE_TYPES:
        if found := re.fullmatch(pattern, name, re.I):
            number = int(found[gpus]) if isinstance(gpus, str) else gpus
            return number, system or found["system"].lower()
    return None, name


def implied_weights(name: str) -> Weights | None:
    """The format of weights that a model's name says it has.

    >>> implied_weights("Qwen3-235B-A22B-Instruct-2507-FP8"), implied_weights("DeepSeek-R1-0528-NVFP4-v2")
    ('fp8', 'fp4')
    >>> implied_weights("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int8"), implied_weights("llama-3.1-70b")
    ('int8', None)
    """
    rest: str | None = loose(name)
    while rest:
        for pattern, weights in _FORMATS:
            if re.search(pattern, rest):
                return weights
        rest = _shorter(rest)
    return None


def _shorter(rest: str) -> str | None:
    """Without an end that changes nothing; None where there is none."""
    for pattern, _ in _FORMATS:
        if re.search(pattern, rest):
            return re.sub(pattern, "", rest)
    if re.search(_VARIANT, rest):
        return re.sub(_VARIANT, "", rest)
    if re.search(_VERSION, rest) and re.search(_SIZED, re.sub(_VERSION, "", rest)):
        return re.sub(_VERSION, "", rest)
    return None


def _tries(kind: PresetKind, name: str, fits: Fits | None) -> Iterator[tuple[str, float | None]]:
    """Loose keys that a name may be filed under, the whole first, with the memory that they must have."""
    rest: str | None = loose(name)
    memory: float | None = None
    for plain in (rest, re.sub(_MAKERS, "", rest or "")):
        rest, memory = plain, None
        while rest:
            yield rest, memory
            if kind == "model":
                rest = _shorter(rest)
            elif kind == "system" and (found := re.search(_MEMORY, rest)) and fits is not None:
                memory = float(found[1]) * (2**30 if found[2] else 1e9)
                rest = re.sub(_MEMORY, "", rest)
            elif kind == "system" and re.search(_FORM, rest):
                rest = re.sub(_FORM, "", rest)
            else:
                rest = None


def find(kind: PresetKind, name: str, known: Mapping[str, str], fits: Fits | None = None) -> str | None:
    """The preset that a typed name means; None if there is none.

    Parameters
    ----------
    known
        Every name and alias, as typed, to the preset's name.
    fits
        Whether a system has about a number of bytes of memory; without it a size in a name is not taken off.

    >>> find("model", "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", {"qwen3-235b-a22b": "qwen3-235b-a22b"})
    'qwen3-235b-a22b'
    """
    filed = {loose(other): preset for other, preset in known.items()}
    joined = {rest.replace("-", ""): preset for rest, preset in filed.items()}  # "llama3.3-70b"
    for rest, memory in _tries(kind, name, fits):
        preset = filed.get(rest) or joined.get(rest.replace("-", ""))
        if preset is not None and (memory is None or (fits is not None and fits(preset, memory))):
            return preset
    return None


def near(name: str, known: Iterable[str]) -> list[str]:
    """Known names that look like one that is not: those of its family first, the nearest of them."""
    import difflib

    typed = loose(name)[:LONGEST_LINE]
    filed = {loose(other): other for other in known}
    family = re.split(r"[-\d]", typed)[0]
    kin = [other for other in filed if family and other.startswith(family)]
    found = difflib.get_close_matches(typed, kin, n=3, cutoff=NEAR)
    return [filed[other] for other in found or difflib.get_close_matches(typed, filed, n=2, cutoff=0.75)]


def is_file(kind: PresetKind, text: str) -> bool:
    """Whether what was typed for a preset is a file of one's own instead.

    A name that ends as such a file does is; so is, for a model, a folder that holds a config.json.
    """
    if "\0" in text:
        return False
    if text.endswith((".toml", ".json") if kind == "model" else ".toml"):
        return True
    return kind == "model" and os.sep in text and os.path.isfile(config_in(text))  # noqa: PTH113


def config_in(folder: str) -> Path:
    """Where a folder of a model has its config.json: in it, or in the snapshot of a hub's cache."""
    at = Path(os.path.expanduser(folder))  # noqa: PTH111 (never raises, whatever the name)
    plain, newest = at / "config.json", at / "refs" / "main"
    if not os.path.isfile(plain) and os.path.isfile(newest):  # noqa: PTH113 (never raises, whatever the name)
        with contextlib.suppress(InputError):
            revision = files.read_text(newest, 1024).strip()
            return at / "snapshots" / revision / "config.json" if revision.isalnum() else plain
    return plain
