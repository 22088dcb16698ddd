"""The order of the page docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.evidence import validate_plans
from planner.evidence.page import kernels, left_out, limits, plans, reproduce, runs
from planner.evidence.sanity.checks import findings
from planner.evidence.sanity.remarks import tables_of
from planner.evidence.sanity.report import page as sanity_page
from planner.evidence.shipped import RUNS_NAME
from planner.evidence.validate_runs import Predictions, summarise
from planner.inputs import catalog

IN_SAMPLE = (
    "These figures are **in sample**: the host and scheduling constants of the engines (a dozen for each "
    "profile) were fitted to these runs."
)
OTHER_RUNS = "The host and scheduling constants of the engines may have been fitted to other runs."


def write(
    found: Predictions,
    operators: Mapping[str, Any] | None,
    file: str,
    table: Mapping[str, Any] | None = None,
) -> str:
    """The page as Markdown: the same for the same measurements and presets, whenever and wherever.

    Parameters
    ----------
    found
        Predictions of the measured runs of `file`.
    operators
        Report of the measured kernels, if there are any.
    file
        How the page names the runs; `shipped.RUNS_NAME` for those of presets/measured.
    table
        Left-out errors and bands; those of the catalog by default.
    """
    presets = catalog.load()
    known = presets.accuracy() if table is None else table
    result = summarise(found)
    shipped = file == RUNS_NAME
    command = reproduce.COMMAND if shipped else "ratematch validate"
    source = " The measurements are public runs and kernel tables (NOTICE)." if shipped else ""
    lines = [
        "# How accurate ratematch is",
        "",
        f"Written by `{command}`; not edited by hand. An error is predicted over measured, minus one; `mean` "
        "is the mean of its size, `median` the median, `bias` its mean with its sign." + source,
        "",
        *runs.in_sample(result, file, IN_SAMPLE if shipped else OTHER_RUNS),
        *left_out.errors(known),
        *left_out.bands(known),
        *plans.judged(validate_plans.validate(found.rows, presets)),
        *runs.by_group(result, found),
        *runs.farthest_off(found),
        *runs.immature(found),
        *(kernels.errors(operators) if operators is not None else ()),
        *(sanity_page(findings(tables_of(presets), presets)) if shipped else ()),
        *limits.covered(found, shipped=shipped),
        *reproduce.commands(file, kernels=operators is not None),
    ]
    return "\n".join(lines).rstrip() + "\n"
