"""Errors on runs left out of the fit, and the error bands that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.evidence.calibrate.intervals import MIN_ROWS
from planner.evidence.figures import percent
from planner.evidence.page.tables import ERROR_HEADS, both_metrics, table

FILE = "presets/accuracy.toml"


def errors(known: Mapping[str, Any]) -> list[str]:
    """The errors of every way of leaving runs out, and of its groups. `known` is presets/accuracy.toml."""
    if not known:
        return []
    whole = [_row(entry["label"], entry) for entry in known["left_out"].values()]
    out = [
        "## Left out of the fit",
        "",
        'Each run predicted by engine constants fitted without its whole group. "GPU and its kernels" also '
        "takes the GPU's measured kernels away, so that its operators run on a relative's constants: the "
        "case of a GPU that nobody measured. An engine left out runs on what the rows of all others together "
        f"give. From `{FILE}`, written by `ratematch calibrate --engines FILE --bands`.",
        "",
        *table(("left out", *ERROR_HEADS), whole),
        "",
    ]
    for entry in known["left_out"].values():
        if "groups" in entry:
            rows = [_row(name, figures) for name, figures in entry["groups"].items()]
            title = f"{entry['label']} left out"
            out += [f"### {title[0].upper()}{title[1:]}", "", *table(("", *ERROR_HEADS), rows), ""]
    ways = {entry["label"]: entry["ways"] for entry in known["left_out"].values() if "ways" in entry}
    if ways:
        rows = [
            _row(f"{way}; {label} left out", told) for label, of in ways.items() for way, told in of.items()
        ]
        out += ["### By way of serving", "", *table(("", *ERROR_HEADS), rows), ""]
    return out


def _row(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (name, f"{entry['tpot_n']:,}", *both_metrics(entry))


def bands(known: Mapping[str, Any]) -> list[str]:
    """The error bands of a plan. `known` is presets/accuracy.toml."""
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
            rows.append((mode, names[level], "", f"{entry['rows']:,}", *spans, throughput))
            for engine, own in entry.get("engines", {}).items():
                spans = [f"{1 / own[key][1]:.2f} to {1 / own[key][0]:.2f}" for key in ("ttft", "tpot")]
                throughput = f"{own['tpot'][0]:.2f} to {own['tpot'][1]:.2f}"
                rows.append(("", "", engine, "", *spans, throughput))
    return [
        "## Error bands of a plan",
        "",
        "80 % of the left-out runs lie between these factors on the prediction: first of all engines, as for "
        "one that was never measured, then of each. A plan shows its own. A band "
        "is never narrower than the one above it: knowing less cannot make surer. A plan's FTL has no queue "
        "before it; the runs' TTFT has, so that band is rather too wide.",
        "",
        *table(("way of serving", "what was measured", "engine", "runs", "FTL", "TTL", "throughput"), rows),
        "",
        *_coverage(known.get("coverage", {})),
    ]


def _coverage(known: Mapping[str, Any]) -> list[str]:
    """What the bands cover, by engine."""
    rows = []
    for mode, engines in known.items():
        for engine, entry in engines.items():
            shares = [percent(entry[key]) for key in ("ttft", "ttft_shipped", "tpot", "tpot_shipped")]
            rows.append((mode, engine, f"{entry['rows']:,}", *shares))
    if not rows:
        return []
    return [
        "What they cover of the runs of each engine, the pair of model and GPU left out. *Unseen*: each pair "
        "judged by a band found without it, constants and width both. *Shipped*: by the bands above, which "
        f"have seen it. Fewer than {MIN_ROWS} runs tell of the others' band rather than of their own.",
        "",
        *table(
            ("way of serving", "engine", "runs", "TTFT unseen", "shipped", "TPOT unseen", "shipped"), rows
        ),
        "",
    ]
