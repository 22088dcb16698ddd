"""The page docs/accuracy-waits.md: closed forms of waiting against replays of the same deployments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.evidence import validate_waits as waits
from planner.evidence.validate_waits import Waits
from planner.output.spelling import named

COLUMNS = (("ftl", "mean"), ("ftl", "p95"), ("ftl", "p99"), ("ttl", "mean"), ("ttl", "p95"))


def page(found: Sequence[Waits]) -> str:
    """The page as Markdown: the same for the same presets."""
    result = waits.summarise(found)
    sure = [one for one in found if one.sure]
    head = [
        f"{latency.upper()} {figure if figure == 'mean' else figure.upper()}" for latency, figure in COLUMNS
    ]
    deployed = " and ".join(
        f"{of.model} on {of.system}, {'attention DP' if of.lockstep else 'TP alone'}" for of in waits.SUBJECTS
    )
    lines = [
        "# Closed forms of waiting against the replay",
        "",
        "Written by `ratematch validate --waits --write docs/accuracy-waits.md`; not edited by hand. Plans "
        "take waits from closed forms; here the same deployments "
        f"({deployed}) are replayed request by request, with requests of the same "
        "lengths that come independently. An error is closed form over replay, minus one. Constant: "
        f"{waits.ISL:,} in, {waits.OSL} out; lognormal: these means, coefficient of variation "
        f"{waits.SPREAD:g}; traces: their lengths, prompts up to {waits.LONGEST:,} tokens.",
        "",
        "Asked of the first token up to the highest load here: within "
        f"{waits.ASKED['mean']:.0%} in the mean and {waits.ASKED['p99']:.0%} at P99. Closed forms are "
        f"in {sum(one.within for one in found)} of {len(found)} cases. A plan takes its waits from them in "
        f"{len(sure)} of them, {sum(one.within for one in sure)} of which are as near; in all others it has "
        "its own requests replayed (`ratematch plan --settle`, docs/replay.md).",
        "",
        f"| model | way | lengths | as near as asked | taken from closed forms | {' | '.join(head)} |",
        f"| --- | --- | --- | ---: | ---: | {' | '.join('---:' for _ in head)} |",
    ]
    for group in result["groups"]:
        cells = [_range(group[f"{latency}_{figure}"]) for latency, figure in COLUMNS]
        told = f"{group['within']} of {group['cases']}"
        kept = f"{told} | {group['sure']}"
        lines.append(
            f"| {group['model']} | {named(group['way'])} | {group['lengths']} | {kept} "
            f"| {' | '.join(cells)} |"
        )
    lines += [
        "",
        "The lowest, the median and the highest error over instances and loads.",
        "",
        "## Each case",
        "",
        f"| model | way | lengths | instances | load | {' | '.join(head)} | | taken from |",
        f"| --- | --- | --- | ---: | ---: | {' | '.join('---:' for _ in head)} | --- | --- |",
    ]
    for one in found:
        cells = [_share(one.error(latency, figure)) for latency, figure in COLUMNS]
        row = [one.model, named(one.way), one.lengths, str(one.instances), f"{one.load:.0%}", *cells]
        taken = "closed forms" if one.sure else "replay"
        lines.append(f"| {' | '.join(row)} | {'' if one.within else 'farther'} | {taken} |")
    return "\n".join(lines) + "\n"


def _range(of: dict[str, Any]) -> str:
    return " / ".join(_share(of[name]) for name in ("low", "median", "high"))


def _share(value: float) -> str:
    return f"{100 * value:+.0f} %"
