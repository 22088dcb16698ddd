"""What the two Kubernetes targets share: names, GPUs, containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.output.deploy import bench, launch, placement, record, schedule, tables
from planner.output.deploy.parts import Refused, Settings, Subject, argv
from planner.planning.result import PoolPlan
from planner.words import Phase, Vendor

RESOURCES: Mapping[Vendor, str] = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}


def hosts_of(of: Subject, pool: PoolPlan) -> tuple[int, int] | Refused:
    """(hosts, GPUs on each) of an instance."""
    engine, layout = launch.ENGINES[of.table.engine], pool.layout
    host_gpus = of.options.gpus_per_host or tables.gpus_per_host(of.system)
    size = placement.Size(
        name="",
        instances=1,
        gpus=layout.gpus,
        stage=layout.tp * layout.attention_dp,
        tp=layout.tp,
        unit=engine.host_unit(pool),
    )
    here = placement.per_host(size, host_gpus)
    if not here:
        return Refused(reason=launch.too_wide(of, pool, size.unit, host_gpus))
    return layout.gpus // here, here


def words(settings: Settings) -> list[str]:
    """Settings as arguments of a container: what Kubernetes would take for a variable is escaped."""
    return [literal(word) for word in argv(settings)]


def literal(word: str) -> str:
    """A word that Kubernetes leaves as it is.

    >>> literal("$(HOME) $1")
    '$$(HOME) $1'
    """
    return word.replace("$(", "$$(")


def limits(vendor: Vendor, gpus: int) -> dict[str, Any]:
    """Resources of a container."""
    return {"limits": {RESOURCES[vendor]: str(gpus)}, "requests": {RESOURCES[vendor]: str(gpus)}}


def model_args(of: Subject, flag: str) -> list[str]:
    """The arguments that name the model; `flag` "" where the checkpoint stands alone.

    Raises InputError where no checkpoint is known.
    """
    repository, quantization = launch.checkpoint(of)
    found: list[str] = [flag, repository] if flag else [repository]
    found += ["--served-model-name", bench.served(of, repository)]
    if quantization and of.table.engine != "trtllm":
        found += [of.table.flags["quantization"], quantization]
    if of.options.revision and "revision" in of.table.flags:
        found += [of.table.flags["revision"], of.options.revision]
    return [literal(word) for word in found]


def pulled_alone(of: Subject, target: str) -> str:
    """Why a router that hands the cache over by pull cannot serve a plan; "" where it can."""
    if of.table.engine == "vllm" and of.prefill_pipelines:
        return f"{target} hands vLLM's cache over by pull, which reads one pipeline stage; prefill has more"
    return ""


def record_files(of: Subject, url: str) -> dict[str, str]:
    """The benchmark script and the record."""
    repository, _ = launch.checkpoint(of)
    return {
        "bench.sh": bench.script(of, url, repository),
        record.FILE: record.record(of),
    }


def autoscale(of: Subject, scaled: Mapping[Phase, tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """The file of elastic bounds; none without a schedule."""
    if of.options.schedule is None:
        return {}
    return {schedule.FILE: schedule.autoscale(of.options.schedule, scaled, of.options.name)}


def autoscale_notes(of: Subject) -> list[str]:
    """What a user should know of elastic bounds."""
    if of.options.schedule is None:
        return []
    return [f"{schedule.FILE} is for KEDA; its Monday 0:00 UTC is the start of the schedule's trace"]
