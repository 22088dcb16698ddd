"""The Python interface with what it does not take: one line, never an error from deep inside."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import planner
from planner import Fleet, InputError, Limits, Scenario, Traffic

WRONG: tuple[Any, ...] = (
    *(10**5000, None, "x", "", b"x", 1j, [], {}, (), object(), Scenario, True, -1, 0, 10**400),
    *(math.nan, math.inf, -math.inf, "9" * 5000, ["llama-3.1-8b"], "\x1b[2J"),
)
BUILD: dict[str, Callable[[Any], Scenario]] = {
    **{
        name: lambda value, name=name: Scenario(**{name: value})
        for name in (
            *("model", "system", "engine", "weights", "kv", "traffic", "limits", "fleet"),
            *("goal", "headroom", "mtp", "mtp_acceptance", "draft_cost", "mix", "mla_cache", "time_limit_s"),
        )
    },
    "isl": lambda value: Scenario(traffic=Traffic(isl=value)),
    "osl": lambda value: Scenario(traffic=Traffic(osl=value)),
    "requests_per_s": lambda value: Scenario(traffic=Traffic(requests_per_s=value)),
    "cached": lambda value: Scenario(traffic=Traffic(cached_share=value)),
    "ftl_s": lambda value: Scenario(limits=Limits(ftl_s=value)),
    "ttl_s": lambda value: Scenario(limits=Limits(ttl_s=value)),
    "gpus": lambda value: Scenario(fleet=Fleet(gpus=value)),
    "instance_gpus": lambda value: Scenario(fleet=Fleet(instance_gpus=value)),
    "usd_per_gpu_hour": lambda value: Scenario(fleet=Fleet(usd_per_gpu_hour=value)),
}
NONE_IS_FINE = ("mtp_acceptance", "draft_cost", "requests_per_s", "gpus", "instance_gpus", "usd_per_gpu_hour")
FINE = {
    ("mix", True),
    ("mla_cache", True),
    ("cached", 0),
    ("headroom", 0),
    ("mtp", 0),
    ("mtp_acceptance", 0),
    ("draft_cost", 0),
    ("usd_per_gpu_hour", 0),
}


@pytest.mark.parametrize("name", BUILD)
def test_a_scenario_with_a_wrong_value_is_told_so(name: str) -> None:
    for value in WRONG:
        fine = value is None and name in NONE_IS_FINE
        fine |= any(name == key and type(value) is type(good) and value == good for key, good in FINE)
        if fine:
            continue
        with pytest.raises(InputError) as caught:
            planner.plan(BUILD[name](value))
        assert str(caught.value).isprintable() and len(str(caught.value)) <= 400


@pytest.mark.parametrize("value", WRONG, ids=range(len(WRONG)))
def test_no_scenario_no_catalog_no_function(value: Any) -> None:
    with pytest.raises(InputError, match="Scenario"):
        planner.plan(value)
    calls: list[dict[str, Any]] = [{"catalog": value}] if value is not None else []
    if value is not None and not callable(value):
        calls += [{"should_stop": value}, {"on_frontier": value}]
    for arguments in calls:
        with pytest.raises(InputError):
            planner.plan(Scenario(), **arguments)


@pytest.mark.parametrize("value", [b"x", 1, 1.5, [], {}, object(), "\0", "x" * 5000])
def test_a_folder_that_is_none(value: Any) -> None:
    with pytest.raises(InputError):
        planner.load(value)


@pytest.mark.parametrize("value", [None, 1, b"x", [], object()])
def test_a_name_that_is_none(value: Any) -> None:
    catalog = planner.load()
    for kind in ("model", "system", "engine"):
        with pytest.raises(InputError):
            getattr(catalog, kind)(value)
    with pytest.raises(InputError):
        catalog.scenario(value)
    with pytest.raises(InputError):
        catalog.names(value)
