"""The page docs/accuracy-load.md: first tokens at stated request rates."""

from __future__ import annotations

import numpy as np

from planner.evidence.validate_loads import FIGURES, Judged, summarise

NAMES = {
    "ttft": "TTFT, mean",
    "ttft_p50": "TTFT, P50",
    "ttft_p90": "TTFT, P90",
    "ttft_p99": "TTFT, P99",
    "tpot": "TPOT, mean",
}
SIDES = {"below_saturation": "Below saturation", "saturated": "Saturated"}
WHY = {
    "gptoss-pa": (
        "the mean of 40 req/s is above its P90, a few requests stalled; from 43 on both routings bring "
        "the same 14,500 tokens/s, though one computes a thirteenth of the prompts' tokens: what bounds them "
        "is neither prefill nor its cache, and no part of the model"
    ),
    "gptoss-rr": (
        "between 30 and 40 req/s the fleet saturates: the queue of a stage depends on how long the stage "
        "lasts, which the source does not say (30 s here)"
    ),
    "sim2real": (
        "a P99 of ten times the median at the lowest rate of an experiment and not at the next: its first "
        "requests, which the engine was not warm for"
    ),
    "servingsim": (
        "300 requests in 29 s at 128 places: the queue is that of the decode steps, which are predicted too "
        "fast on this GPU"
    ),
}


def page(found: Judged) -> str:
    """The page as Markdown: the same for the same measurements and presets."""
    result = summarise(found)
    lines = [
        "# How accurate ratematch is under load",
        "",
        "Written by `ratematch validate --loads --write docs/accuracy-load.md`; not edited by hand. Each "
        "load of `presets/measured/loads.csv` is predicted in closed form and replayed request by request; "
        "no constant was fitted to any of them, but how evenly few experts are used was chosen with those of "
        "Mixtral in view. A deployment is saturated from the first rate on at which "
        "P90 is five times that of its lowest.",
    ]
    for side, title in SIDES.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| figure | n | closed form | replay |",
            "| --- | ---: | ---: | ---: |",
        ]
        for figure in FIGURES:
            both = result[side].get(figure)
            if both:
                count = max(one["n"] for one in both.values())
                cells = [_error(both.get(how), count) for how in ("closed", "replay")]
                lines.append(f"| {NAMES[figure]} | {count} | {' | '.join(cells)} |")
    lines += [
        "",
        "The median size of the error; `of n` where only so many have a steady state in closed form.",
    ]
    lines += ["", "## Further off than a factor of two", ""]
    lines += _misses(found) or ["None."]
    if found.missing:
        lines += ["", "## Not predicted", "", *(f"- {one}" for one in found.missing)]
    lines += [
        "",
        "## Each load",
        "",
        "Predicted over measured; - where not measured or without a steady state.",
    ]
    lines += [
        "",
        f"| load | req/s | {' | '.join(f'{NAMES[f]}: ms | closed | replay' for f in FIGURES[:3])} |",
    ]
    lines.append("| --- | ---: |" + " ---: |" * 9)
    for index, load in enumerate(found.loads):
        cells = []
        for figure in FIGURES[:3]:
            measured = found.measured[figure][index]
            cells.append(f"{measured * 1e3:,.0f}" if np.isfinite(measured) else "-")
            cells += [_ratio(values[figure][index] / measured) for values in (found.closed, found.replayed)]
        mark = "" if found.below[index] else " (saturated)"
        lines.append(f"| {load.row.id}{mark} | {load.row.requests_per_s:g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _error(one: dict[str, float] | None, count: int) -> str:
    if one is None:
        return "-"
    of = "" if one["n"] == count else f" of {one['n']}"
    return f"{100 * one['median_ape']:.0f} %{of}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if np.isfinite(ratio) else "-"


def _misses(found: Judged) -> list[str]:
    """By ladder: which loads, and why."""
    groups: dict[str, list[str]] = {}
    for index, load in enumerate(found.loads):
        off = []
        for figure in FIGURES:
            for how, values in (("closed", found.closed), ("replay", found.replayed)):
                ratio = values[figure][index] / found.measured[figure][index]
                if np.isfinite(ratio) and not 0.5 <= ratio <= 2.0:
                    off.append(f"{NAMES[figure]} {how} {ratio:.2f}")
        if off:
            group = load.row.id if load.row.id.count("-") < 2 else load.row.id.rsplit("-", 1)[0]
            group = "sim2real" if group.startswith("sim2real") else group
            group = "servingsim" if group.startswith("servingsim") else group
            groups.setdefault(group, []).append(f"{load.row.id} ({', '.join(off)})")
    lines = []
    for group, members in groups.items():
        why = f": {WHY[group]}." if group in WHY else "."
        lines.append(f"- {'; '.join(members)}{why}")
    return lines
