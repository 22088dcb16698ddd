"""llm-d: a DisaggregatedSet with the roles of a split, or a LeaderWorkerSet of co-located instances.

A group of pods is an instance: its first pod serves, the others hold ranks. The router that finds the pods by
their labels is that of llm-d's guides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.output.deploy import documents, launch, pods, schedule, tables
from planner.output.deploy.parts import Export, Refused, Subject, Value
from planner.planning.result import PoolPlan
from planner.words import Phase

FILE, KUSTOMIZATION = "modelserver.yaml", "kustomization.yaml"
_ROLES: Mapping[Phase, str] = {"prefill": "prefill", "decode": "decode", "colocated": "both"}


def export(of: Subject) -> Export | Refused:
    """The files that launch a plan on llm-d. Raises InputError where no checkpoint is known."""
    table, engine = tables.target_table("llm-d"), of.table.engine
    if reason := launch.ENGINES[engine].refusal(of) or pods.pulled_alone(of, "llm-d's sidecar"):
        return Refused(reason=reason)
    phases = [pool.phase for pool in of.serving.pools]
    if len(set(phases)) < len(phases):
        return Refused(reason="llm-d has one role of each phase, and the plan mixes layouts within one")
    name = launch.project(of.options.name)
    groups = []
    for pool in of.serving.pools:
        found = pods.hosts_of(of, pool)
        if isinstance(found, Refused):
            return found
        groups.append(_group(of, pool, *found, table, name))
    scaled: dict[Phase, tuple[str, Mapping[str, str]]]
    external = {"scaling": {"mode": "External"}} if of.options.schedule is not None else {}
    if of.split:
        api = "disaggregatedset.x-k8s.io/v1"
        roles = [
            {
                "name": pool.phase,
                **external,
                "spec": {"replicas": pool.instances, "leaderWorkerTemplate": group},
            }
            for pool, group in zip(of.serving.pools, groups, strict=True)
        ]
        document = {
            "apiVersion": api,
            "kind": "DisaggregatedSet",
            "metadata": {"name": name, "labels": _labels(of, name)},
            "spec": {"slices": 1, "roles": roles},
        }
        scaled = {
            pool.phase: (
                f"{name}-{pool.phase}",
                {"apiVersion": api, "kind": "DisaggregatedSetRoleScaler", "name": f"{name}-{pool.phase}"},
            )
            for pool in of.serving.pools
        }
    else:
        api = "leaderworkerset.x-k8s.io/v1"
        scaled = {"colocated": (name, {"apiVersion": api, "kind": "LeaderWorkerSet", "name": name})}
        document = {
            "apiVersion": api,
            "kind": "LeaderWorkerSet",
            "metadata": {"name": name, "labels": _labels(of, name)},
            "spec": {"replicas": of.serving.pools[0].instances, "leaderWorkerTemplate": groups[0]},
        }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [FILE, *([schedule.FILE] if of.options.schedule is not None else [])],
    }
    files = {
        KUSTOMIZATION: documents.yaml_text(kustomization, f"kubectl apply -k .: {of.options.name}"),
        FILE: documents.yaml_text(document, f"{of.options.name}, {of.table.label} {of.table.version}"),
    }
    files |= pods.record_files(of, "http://localhost:8000") | pods.autoscale(of, scaled)
    guide = "pd-disaggregation" if of.split else "optimized-baseline"
    notes = [
        f"the router is the one of llm-d's guide {guide}: it finds pods by llm-d.ai/guide and llm-d.ai/role",
        f"the secret {table['secret']} holds the token of the model's repository, as HF_TOKEN",
    ]
    return Export(target="llm-d", files=files, notes=(*notes, *pods.autoscale_notes(of)))


def _labels(of: Subject, name: str) -> dict[str, str]:
    return {
        "llm-d.ai/inference-serving": "true",
        "llm-d.ai/guide": "pd-disaggregation" if of.split else "optimized-baseline",
        "llm-d.ai/accelerator-vendor": of.vendor,
        "llm-d.ai/engine-type": of.table.engine,
        "llm-d.ai/model": launch.project(of.model.name),
    }


def _group(
    of: Subject, pool: PoolPlan, hosts: int, gpus: int, table: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """The pods of one instance."""
    leader = _template(of, pool, hosts, gpus, table, name, leads=True)
    if hosts == 1:
        return {"size": 1, "workerTemplate": leader}
    worker = _template(of, pool, hosts, gpus, table, name, leads=False)
    return {"size": hosts, "leaderTemplate": leader, "workerTemplate": worker}


def _template(
    of: Subject, pool: PoolPlan, hosts: int, gpus: int, table: Mapping[str, Any], name: str, *, leads: bool
) -> dict[str, Any]:
    engine, flag = of.table.engine, of.table.flags
    behind = pool.phase == "decode"  # a sidecar
    port = table["decode_port"] if behind else table["port"]
    here: dict[str, Value] = {}
    if leads:
        here |= {flag["host"]: "0.0.0.0", flag["port"]: port}
    words = list(of.table.command[1:]) if engine == "sglang" else ["serve"]
    words += pods.model_args(of, flag.get("model", ""))
    words += pods.words({**launch.ENGINES[engine].settings(of, pool), **here})
    if hosts > 1:  # variables of the pod, expanded by Kubernetes
        words += [flag["nodes"], str(hosts), flag["rank"], "$(LWS_WORKER_INDEX)"]
        address = "$(LWS_LEADER_ADDRESS)"
        if engine == "vllm":
            words += [flag["head"], address, flag["head_port"], str(table["head_port"])]
            words += [] if leads else [flag["headless"]]
        else:
            words += [flag["head"], f"{address}:{table['head_port']}"]
    env: list[dict[str, Any]] = [
        {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": table["secret"], "key": "HF_TOKEN"}}}
    ]
    if engine == "vllm" and pool.phase != "colocated":
        address_of = {"fieldRef": {"fieldPath": "status.podIP"}}
        env.append({"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": address_of})
        env.append({"name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": str(table["side_port"])})
    env += [{"name": key, "value": value} for key, value in launch.environment(of, pool).items()]
    container: dict[str, Any] = {
        "name": "modelserver",
        "image": of.options.image or of.table.images[of.vendor],
        "command": [of.table.command[0]],
        "args": words,
        "env": env,
        "resources": pods.limits(of.vendor, gpus),
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    }
    if leads:
        container["ports"] = [{"name": "modelserver", "containerPort": port, "protocol": "TCP"}]
        probe = {"httpGet": {"path": "/health", "port": "modelserver"}}
        container["startupProbe"] = {**probe, "periodSeconds": 30, "failureThreshold": 120}
        container["readinessProbe"] = {**probe, "periodSeconds": 5, "failureThreshold": 3}
    spec: dict[str, Any] = {
        "containers": [container],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "20Gi"}}],
    }
    if behind and leads:
        spec["initContainers"] = [_sidecar(of, table)]
    labels = {**_labels(of, name), "llm-d.ai/role": _ROLES[pool.phase]}
    if not leads:  # the router must not find it
        labels = {"llm-d.ai/model": labels["llm-d.ai/model"]}
    return {"metadata": {"labels": labels}, "spec": spec}


def _sidecar(of: Subject, table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "routing-proxy",
        "image": table["sidecar"],
        "args": [
            f"--port={table['port']}",
            f"--vllm-port={table['decode_port']}",
            f"--kv-connector={table['connectors'][of.table.engine]}",
            "--secure-proxy=false",
        ],
        "ports": [{"name": "sidecar", "containerPort": table["port"], "protocol": "TCP"}],
        "restartPolicy": "Always",
    }
