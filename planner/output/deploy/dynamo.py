"""NVIDIA Dynamo: one DynamoGraphDeployment, a component for each pool; its operator joins their hosts."""

from __future__ import annotations

from typing import Any

from planner.output.deploy import documents, launch, pods, sglang, tables, trtllm
from planner.output.deploy.parts import Export, Refused, Settings, Subject
from planner.planning.result import PoolPlan

FILE = "dynamo.yaml"
MOST_COMPONENTS = 25
CONFIG_FOLDER = "/config"


def export(of: Subject) -> Export | Refused:
    """The files that launch a plan on Dynamo. Raises InputError where no checkpoint is known."""
    table, engine = tables.target_table("dynamo"), of.table.engine
    if of.vendor != "nvidia":
        return Refused(reason=f"Dynamo's images are for NVIDIA's GPUs, not for {of.system.label}")
    if reason := launch.ENGINES[engine].refusal(of) or pods.pulled_alone(of, "Dynamo"):
        return Refused(reason=reason)
    names = launch.pool_names(of.serving.pools)
    if len(names) >= MOST_COMPONENTS:
        return Refused(reason=f"a graph has {MOST_COMPONENTS} components at most, and this {len(names) + 1}")
    image = of.options.image or table["images"][engine]
    name = launch.project(of.options.name)
    components: list[dict[str, Any]] = [
        {
            "name": "frontend",
            "type": "frontend",
            "replicas": 1,
            "podTemplate": _pod(
                {"command": ["python3", "-m", "dynamo.frontend"], "image": image}, table["secret"]
            ),
        }
    ]
    config: dict[str, str] = {}
    for label, pool in zip(names, of.serving.pools, strict=True):
        found = pods.hosts_of(of, pool)
        if isinstance(found, Refused):
            return found
        hosts, gpus = found
        flags = settings(of, pool)
        args = pods.model_args(of, table["models"][engine])
        if engine == "trtllm":
            config[f"{label}.yaml"] = documents.yaml_text(flags)
            args += ["--extra-engine-args", f"{CONFIG_FOLDER}/{label}.yaml"]
        else:
            args += pods.words(flags)
        if pool.phase != "colocated" and "--disaggregation-mode" not in args:
            args += ["--disaggregation-mode", pool.phase]
        container = {
            "command": ["python3", "-m", f"dynamo.{engine}"],
            "args": args,
            "image": image,
            "resources": pods.limits(of.vendor, gpus),
        }
        if told := launch.environment(of, pool):
            container["env"] = [{"name": key, "value": value} for key, value in told.items()]
        mounts = [{"name": "config", "mountPath": CONFIG_FOLDER}] if engine == "trtllm" else []
        component: dict[str, Any] = {
            "name": label,
            "type": "worker" if pool.phase == "colocated" else pool.phase,
            "replicas": pool.instances,
            "sharedMemorySize": table["shared_memory"],
        }
        if of.options.schedule is not None:
            component["scalingAdapter"] = {}
        if hosts > 1:
            component["multinode"] = {"nodeCount": hosts}
        component["podTemplate"] = _pod(
            container, table["secret"], f"{name}-config" if mounts else "", mounts
        )
        components.append(component)
    graph = {
        "apiVersion": table["api"],
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": name},
        "spec": {"backendFramework": engine, "components": components},
    }
    texts: list[dict[str, Any]] = [graph]
    if config:
        texts.insert(
            0,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-config"}, "data": config},
        )
    files = {FILE: documents.yaml_texts(texts, f"kubectl apply -f {FILE}: {of.options.name}")}
    files |= pods.record_files(of, f"http://{name}-frontend:8000")
    files |= pods.autoscale(
        of,
        {
            pool.phase: (
                f"{name}-{label}",
                {
                    "apiVersion": table["api"],
                    "kind": "DynamoGraphDeploymentScalingAdapter",
                    "name": f"{name}-{label}".lower(),
                },
            )
            for label, pool in zip(names, of.serving.pools, strict=True)
        },
    )
    has = f"the images of Dynamo {table['version']} have {of.table.label} {table['engines'][engine]}"
    alike = table["engines"][engine] == of.table.version
    notes = [
        f"{has}, from which the flags were read"
        if alike
        else f"{has}; the flags were read from {of.table.version}",
        f"the secret {table['secret']} holds the token of the model's repository",
    ]
    return Export(target="dynamo", files=files, notes=(*notes, *pods.autoscale_notes(of)))


def settings(of: Subject, pool: PoolPlan) -> Settings:
    """The flags of a pool's workers, as the pinned build of the engine spells them."""
    if of.table.engine == "sglang":
        return sglang.settings(of, pool, old=True)
    if of.table.engine == "trtllm":
        return trtllm.settings(of, pool)
    return launch.ENGINES[of.table.engine].settings(of, pool)  # type: ignore[no-any-return]


def _pod(
    container: dict[str, Any], secret: str, config: str = "", mounts: list[Any] | None = None
) -> dict[str, Any]:
    main = {"name": "main", "envFrom": [{"secretRef": {"name": secret}}], **container}
    spec: dict[str, Any] = {"containers": [main]}
    if config:
        main["volumeMounts"] = mounts
        spec["volumes"] = [{"name": "config", "configMap": {"name": config}}]
    return {"spec": spec}
