"""The input that says what a plan is to survive: part of `fields.FIELDS`."""

from __future__ import annotations

from typing import get_args

from planner.errors import InputError
from planner.inputs.field import Field
from planner.inputs.scenario import Scenario
from planner.words import Loss

FIELDS: tuple[Field, ...] = (
    Field(
        key="survive",
        path="fleet.survive",
        label="survive",
        unit="",
        kind="choice",
        group="Fleet",
        choices=get_args(Loss),
        spellings={
            **{"host": "node", "domain": "rack", "1_host": "node", "1_domain": "rack"},
            **{f"1_{loss}": loss for loss in get_args(Loss) if loss != "none"},
        },
        help="Limits and demand hold with the worst loss of one gpu, instance, node or rack; without a rate, "
        "throughput counts after it.",
    ),
)


def check(scenario: Scenario) -> None:
    """Raises InputError where a fleet without end is to survive a loss."""
    asked, traffic = scenario.fleet, scenario.traffic
    if (
        asked.survive != "none"
        and asked.gpus is None
        and traffic.requests_per_s is None
        and not traffic.trace
    ):
        raise InputError(
            "survive", asked.survive, "none, or GPUs or a rate beside it: an endless fleet loses nothing"
        )
