"""The inputs of a deployment that is given, and what they must agree with: part of `fields.FIELDS`."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from planner.errors import InputError
from planner.inputs.field import Field
from planner.inputs.scenario import Scenario
from planner.words import Phase

_LAYOUTS = tuple(f"{kind}{2**i}" for kind in ("TP", "TEP", "DEP") for i in range(7) if i or kind == "TP")
_COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)

FIELDS: tuple[Field, ...] = (
    Field(
        key="prefill-layout",
        path="deployment.prefill_layout",
        label="prefill",
        unit="",
        kind="layout",
        group="Deployment",
        none="any",
        steps=_LAYOUTS,
        help="Your own layout of prefill instances, such as TP4 or CPP4xTP8; any: the plan's choice.",
    ),
    Field(
        key="prefill-instances",
        path="deployment.prefill_instances",
        needs="prefill-layout",
        label="prefill ×",
        unit="",
        kind="count",
        group="Deployment",
        low=1,
        high=16384,
        integer=True,
        none="any",
        steps=_COUNTS,
        help="Instances of the prefill layout; any: as many as the plan finds best.",
    ),
    Field(
        key="decode-layout",
        path="deployment.decode_layout",
        label="decode",
        unit="",
        kind="layout",
        group="Deployment",
        none="any",
        steps=_LAYOUTS,
        help="Your own layout of decode instances, such as DEP16; any: the plan's choice.",
    ),
    Field(
        key="decode-instances",
        path="deployment.decode_instances",
        needs="decode-layout",
        label="decode ×",
        unit="",
        kind="count",
        group="Deployment",
        low=1,
        high=16384,
        integer=True,
        none="any",
        steps=_COUNTS,
        help="Instances of the decode layout; any: as many as the plan finds best.",
    ),
    Field(
        key="colocated-layout",
        path="deployment.colocated_layout",
        label="co-located",
        unit="",
        kind="layout",
        group="Deployment",
        none="any",
        steps=_LAYOUTS,
        help="Your own layout of co-located instances, such as TP8: then they are the plan.",
    ),
    Field(
        key="colocated-instances",
        path="deployment.colocated_instances",
        needs="colocated-layout",
        label="co-located ×",
        unit="",
        kind="count",
        group="Deployment",
        low=1,
        high=16384,
        integer=True,
        none="any",
        steps=_COUNTS,
        help="Instances of the co-located layout; any: as many as the plan finds best.",
    ),
)


def fitted(scenario: Scenario) -> Scenario:
    """The scenario with as many GPUs as the deployment takes, where all of it is given."""
    given = scenario.deployment
    if not given.complete:
        return scenario
    return replace(scenario, fleet=replace(scenario.fleet, gpus=given.least_gpus))


def check(scenario: Scenario) -> None:
    """Raises InputError where what is given of the deployment and the rest of the scenario disagree."""
    given, fleet = scenario.deployment, scenario.fleet
    if not given.given:
        return
    needed = given.least_gpus
    if fleet.gpus is not None and needed > fleet.gpus:
        raise InputError(
            "gpus", fleet.gpus, f"at least {needed:,}: the deployment that is given takes so many"
        )
    for phase in get_args(Phase):
        layout = given.layout(phase)
        if layout is not None and fleet.instance_gpus is not None and layout.gpus > fleet.instance_gpus:
            wide = f"any, or at least {layout.gpus:,}: the {phase}-layout that is given takes so many"
            raise InputError("instance-gpus", fleet.instance_gpus, wide)
    if scenario.mix and given.counted:
        raise InputError("mix", "on", "off, where a number of instances is given")
