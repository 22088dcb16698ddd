"""The reports of `validate_runs` and `validate_kernels` as aligned tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.evidence.figures import percent
from planner.evidence.outliers import FACTOR
from planner.evidence.validate_kernels import by_operator
from planner.evidence.validate_runs import GROUP, WORST
from planner.output.columns import aligned
from planner.units import format_seconds

FIGURES = (
    ("tpot", "TPOT"),
    ("ttft", "TTFT"),
    ("ttft_p90", "TTFT, P90"),
    ("ttft_p99", "TTFT, P99"),
    ("e2e", "whole request"),
    ("output_tokens_per_s", "output tokens/s"),
)


def runs_text(result: Mapping[str, Any], *, worst: bool = True) -> str:
    """A report as aligned tables: the whole, the groups, the `worst` rows, what is missing."""
    paragraphs = [
        f"{result['covered']:,} of {result['rows']:,} rows predicted in {format_seconds(result['seconds'])}",
        table(
            [
                ("", "rows", "mean error", "median", "bias"),
                *(
                    (
                        label,
                        f"{result[name]['n']:,}",
                        *(percent(result[name][k]) for k in ("mape", "median_ape")),
                        percent(result[name]["bias"], sign=True),
                    )
                    for name, label in FIGURES
                    if name in ("tpot", "ttft") or result[name]["n"]
                ),
            ],
            "lrrrr",
        ),
        "By model, system and engine (mean, median)\n"
        + table(
            [
                (*GROUP, "rows", "TPOT", "", "TTFT", ""),
                *(
                    (
                        *(group[name] for name in GROUP),
                        f"{group['n']:,}",
                        *(
                            percent(group[k])
                            for k in ("tpot_mape", "tpot_median_ape", "ttft_mape", "ttft_median_ape")
                        ),
                    )
                    for group in result["groups"]
                ),
            ],
            "lllrrrrr",
        ),
        *(
            f"Farthest off: {label}\n" + table(_worst_rows(result[key]), "lllllrrrr")
            for key, label in (("worst", "TPOT"), ("worst_ttft", "TTFT"))
            if worst and result[key]
        ),
    ]
    if result["missing"]:
        shown = [f"  {item['id']}: {item['why']}" for item in result["missing"][:WORST]]
        more = len(result["missing"]) - len(shown)
        paragraphs.append("\n".join(["Not predicted", *shown, *([f"  and {more:,} more"] if more else [])]))
    if result["odd"]:
        paragraphs.append(
            f"{len(result['odd'])} rows have a TTFT of {FACTOR:g} times their neighbours' or more "
            f"(--json names them): builds that were not ready, or disturbed runs."
        )
    return "\n\n".join(paragraphs) + "\n"


def _worst_rows(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The cells of a table of the worst rows, with a head."""
    return [
        ("id", *GROUP, "mode", "ISL/OSL", "requests", "predicted", "measured"),
        *(
            (
                str(row["id"]),
                *(str(row[name]) for name in GROUP),
                str(row["mode"]),
                f"{row['isl']}/{row['osl']}",
                f"{row['concurrency']:g}",
                format_seconds(row["predicted"]),
                format_seconds(row["measured"]),
            )
            for row in rows
        ),
    ]


def kernels_text(result: Mapping[str, Any]) -> str:
    """A report as aligned tables: by operator, every line, what is missing."""
    head = ("operator", "system", "engine", "format", "rows", "mean error", "median", "left out", "constants")
    summed = [
        (
            line["operator"],
            f"{line['n']:,}",
            *(percent(line[key]) for key in ("mape", "median_ape", "left_out_mape")),
        )
        for line in by_operator(result["operators"])
    ]
    lines = [
        (
            *(line[key] for key in ("operator", "system", "engine", "dtype")),
            f"{line['n']:,}",
            *(percent(line[key]) for key in ("mape", "median_ape", "left_out_mape")),
            line["constants"],
        )
        for line in result["operators"]
    ]
    paragraphs = [
        f"{result['covered']:,} of {result['rows']:,} kernels predicted in "
        f"{format_seconds(result['seconds'])}",
        table([("operator", "rows", "mean error", "median", "left out"), *summed], "lrrrr"),
        table([head, *lines], "llllrrrrl"),
        '"left out" is the error that calibration found on points left out of the fit; the others may be of\n'
        "the very points that were fitted.",
    ]
    if result["missing"]:
        lost = [f"  {item['file']}: {item['n']:,} rows, {item['why']}" for item in result["missing"]]
        paragraphs.append("\n".join(["Not predicted", *lost]))
    return "\n\n".join(paragraphs) + "\n"


def table(rows: Sequence[Sequence[str]], align: str) -> str:
    """Rows as aligned lines, indented by two; `align` holds l or r for each column."""
    return "\n".join(aligned(rows, align, "  "))


def plans_text(result: Mapping[str, Any]) -> str:
    """Plans against tuned deployments: the counts, and every row with both of its plans."""
    whole = result["plans"]
    lines = [
        f"Plans for {whole['n']:,} tuned splits in {format_seconds(result['seconds'])}",
        f"Expected over measured tokens/s per GPU: {times(whole['median_ratio'])} in the median, "
        f"{times(whole['within_measured_ratio'])} within measured layouts",
        f"80 % band of the plan: holds what was measured {whole['inside_band']} times, "
        f"above it {whole['above_band']}, below it {whole['below_band']}",
    ]
    rows = [
        (
            str(row["id"]),
            *(str(row[name]) for name in GROUP),
            f"{row['isl']}/{row['osl']}",
            f"{row['gpus']}",
            times(row["ratio"]),
            row["band"] or "-",
            layouts(row["plan"]),
            times(row["within_measured_ratio"]),
            layouts(row["within_measured"]),
        )
        for row in result["rows"]
    ]
    head = ("id", *GROUP, "ISL/OSL", "GPUs", "plan", "band", "its layouts", "within", "its layouts")
    return "\n\n".join(["\n".join(lines), *([table([head, *rows], "lllllrrllrl")] if rows else [])]) + "\n"


def replay_text(result: Mapping[str, Any]) -> str:
    """Errors of replayed runs beside those of the closed forms."""
    head = f"{result['covered']:,} of {result['rows']:,} runs, {result['requests']:,} requests replayed"
    rows = [("runs", "figure", "n", "closed: median", "mean", "bias", "replay: median", "mean", "bias")]
    for way in ("all", "colocated", "disaggregated"):
        for name, both in result.get(way, {}).items():
            cells = [
                percent(both[how][figure], sign=figure == "bias")
                for how in ("closed", "replay")
                for figure in ("median_ape", "mape", "bias")
            ]
            rows.append((way, name, f"{both['closed']['n']:,}", *cells))
    return f"{head} in {format_seconds(result['seconds'])}\n\n{table(rows, 'llrrrrrrr')}\n"


def times(ratio: float | None) -> str:
    """A plan over what was measured; "-" where nothing was planned.

    >>> times(1.234), times(None)
    ('1.23x', '-')
    """
    return "-" if ratio is None else f"{ratio:.2f}x"


def layouts(plan: Mapping[str, Any] | None) -> str:
    """`2 TP4 + 1 DEP16`: instances of prefill and of decode; "-" without a plan."""
    if plan is None:
        return "-"
    return " + ".join(
        f"{plan[phase]['instances']} {plan[phase]['layout']}" for phase in ("prefill", "decode")
    )
