"""ratematch, the engine: plan disaggregated LLM serving. No printing, no terminal.

>>> from planner import Limits, Scenario, Traffic
>>> Scenario(model="llama-3.1-8b", traffic=Traffic(isl=4096), limits=Limits(ttl_s=0.02)).traffic.isl
4096
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.inputs.scenario import Deployment, Fleet, Limits, Scenario, Traffic

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog
    from planner.planning.asked import Ask
    from planner.planning.result import Frontier, Plan
    from planner.words import Settling

__version__ = "0.1.0"
__all__ = [
    "Deployment",
    "Fleet",
    "InputError",
    "Limits",
    "Plan",
    "Scenario",
    "Traffic",
    "__version__",
    "load",
    "plan",
]


# numpy is imported when one of these is called: `--help` never waits for it.


def load(user_dir: Path | str | None = None) -> Catalog:
    """The presets that come with ratematch, under the user's own: `planner.inputs.catalog.load`."""
    from planner.inputs import catalog

    return catalog.load(user_dir)


def plan(
    scenario: Scenario,
    catalog: Catalog | None = None,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_frontier: Callable[[Frontier, Frontier], None] | None = None,
    ask: Ask | None = None,
    settle: Settling = "off",
) -> Plan:
    """Answer a scenario: sweep, match, compare. Parameters and errors: `planner.planning.plan.plan`.

    `settle` is what `ratematch plan --settle` is: "auto" has the plan's own requests replayed where closed
    forms are not sure of their waits, and keeps more headroom where they miss a limit; "on" where they are
    sure, too; "off" says no more than that they are not (`load.queued.sure` of a serving). `ask` is for who
    has a replay of his own.
    """
    from planner.planning import plan as planning

    if settle not in ("auto", "on", "off"):
        raise InputError("settle", settle, "auto, on or off")
    if settle != "off" and ask is None:
        from planner.replay.asked import asking

        ask = asking(settle)
    return planning.plan(scenario, catalog, should_stop=should_stop, on_frontier=on_frontier, ask=ask)


def __getattr__(name: str) -> Any:
    if name == "Plan":
        from planner.planning.result import Plan

        return Plan
    raise AttributeError(f"module 'planner' has no attribute {name!r}")
