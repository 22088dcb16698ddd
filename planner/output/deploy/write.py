"""From a plan to the files of a target, and its flags for `plan --json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from planner.inputs import layout_label
from planner.output.deploy import dynamo, launch, llm_d
from planner.output.deploy.can import choice
from planner.output.deploy.launch import ENGINES
from planner.output.deploy.parts import Export, Options, Refused, Subject
from planner.output.deploy.subject import family, subject
from planner.planning.result import Plan
from planner.words import Phase, Target

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog

_TARGETS: Mapping[Target, Callable[[Subject], Export | Refused]] = {
    "vllm": launch.export,
    "sglang": launch.export,
    "trtllm": launch.export,
    "dynamo": dynamo.export,
    "llm-d": llm_d.export,
}
TARGETS: tuple[Target, ...] = tuple(_TARGETS)
TRACED = "bench.sh sends the mean lengths and the mean rate of the trace, not its requests"


def export(
    plan: Plan, target: Target, options: Options | None = None, catalog: Catalog | None = None
) -> Export | Refused:
    """The files of a deployment, or why the target cannot say the plan.

    Parameters
    ----------
    catalog
        Has the engine of a target that the plan was not made for.

    Raises
    ------
    InputError
        For an option that cannot be used, or a checkpoint that is not known.
    """
    options = options or Options()
    if not options.name:
        scenario = plan.scenario
        options = replace(options, name=f"ratematch-{scenario.model}-{scenario.system}")
    found = subject(plan, target, options, catalog)
    made = found if isinstance(found, Refused) else _TARGETS[target](found)
    if isinstance(made, Refused) or plan.scenario.traffic.trace is None:
        return made
    return replace(made, notes=(*made.notes, TRACED))


def flags(plan: Plan) -> dict[str, Any] | None:
    """What an instance of each pool is launched with, by the plan's own engine; None where there is none.

    `refused` says why where the engine has no flags for the plan.
    """
    engine = family(plan.resolved.engine) if plan.resolved else None
    if engine is None or plan.deployed is None:
        return None
    found = subject(plan, engine, Options())
    reason = found.reason if isinstance(found, Refused) else ENGINES[engine].refusal(found)
    if isinstance(found, Refused) or reason:
        return {"engine": engine, "version": None, "refused": reason, "pools": []}
    pools = found.serving.pools
    return {
        "engine": engine,
        "version": found.table.version,
        "refused": None,
        "pools": [
            {
                "phase": pool.phase,
                "layout": pool.layout.label,
                "instances": pool.instances,
                "flags": ENGINES[engine].settings(found, pool),
                **({"environment": dict(told)} if (told := launch.environment(found, pool)) else {}),
            }
            for pool in pools
        ],
    }


def nearest(plan: Plan, target: Target, options: Options, catalog: Catalog) -> str:
    """The best of the plan's other layouts that a target can say, in a sentence; "" where it can say none.

    `Plan.alternatives` has them, the best first.
    """
    best = ""
    most = 0.0
    for frontier in plan.alternatives or ():
        for i, (first, then) in enumerate(zip(frontier.prefill, frontier.decode, strict=True)):
            rate = float(frontier.tokens_per_s_per_gpu[i])
            if rate > most and _can_say(plan, first, then, target, options, catalog):
                best, most = f"{first} + {then}" if first else then, rate
                break
    here = plan.deployed
    if not best or here is None:
        return ""
    return f"it can say {best}: {most:,.0f} output tokens/s per GPU, {here.tokens_per_s_per_gpu:,.0f} here"


def _can_say(plan: Plan, first: str, then: str, target: Target, options: Options, catalog: Catalog) -> bool:
    """Whether a target can say the plan with other layouts, counts and limits as they are."""
    here = plan.deployed
    if here is None:
        return False
    named: dict[Phase, str] = {"prefill": first, "decode": then} if first else {"colocated": then}
    pools = tuple(
        replace(here.pools[-1], phase=phase, layout=choice(layout_label.parse(label)), instances=1)
        for phase, label in named.items()
    )
    other = replace(plan, choice="disaggregated", mix=None, disaggregated=replace(here, pools=pools))
    return not isinstance(export(other, target, options, catalog), Refused)
