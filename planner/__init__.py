"""ratematch, the engine: plan disaggregated LLM serving. No printing, no terminal.

>>> from planner import Limits, Scenario, Traffic
>>> Scenario(model="llama-3.1-8b", traffic=Traffic(isl=4096), limits=Limits(ttl_s=0.02)).traffic.isl
4096
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.catalog import load as load
    from planner.errors import InputError as InputError
    from planner.plan import plan as plan
    from planner.result import Plan as Plan
    from planner.scenario import Fleet as Fleet
    from planner.scenario import Limits as Limits
    from planner.scenario import Scenario as Scenario
    from planner.scenario import Traffic as Traffic

__version__ = "0.1.0"

# Where each public name lives. Resolved on first use, so that `--help` never waits for numpy.
_HOMES = {
    "Fleet": "planner.scenario",
    "InputError": "planner.errors",
    "Limits": "planner.scenario",
    "Plan": "planner.result",
    "Scenario": "planner.scenario",
    "Traffic": "planner.scenario",
    "load": "planner.catalog",
}
__all__ = ["Fleet", "InputError", "Limits", "Plan", "Scenario", "Traffic", "__version__", "load", "plan"]


def __getattr__(name: str) -> Any:
    if name == "plan":
        return importlib.import_module("planner.plan")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'planner' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Callable(ModuleType):
    """A module that is called as the function of the same name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.plan(*args, **kwargs)


class _Package(ModuleType):
    """`planner.plan` is a module and a public function: whichever way it is imported, it works as both."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "plan" and isinstance(value, ModuleType):
            value.__class__ = _Callable
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
