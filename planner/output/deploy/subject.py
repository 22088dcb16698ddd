"""A plan and a target as one value; what the engine behind the target cannot say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from planner.errors import InputError, printable
from planner.inputs import precision
from planner.inputs.engine import EngineProfile
from planner.output.deploy import tables
from planner.output.deploy.can import cannot
from planner.output.deploy.parts import Options, Refused, Subject
from planner.output.spelling import named
from planner.planning.result import Plan, PoolPlan, Serving
from planner.words import EngineFamily, Target

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog

SCALED: tuple[Target, ...] = ("dynamo", "llm-d")
ENCODES: tuple[Target, ...] = ("vllm", "sglang")
LLM_D: tuple[EngineFamily, ...] = ("vllm", "sglang")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}\Z")
_LONGEST = 400  # characters of a checkpoint or a revision


def family(engine: EngineProfile) -> EngineFamily | None:
    """The engine that a profile is of; None for one that nobody launches.

    >>> family(EngineProfile.none("my-own"))
    """
    names: tuple[EngineFamily, ...] = get_args(EngineFamily)
    known: Mapping[str, EngineFamily] = {name: name for name in names}
    return None if engine.name == "ideal" else known.get(engine.name) or known.get(engine.kernels)


def checked(options: Options) -> Options:
    """The options. Raises InputError for the first that cannot be used."""
    for host in options.hosts:
        if not _HOST.match(host):
            raise InputError(
                "hosts", host, "names or addresses, with commas between: --hosts 10.0.0.1,10.0.0.2"
            )
    if len(set(options.hosts)) < len(options.hosts):
        raise InputError("hosts", ",".join(options.hosts), "each host once")
    per_host = options.gpus_per_host
    if per_host is not None and not 1 <= per_host <= 256:
        raise InputError("gpus-per-host", per_host, "a number from 1 to 256")
    for name, text in (("checkpoint", options.checkpoint), ("revision", options.revision)):
        if text.startswith("-") or len(text) > _LONGEST or not (text.isprintable() and text == text.strip()):
            raise InputError(name, text, "a repository, such as openai/gpt-oss-120b, or a folder")
    if options.image and not _IMAGE.match(options.image):
        raise InputError("image", options.image, "a container's image, such as vllm/vllm-openai:v0.33.0")
    return options


def subject(
    plan: Plan, target: Target, options: Options, catalog: Catalog | None = None
) -> Subject | Refused:
    """The plan on its way to a target, or why the target cannot say it.

    `catalog` has the engine of a target that is not the one planned for; without it such a target is refused.

    Raises InputError for options that cannot be used.
    """
    checked(options)
    serving, resolved = plan.deployed, plan.resolved
    if serving is None:
        return Refused(reason="no plan meets the limits, so there is nothing to deploy")
    if resolved is None:
        return Refused(reason="the plan does not say what its names stood for")
    if (seeing := serving.encoder) is not None and seeing.instances and target not in ENCODES:
        return Refused(
            reason=f"an encoder pool ({seeing.instances} here) is written for {' and '.join(ENCODES)} alone; "
            "--encoder in-place has none"
        )
    if options.schedule is not None and target not in SCALED:
        return Refused(reason=f"only {' and '.join(SCALED)} start and stop instances by a schedule")
    planned_for = family(resolved.engine)
    engine = planned_for if target == "dynamo" or target == "llm-d" else target
    if engine is None:
        return Refused(
            reason=f"{printable(resolved.engine.label)} is nothing to launch; --engine vllm, sglang or trtllm"
        )
    if target == "llm-d" and engine not in LLM_D:
        return Refused(reason="llm-d serves with vLLM or SGLang, not with TensorRT-LLM")
    if engine != planned_for and catalog is None:
        return Refused(reason=f"the plan is for {printable(resolved.engine.label)}")
    profile = resolved.engine if engine == planned_for else catalog.engine(engine)  # type: ignore[union-attr]
    table = tables.engine_table(engine)
    made = Subject(
        plan=plan,
        serving=serving,
        model=resolved.model,
        system=resolved.system,
        target=target,
        table=table,
        can=profile.can,
        own_engine=engine == planned_for,
        options=options,
    )
    reason = (
        _vendor(made)
        or _unlike(plan, serving)
        or next(filter(None, (_cannot(made, pool) for pool in serving.pools)), "")
    )
    return Refused(reason=reason) if reason else made


def _vendor(of: Subject) -> str:
    if of.vendor not in of.can.vendors or of.vendor not in of.table.images:
        return f"{of.table.label} does not run on {of.system.label}"
    lacking = of.can.lacks
    for fmt in {of.plan.precision.weights, of.plan.precision.experts} if of.plan.precision else ():
        if fmt and of.system.family in lacking.get(fmt, ()):
            return f"{of.table.label} has no {fmt} kernels for {of.system.label}"
    return ""


def _unlike(plan: Plan, serving: Serving) -> str:
    """Why pools on several systems are not written as hosts of one kind; "" where they are."""
    systems = list(plan.resolved.systems.values()) if plan.resolved else []
    names = " and ".join(system.name for system in systems)
    if len({tables.gpus_per_host(system) for system in systems}) > 1:
        return f"hosts of {names} differ in their GPUs: export each pool's plan on its own system"
    if len(systems) > 1 and any(pool.gpus % tables.gpus_per_host(systems[0]) for pool in serving.pools):
        return f"hosts of {names} would be shared by pools of both: pools that fill whole hosts are written"
    asked, model = plan.scenario, plan.resolved.model if plan.resolved else None
    weights = {
        precision.resolve(asked.weights, asked.kv, model, system.gpu, system.vendor).gemm.name
        for system in systems
        if model is not None
    }
    if len(weights) > 1:
        formats = " and ".join(sorted(weights))
        return f"{names} serve from checkpoints of their own ({formats}): --weights names one for both"
    return ""


def _cannot(of: Subject, pool: PoolPlan) -> str:
    reason = cannot(
        pool.layout,
        pool.phase,
        of.can,
        of.table.label,
        experts=of.model.experts if of.model.is_moe else 0,
        mtp=of.mtp,
    )
    return f"{pool.layout.label} ({named(pool.phase)}): {reason}" if reason else ""
