"""Errors on measured kernels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.evidence.figures import percent
from planner.evidence.page.tables import table
from planner.evidence.validate_kernels import by_operator

DATA_CENTRE = ("a100", "b200", "b300", "gb200", "gb300", "h100", "h200")
POOR = 0.2  # mean error beyond which a group is listed


def errors(operators: Mapping[str, Any]) -> list[str]:
    """The errors on measured kernels, by operator. `operators` is the report of `validate_kernels`."""

    def rows(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
        return [
            (
                line["operator"],
                f"{line['n']:,}",
                percent(line["mape"]),
                percent(line["median_ape"]),
                percent(line["left_out_mape"]),
            )
            for line in lines
        ]

    lines = operators["operators"]
    head = ("operator", "kernels", "mean", "median of groups", "mean, left out")
    systems = sorted({line["system"] for line in lines} - set(DATA_CENTRE))
    out = [
        "## Kernels",
        "",
        f"{operators['covered']:,} of {operators['rows']:,} measured kernels are predicted. "
        "`mean` and `median` are in sample; `left out` is the error "
        "that calibration found on a fifth of the points at a time, fitted without them. The rows named "
        "`mla_*_block` and `dsa_*` time whole attention blocks: GEMMs and attention fitted elsewhere add up "
        "to them.",
        "",
        f"Data-centre GPUs ({', '.join(DATA_CENTRE)}):",
        "",
        *table(head, rows(by_operator(lines, DATA_CENTRE))),
        "",
    ]
    if systems:
        out += [
            f"Others ({', '.join(systems)}; many of their kernels were measured with a warm cache, which no "
            "model of memory bandwidth meets; the collectives of l40s are another host's, see its table):",
            "",
            *table(head, rows(by_operator(lines, systems))),
            "",
        ]
    poor = sorted(
        (x for x in lines if x["system"] in DATA_CENTRE and x["mape"] > POOR), key=lambda x: -x["mape"]
    )
    if poor:
        out += [
            "Data-centre groups with a mean error above 20 %. Kernels that take the same time whatever their "
            "size (TensorRT-LLM's causal convolution) measured something else and were not fitted.",
            "",
            *table(
                ("operator", "system", "engine", "format", "kernels", "mean", "median", "constants"),
                [
                    (
                        *(x[key] for key in ("operator", "system", "engine", "dtype")),
                        f"{x['n']:,}",
                        percent(x["mape"]),
                        percent(x["median_ape"]),
                        x["constants"],
                    )
                    for x in poor
                ],
            ),
            "",
        ]
    if operators["missing"]:
        out += [f"- not predicted: {x['file']}, {x['n']:,} rows: {x['why']}" for x in operators["missing"]]
        out.append("")
    return out
