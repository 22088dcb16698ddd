"""The page docs/accuracy.md: measured errors, cross-validation, what is covered, how to reproduce."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from planner.evidence import validate_kernels as kernels
from planner.evidence.runs import Row
from planner.evidence.validate_runs import Predictions, by, odd, percent, ratios, spread, summarise, worst
from planner.output.columns import markdown
from planner.planning import bands
from planner.units import format_seconds

DATA_CENTRE = ("a100", "b200", "gb200", "h100", "h200")
MISSED = 2.0  # a row out of line with its neighbours that is also this many times off
FEW = 8  # groups of fewer runs are not listed by one property
KNOWN_BANDS = "presets/accuracy.toml"


def write(
    found: Predictions,
    operators: Mapping[str, Any] | None,
    file: str,
    table: Mapping[str, Any] | None = None,
    today: date | None = None,
) -> str:
    """The page as Markdown.

    Parameters
    ----------
    found
        Predictions of the measured runs of `file`.
    operators
        Report of the measured kernels, if there are any.
    table
        Left-out errors and bands; those of the catalog by default.
    """
    known = bands.load() if table is None else table
    result = summarise(found)
    out = [
        "# How accurate ratematch is",
        "",
        f"Written by `ratematch validate` on {(today or date.today()).isoformat()}; not edited by hand. "
        "An error is predicted over measured, minus one; `mean` is the mean of its size, `median` the "
        "median, `bias` its mean with its sign. The measurements are public runs and kernel tables (NOTICE).",
        "",
        "## End to end: measured runs",
        "",
        f"{result['covered']:,} of {result['rows']:,} runs in `{file}` are predicted, in "
        f"{format_seconds(result['seconds'])}: TTFT and TPOT of a closed loop at a fixed number of requests "
        "in flight, co-located and disaggregated, without speculative decoding. These figures are **in "
        "sample**: the host and scheduling constants of the engines (a dozen for each profile) were fitted "
        "to these runs. The next section has figures on runs left out.",
        "",
        *_table(
            ("", "runs", "mean", "median", "bias"),
            [_figures(label, result[name]) for name, label in (("tpot", "TPOT"), ("ttft", "TTFT"))],
        ),
        "",
        *_missing(result),
        *_left_out(known),
        *_bands(known),
        "## By group",
        "",
        *_table(
            (
                "model",
                "system",
                "engine",
                "runs",
                "TPOT mean",
                "median",
                "bias",
                "TTFT mean",
                "median",
                "bias",
            ),
            [
                (
                    group["model"],
                    group["system"],
                    group["engine"],
                    f"{group['n']:,}",
                    *(
                        percent(group[f"{name}_{key}"], sign=key == "bias")
                        for name in ("tpot", "ttft")
                        for key in ("mape", "median_ape", "bias")
                    ),
                )
                for group in result["groups"]
            ],
        ),
        "",
    ]
    views: tuple[tuple[str, Callable[[Row], str]], ...] = (
        ("mode", lambda row: row.mode),
        ("model", lambda row: row.model),
        ("GPU", lambda row: row.system),
        ("engine", lambda row: row.engine),
        ("expert format", lambda row: row.moe),
        ("ISL/OSL", lambda row: f"{row.isl}/{row.osl}"),
    )
    for name, key in views:
        listed = by(found, key)
        shown = [item for item in listed if item["n"] >= FEW]
        rest = len(listed) - len(shown)
        out += [f"### By {name}", "", *_by(name, shown), ""]
        out += [f"And {rest} with fewer than {FEW} runs each.", ""] if rest else []
    out += _worst(found)
    out += _odd(found)
    if operators is not None:
        out += _kernels(operators)
    out += _limits(found, known)
    out += _reproduce(file, operators is not None)
    return "\n".join(out).rstrip() + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table: first column to the left, the rest to the right where they hold figures."""
    body = [list(row) for row in rows]
    align = ""
    for i in range(len(head)):
        figures = all(row[i][:1].isdigit() or row[i][:1] in "+-" for row in body if row[i])
        align += "r" if figures and i else "l"
    return markdown([head, *body], align)


def _figures(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{figures['n']:,}",
        percent(figures["mape"]),
        percent(figures["median_ape"]),
        percent(figures["bias"], sign=True),
    )


def _by(name: str, listed: Iterable[Mapping[str, Any]]) -> list[str]:
    head = (name, "runs", "TPOT mean", "median", "bias", "TTFT mean", "median", "bias")
    return _table(
        head,
        [
            (item["name"], f"{item['n']:,}", *_figures("", item["tpot"])[2:], *_figures("", item["ttft"])[2:])
            for item in listed
        ],
    )


def _missing(result: Mapping[str, Any]) -> list[str]:
    if not result["missing"]:
        return []
    return ["Not predicted:", "", *(f"- {item['id']}: {item['why']}" for item in result["missing"]), ""]


def _left_out(known: Mapping[str, Any]) -> list[str]:
    if not known:
        return []
    heads = ("runs", "TPOT mean", "median", "bias", "TTFT mean", "median", "bias")
    whole = [_left_out_row(entry["label"], entry) for entry in known["left_out"].values()]
    out = [
        "## Left out of the fit",
        "",
        'Each run predicted by engine constants fitted without its whole group. "GPU and its kernels" also '
        "takes the GPU's measured kernels away, so that its operators run on a relative's constants: the "
        "case of a GPU that nobody measured. An engine left out runs on what the rows of all others together "
        f"give. From `{KNOWN_BANDS}`, written by `ratematch calibrate --engines FILE --bands`.",
        "",
        *_table(("left out", *heads), whole),
        "",
    ]
    for entry in known["left_out"].values():
        if "groups" in entry:
            rows = [_left_out_row(name, figures) for name, figures in entry["groups"].items()]
            title = f"{entry['label']} left out"
            out += [f"### {title[0].upper()}{title[1:]}", "", *_table(("", *heads), rows), ""]
    return out


def _left_out_row(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{entry['tpot_n']:,}",
        *(
            percent(entry[f"{metric}_{key}"], sign=key == "bias")
            for metric in ("tpot", "ttft")
            for key in ("mape", "median_ape", "bias")
        ),
    )


def _bands(known: Mapping[str, Any]) -> list[str]:
    if not known:
        return []
    names = {
        "both": "model and GPU in the runs (the pair left out)",
        "one": "model or GPU not in the runs",
        "neither": "neither in the runs",
    }
    rows = []
    for mode, levels in known["bands"].items():
        for level, entry in levels.items():
            spans = [f"{1 / entry[key][1]:.2f} to {1 / entry[key][0]:.2f}" for key in ("ttft", "tpot")]
            throughput = f"{entry['tpot'][0]:.2f} to {entry['tpot'][1]:.2f}"
            rows.append((mode, names[level], f"{entry['rows']:,}", *spans, throughput))
    return [
        "## Error bands of a plan",
        "",
        "80 % of the left-out runs lie between these factors on the prediction. A plan shows its own. A band "
        "is never narrower than the one above it: knowing less cannot make surer. A plan's FTL has no queue "
        "before it; the runs' TTFT has, so that band is rather too wide.",
        "",
        *_table(("way of serving", "what was measured", "runs", "FTL", "TTL", "throughput"), rows),
        "",
    ]


def _worst(found: Predictions) -> list[str]:
    out = ["## Farthest off", ""]
    for name, label in (("tpot", "TPOT"), ("ttft", "TTFT")):
        head = (
            label,
            "model",
            "system",
            "engine",
            "mode",
            "ISL/OSL",
            "requests",
            "predicted",
            "measured",
        )
        rows = [
            (
                row["id"],
                row["model"],
                row["system"],
                row["engine"],
                row["mode"],
                f"{row['isl']}/{row['osl']}",
                f"{row['concurrency']:g}",
                format_seconds(row["predicted"]),
                format_seconds(row["measured"]),
            )
            for row in worst(found, name)
        ]
        out += [*_table(head, rows), ""]
    return out


def _odd(found: Predictions) -> list[str]:
    """Runs that no model of a healthy engine meets: named, and what the error is without them."""
    strange = odd(found.rows)
    ratio = ratios(found, "ttft")
    missed = strange & (np.abs(np.log(np.where(ratio > 0, ratio, 1.0))) > math.log(MISSED))
    rest = {name: spread(ratios(found, name)[~missed]) for name in ("tpot", "ttft")}
    groups: dict[tuple[str, ...], list[int]] = {}
    for i in np.flatnonzero(missed):
        row = found.rows[i]
        key = (row.model, row.system, row.engine, row.version or "not stated", row.moe)
        groups.setdefault(key, []).append(int(i))
    rows: list[tuple[str, ...]] = []
    for build, members in sorted(groups.items()):
        measured = [found.rows[i].ttft_s for i in members]
        predicted = [float(found.ttft_s[i]) for i in members]
        rows.append(
            (
                *build,
                ", ".join(found.rows[i].id for i in members),
                _span(measured),
                _span(predicted),
            )
        )
    if not rows:
        return []
    return [
        "## Runs of builds that were not ready",
        "",
        "These runs took at least four times as long to the first token as their neighbours: the same model, "
        "GPU, engine and lengths at about the same concurrency and number of GPUs. Predictions are at least "
        "two times off. They stay in every figure of this page; no constant was made to meet them. Without "
        f"them TTFT is {percent(rest['ttft']['mape'])} mean and {percent(rest['ttft']['median_ape'])} "
        f"median, TPOT {percent(rest['tpot']['mape'])} and {percent(rest['tpot']['median_ape'])}.",
        "",
        *_table(("model", "system", "engine", "build", "experts", "runs", "TTFT", "predicted"), rows),
        "",
    ]


def _span(seconds: Sequence[float]) -> str:
    """The least and the most.

    >>> _span([0.5, 2.0]), _span([1.5])
    ('500 ms to 2 s', '1.5 s')
    """
    ends = dict.fromkeys(format_seconds(value) for value in (min(seconds), max(seconds)))
    return " to ".join(ends)


def _kernels(operators: Mapping[str, Any]) -> list[str]:
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
        f"{operators['covered']:,} of {operators['rows']:,} measured kernels are predicted, in "
        f"{format_seconds(operators['seconds'])}. `mean` and `median` are in sample; `left out` is the error "
        "that calibration found on a fifth of the points at a time, fitted without them. The rows named "
        "`mla_*_block` and `dsa_*` time whole attention blocks: GEMMs and attention fitted elsewhere add up "
        "to them.",
        "",
        f"Data-centre GPUs ({', '.join(DATA_CENTRE)}):",
        "",
        *_table(head, rows(kernels.by_operator(lines, DATA_CENTRE))),
        "",
    ]
    if systems:
        out += [
            f"Others ({', '.join(systems)}; many of their kernels were measured with a warm cache, which no "
            "model of memory bandwidth meets):",
            "",
            *_table(head, rows(kernels.by_operator(lines, systems))),
            "",
        ]
    poor = sorted(
        (x for x in lines if x["system"] in DATA_CENTRE and x["mape"] > 0.2), key=lambda x: -x["mape"]
    )
    if poor:
        out += [
            "Data-centre groups with a mean error above 20 %. Kernels that take the same time whatever their "
            "size (TensorRT-LLM's causal convolution) measured something else and were not fitted.",
            "",
            *_table(
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


def _limits(found: Predictions, known: Mapping[str, Any]) -> list[str]:
    def names(key: str) -> str:
        return ", ".join(sorted({str(getattr(row, key)) for row in found.rows}))

    modes = {mode: sum(row.mode == mode for row in found.rows) for mode in ("colocated", "disaggregated")}
    models = sorted({row.model for row in found.rows if not row.colocated})
    return [
        "## What is covered and what is not",
        "",
        f"- Runs: {modes['colocated']:,} co-located and {modes['disaggregated']:,} disaggregated. The "
        f"disaggregated ones are of {', '.join(models) or 'no model'} only.",
        f"- Models: {names('model')}. GPUs: {names('system')}. Engines: {names('engine')}. Everything else "
        "in `ratematch presets` is predicted by the same physics, unmeasured end to end; plans say so by "
        "their band.",
        "- No run used speculative decoding, prefix caching, pipeline parallelism in prefill (chunked "
        "pipelines) or contexts beyond 10,000 tokens. Those rest on the operators and on "
        "the published figures in tests/planner/test_known_deployments.py.",
        "- No run across scale-out networks of MI300X, MI325X, MI355X or H20; their kernels are inherited or "
        "taken from published figures (presets/kernels).",
        "- Tails: every figure is a mean or median latency of a run, never a percentile.",
        "",
    ]


def _reproduce(file: str, with_kernels: bool) -> list[str]:
    folder = " --kernels DIR" if with_kernels else ""
    return [
        "## Reproduce",
        "",
        f"The measurements: aiconfigurator 0.12.0, its silicon sample (`{file}`, cleaned) and the "
        "performance tables of aiconfigurator_core (`DIR`), Apache-2.0; see NOTICE. "
        "`ratematch validate --help` lists the columns.",
        "",
        "```",
        f"ratematch validate {file} --plot",
        *(["ratematch validate --kernels DIR"] if with_kernels else []),
        "ratematch calibrate DIR --out presets",
        f"ratematch calibrate --engines {file} --out presets",
        f"ratematch calibrate --engines {file} --bands --out presets",
        f"ratematch validate {file}{folder} --write docs/accuracy.md",
        "```",
        "",
        "Or one row: `ratematch validate` on a file with that row alone.",
    ]
