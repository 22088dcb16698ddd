"""The flags that engines know, read from the unpacked source of one version: how known/*.json are made.

    python read_flags.py vllm SDIST > known/vllm-0.33.0.json
    python read_flags.py sglang WHEEL > known/sglang-0.5.23.json
    python read_flags.py trtllm SOURCE > known/trtllm-0004396.json
    python read_flags.py bench.sglang WHEEL > known/bench-sglang-0.5.23.json
    python read_flags.py bench.aiperf WHEEL > known/bench-aiperf-0.13.0.json

SGLang's own parser is built and asked (it needs msgspec); vLLM's literals are read from its syntax tree: it
cannot be imported without a GPU's libraries. A flag's value is "value", "switch" or
the list of what it takes; "?" where the tree does not say.

TensorRT-LLM's packages hold no source: SOURCE is tensorrt_llm/llmapi/llm_args.py of its repository, and what
is kept are the fields of the classes that an export's configuration fills, which refuse others. The file here
was read at commit 0004396 and has most fields of each class, not all.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import pkgutil
import sys
import types
from pathlib import Path


def vllm(root):
    """Names of all `--flags` in the argument modules, and those made of the front end's fields."""
    found = {}
    front = list(root.rglob("vllm/entrypoints/**/cli_args.py"))
    for path in (
        *root.rglob("vllm/engine/arg_utils.py"),
        *root.rglob("vllm/entrypoints/cli/serve.py"),
        *front,
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            literal = node.value if isinstance(node, ast.Constant) else ""
            if isinstance(literal, str) and literal[:2] == "--" and literal[2:].replace("-", "").isalnum():
                found[literal] = "?"
            if isinstance(node, ast.ClassDef) and path in front:
                for field in node.body:
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                        found[f"--{field.target.id.replace('_', '-')}"] = "?"
    return found


def sglang(root):
    """Its own parser, with empty packages where importing would load kernels."""
    base = next(root.rglob("sglang/srt/arg_groups")).parents[1]
    for name in ("", ".srt", ".srt.utils", ".srt.lora", ".srt.model_executor"):
        module = types.ModuleType(f"sglang{name}")
        module.__path__ = [str(base / name.lstrip(".").replace(".", "/"))]
        sys.modules[module.__name__] = module
    common = types.ModuleType("sglang.srt.utils.common")
    common.__getattr__ = lambda name: lambda *given, **rest: given[0] if given else None
    registry = types.ModuleType("sglang.srt.lora.lora_registry")
    registry.LoRARef = type("LoRARef", (), {})
    sys.modules |= {m.__name__: m for m in (common, registry)}
    import msgspec

    utils = importlib.import_module("sglang.srt.arg_groups.arg_utils")
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for info in pkgutil.iter_modules([str(base / "srt/arg_groups/fields")]):
        module = importlib.import_module(f"sglang.srt.arg_groups.fields.{info.name}")
        for kind in list(vars(module).values()):
            own = isinstance(kind, type) and kind.__module__ == module.__name__
            if own and issubclass(kind, msgspec.Struct) and info.name != "lora":
                utils.add_cli_args_from_dataclass(parser, kind)
    return {
        flag: list(map(str, action.choices)) if action.choices else "switch" if action.nargs == 0 else "value"
        for action in parser._actions
        for flag in action.option_strings
        if flag.startswith("--")
    }


def literals(root, *paths):
    """All `--flags` that modules write out: of load generators, whose parsers are made from them."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(next(root.rglob(path)).read_text())):
            literal = node.value if isinstance(node, ast.Constant) else ""
            if isinstance(literal, str) and literal[:2] == "--" and literal[2:].replace("-", "").isalnum():
                found.add(literal)
    return dict.fromkeys(sorted(found), "?")


TRTLLM = (
    "TorchLlmArgs", "KvCacheConfig", "DecodeCudaGraphConfig", "CacheTransceiverConfig", "MoeConfig",
    "MoeLoadBalancerConfig", "MTPDecodingConfig",
)  # fmt: skip


def trtllm(root):
    """Fields of the classes of its configuration, those of their bases included."""
    (path,) = [root] if root.is_file() else root.rglob("tensorrt_llm/llmapi/llm_args.py")
    classes = {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}

    def fields(name):
        node = classes.get(name)
        if node is None:
            return set()
        own = {
            one.target.id
            for one in node.body
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.target.id[0] != "_"
        }
        return own.union(*(fields(base.id) for base in node.bases if isinstance(base, ast.Name)))

    return {name: sorted(fields(name) - {"model_config"}) for name in TRTLLM}


if __name__ == "__main__":
    kinds = {
        "vllm": vllm,
        "sglang": sglang,
        "trtllm": trtllm,
        "bench.sglang": lambda root: literals(root, "sglang/benchmark/serving.py"),
        "bench.aiperf": lambda root: literals(root, "aiperf/config/flags/cli_config.py"),
    }
    made = kinds[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps(dict(sorted(made.items())), indent=0, ensure_ascii=False))
