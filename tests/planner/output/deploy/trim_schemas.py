"""The schemas that exports are checked against, cut to what an export may say: how schemas/*.json are made.

    python trim_schemas.py leaderworkerset CRD.yaml COMMIT > schemas/leaderworkerset.json
    python trim_schemas.py disaggregatedset CRD.yaml COMMIT > schemas/disaggregatedset.json
    python trim_schemas.py compose compose-spec.json COMMIT > schemas/compose.json

CRD.yaml is config/crd/bases/... of github.com/kubernetes-sigs/lws, compose-spec.json schema/... of
github.com/compose-spec/compose-spec, both Apache-2.0. What is left out is refused by the checks, as an API
server with strict field validation refuses what it does not know: an export that says more needs a name in
KEEP. dynamographdeployment.json is written by hand from the types that its `$comment` names: its own file has
megabytes; its pods are those of leaderworkerset.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

SOURCES = {
    "leaderworkerset": "github.com/kubernetes-sigs/lws, config/crd/bases (Apache-2.0)",
    "disaggregatedset": "github.com/kubernetes-sigs/lws, config/crd/bases (Apache-2.0)",
    "compose": "github.com/compose-spec/compose-spec, schema/compose-spec.json (Apache-2.0)",
}
KEEP = {  # of large objects, told by two of their fields
    ("containers", "initContainers"): "containers hostIPC hostNetwork initContainers nodeSelector volumes",
    ("livenessProbe", "volumeMounts"): "args command env envFrom image name ports readinessProbe resources "
    "restartPolicy securityContext startupProbe volumeMounts",
    ("emptyDir", "csi"): "configMap emptyDir hostPath name persistentVolumeClaim",
    ("httpGet", "tcpSocket"): "failureThreshold httpGet initialDelaySeconds periodSeconds timeoutSeconds",
    ("capabilities", "runAsUser"): "capabilities privileged",
    ("annotations", "finalizers"): "annotations labels name namespace",
    (
        "network_mode",
        "entrypoint",
    ): "cap_add command deploy devices entrypoint environment group_add image "
    "ipc network_mode profiles ulimits volumes working_dir",
}


def trimmed(node):
    """A schema without words, without what KEEP leaves out, closed to unknown fields."""
    if isinstance(node, list):
        return [trimmed(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {}
    for key, value in node.items():
        if key in ("properties", "patternProperties", "definitions"):
            kept = next((KEEP[pair] for pair in KEEP if set(pair) <= set(value)), None)
            names = kept.split() if kept else value
            made[key] = {name: trimmed(value[name]) for name in value if name in names}
        elif key not in ("description", "title", "default", "$id") and not key.startswith("x-kubernetes-"):
            made[key] = trimmed(value)
    if "properties" in made and "patternProperties" not in made:
        made.setdefault("additionalProperties", False)
    return made


def used(schema):
    """A schema with those of its definitions that something refers to."""
    definitions = schema.get("definitions", {})
    waiting, seen = [{key: value for key, value in schema.items() if key != "definitions"}], set()
    while waiting:
        found = set(json.dumps(waiting.pop()).split('"#/definitions/')[1:])
        for name in {text.split('"')[0] for text in found} - seen:
            seen.add(name)
            waiting.append(definitions[name])
    return {**schema, "definitions": {name: definitions[name] for name in definitions if name in seen}}


def made(kind, text, commit):
    if kind == "compose":
        found = trimmed(json.loads(text))
        found["properties"] = {name: found["properties"][name] for name in ("name", "services")}
        found.pop("patternProperties", None)
        found = used(found)
    else:
        found = trimmed(yaml.safe_load(text)["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        found["properties"].pop("status")
        found["properties"]["metadata"] = {"type": "object"}
    return {"$comment": f"{SOURCES[kind]} at {commit}, cut by trim_schemas.py", **found}


if __name__ == "__main__":
    print(json.dumps(made(sys.argv[1], Path(sys.argv[2]).read_text(), sys.argv[3]), separators=(",", ":")))
