"""Plans against tuned deployments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.evidence.page.tables import table
from planner.evidence.text import layouts, times

SHOWN = 12  # rows whose plans promise the most
FEW = 3  # layouts that stand in fewer plans are not listed


def judged(result: Mapping[str, Any]) -> list[str]:
    """The section: how plans fare, which layouts make the rest of the promise, the rows that promise most."""
    whole, rows = result["plans"], [row for row in result["rows"] if row["plan"]]
    if not rows:
        return []
    by_layout: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        for phase in ("prefill", "decode"):
            by_layout[phase, kind(row["plan"][phase]["layout"])].append(row["ratio"])
    kinds = sorted(by_layout.items(), key=lambda item: (item[0][0] != "prefill", -float(np.median(item[1]))))
    most = sorted(rows, key=lambda row: -row["ratio"])[:SHOWN]
    return [
        "## Plans against tuned deployments",
        "",
        "For each measured split near the best of its group (model, GPU, engine, formats, lengths): the best "
        "split that is planned within its GPUs, TTFT and TPOT, over the best that was measured there "
        "(`ratematch validate --plans`). Expected tokens/s per GPU; a limit that the deployment's own "
        "prediction misses is eased to that prediction.",
        "",
        *table(
            (
                "",
                "rows",
                "median",
                "within measured layouts",
                "inside the 80 % band",
                "band above",
                "band below",
            ),
            [
                (
                    "splits",
                    f"{whole['n']:,}",
                    times(whole["median_ratio"]),
                    times(whole["within_measured_ratio"]),
                    *(f"{whole[key]:,}" for key in ("inside_band", "above_band", "below_band")),
                )
            ],
        ),
        "",
        "Which layouts make the promise, by kind. No chunked pipeline (CPP) was measured in a split: a run "
        "of one as prefill of a tuned deployment, prompts queueing, would settle what it is worth.",
        "",
        *table(
            ("phase", "layouts", "plans", "median over measured"),
            [
                (phase, name, f"{len(ratios):,}", times(float(np.median(ratios))))
                for (phase, name), ratios in kinds
                if len(ratios) >= FEW
            ],
        ),
        "",
        "Those that promise the most; a run of the plan's layouts would settle each.",
        "",
        *table(
            ("run", "model", "GPU", "engine", "ISL/OSL", "plan", "over measured", "within measured layouts"),
            [
                (
                    row["id"],
                    *(row[key] for key in ("model", "system", "engine")),
                    f"{row['isl']}/{row['osl']}",
                    layouts(row["plan"]),
                    times(row["ratio"]),
                    times(row["within_measured_ratio"]),
                )
                for row in most
            ],
        ),
        "",
    ]


def kind(label: str) -> str:
    """What a layout is, its widths apart: of decode, wide expert parallelism is a kind of its own.

    >>> kind("CPP4xTP1"), kind("DEP32"), kind("DEP8"), kind("TP8-EP4TP2"), kind("TEP8")
    ('CPP', 'DEP, 32 and wider', 'DEP', 'TP and EP', 'TEP')
    """
    if label.startswith("CPP"):
        return "CPP"
    if label.startswith("PP"):
        return "PP"
    if label.startswith("DEP"):
        return "DEP, 32 and wider" if int(label[3:]) >= 32 else "DEP"
    if label.startswith("TEP"):
        return "TEP"
    if "DP" in label:
        return "attention TP and DP"
    return "TP and EP" if "EP" in label else "TP"
