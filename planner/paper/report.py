"""The reproduction as text, JSON and CSV. Pure: results in, strings out."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from planner.arrays import FloatArray
from planner.output.as_json import dumps
from planner.output.columns import aligned
from planner.paper.claims.claim import Verdict
from planner.paper.figures.drawing import BAND, Figure, Panel, Series
from planner.paper.reproduction import Reproduction
from planner.paper.settings import SETTINGS, STUDY
from planner.paper.where_it_pays import Row
from planner.units import format_tokens, three_digits

_EXTRAS = ("ctx_gen_ratio", "prefill", "layout", "batch", "gpus", "chunk_tokens")
_RANGES = ("x_low", "x_high", "y_low", "y_high")  # 80 % of measurements; empty where not known
_VALUES = ("x_label", "x", "y_label", "y", "x_normalised", "y_normalised")
_CSV = ("figure", "panel", "setting", "series", *_VALUES, *_RANGES, *_EXTRAS)
PAYS = (
    "model",
    "system",
    "weights",
    "ISL/OSL",
    "pays at",
    "loose",
    "medium",
    BAND,
    "tight",
    "tok/s/GPU",
    "ratio",
)

_WHERE_IT_HOLDS = {
    "study": "in the study's setting",
    "served": "as served today",
    "perfect": "on perfect kernels",
    "fp8_cache": "with an FP8 cache",
}


def to_json(done: Reproduction) -> str:
    """Everything, SI units, one object."""
    return dumps(to_dict(done))


def to_dict(done: Reproduction) -> dict[str, Any]:
    """Claims, figures, where a split pays, design points and seconds as plain data."""
    return {
        "claims": [_claim(verdict) for verdict in done.verdicts],
        "figures": {figure.id: _figure(figure) for figure in done.figures},
        "where_it_pays": [_row(row) for row in done.pays],
        "design_points": done.design_points,
        "seconds": done.seconds,
    }


def _claim(verdict: Verdict) -> dict[str, Any]:
    claim = verdict.claim
    return {
        "id": claim.id,
        "text": claim.text,
        "kind": claim.kind,
        "figure": claim.figure,
        "expected": claim.expected,
        "tolerance": claim.tolerance,
        "got": verdict.got(STUDY.name),
        "verdict": verdict.verdict,
        "differs": "" if verdict.verdict == "pass" else claim.differs,
        "changed": claim.changed,
        "settings": {
            s.name: {"title": s.title, "verdict": verdict.of(s.name), "got": verdict.got(s.name)}
            for s in SETTINGS
        },
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "title": figure.title,
        "notes": list(figure.notes),
        "scenarios": list(figure.scenarios),
        "panels": [
            {
                "title": panel.title,
                "setting": panel.setting,
                "x_label": panel.x_label,
                "y_label": panel.y_label,
                "x_one": panel.x_one,
                "y_one": panel.y_one,
                "series": [
                    {
                        "name": series.name,
                        "x": [_number(x) for x in series.x],
                        "y": [_number(y) for y in series.y],
                        **{
                            name: [_number(v) for v in values]
                            for name, values in zip(_RANGES, _ranges(series), strict=True)
                            if values is not None
                        },
                        **{name: [_plain(v) for v in values] for name, values in series.columns.items()},
                    }
                    for series in panel.series
                ],
            }
            for panel in figure.panels
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    names = [*Row.__dataclass_fields__, "pays"]
    return {name: _plain(getattr(row, name)) for name in names}


def _plain(value: object) -> object:
    return _number(value) if isinstance(value, float) else value


def _number(value: float) -> float | None:
    """Six digits are more than the simulator knows; JSON has no infinities."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _ranges(series: Series) -> tuple[FloatArray | None, ...]:
    """Low and high of x and of y, each None where no band is known."""
    found: list[FloatArray | None] = []
    for values, band in ((series.x, series.x_band), (series.y, series.y_band)):
        found += [None, None] if band is None else [values * band[0], values * band[1]]
    return tuple(found)


def to_csv(figure: Figure) -> str:
    """One line per point of every series: absolute, normalised, 80 % band, what is deployed."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    write.writerow(_CSV)
    for panel in figure.panels:
        for series in panel.series:
            write.writerows(_points(figure, panel, series))
    return out.getvalue()


def _points(figure: Figure, panel: Panel, series: Series) -> Iterable[list[object]]:
    ranges = _ranges(series)
    for i, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        extras = [series.columns[name][i] if name in series.columns else "" for name in _EXTRAS]
        shares = (f"{x / panel.x_one:.5g}", f"{y / panel.y_one:.5g}")
        values = (panel.x_label, f"{x:.6g}", panel.y_label, f"{y:.6g}")
        band = ["" if r is None else f"{r[i]:.6g}" for r in ranges]
        written = [f"{e:.5g}" if isinstance(e, float) else e for e in extras]
        yield [figure.id, panel.title, panel.setting, series.name, *values, *shares, *band, *written]


def pays_csv(rows: Sequence[Row]) -> str:
    """Where a split pays, one line per model, system and traffic."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    write.writerow([*Row.__dataclass_fields__, "pays"])
    for row in rows:
        write.writerow([f"{v:.5g}" if isinstance(v, float) else v for v in _row(row).values()])
    return out.getvalue()


def summary(done: Reproduction) -> str:
    """How the claims came out, in one line."""
    counts = ", ".join(f"{done.count(v)} {v}" for v in ("pass", "fail", "open") if done.count(v))
    total = len(done.verdicts)
    judged = f"{total} claim{'s' * (total != 1)}: {counts}. " if total else ""
    return f"{judged}{done.design_points:,} design points in {done.seconds:.1f} s."


def settings_summary(done: Reproduction) -> str:
    """How many claims pass in each setting, and how many of them by a check that was changed."""
    passes = ", ".join(f"{done.count('pass', s.name)} {_WHERE_IT_HOLDS[s.name]}" for s in SETTINGS)
    changed = [v.claim.id for v in done.verdicts if v.claim.changed and v.verdict == "pass"]
    beside = f"; claims {_list(changed)} pass by a check changed after the first look" if changed else ""
    return f"Pass, of {len(done.verdicts)}: {passes}{beside}."


def _list(numbers: Sequence[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last


def claims_text(done: Reproduction, width: int = 80) -> str:
    """Every claim with its verdict and what we get; for those that do not pass, why."""
    blocks = []
    for verdict in done.verdicts:
        claim = verdict.claim
        lines = [f"{claim.id:>2} {verdict.verdict.upper():<4} {claim.text}"]
        lines += [f"expected  {claim.expected}", f"got       {verdict.got(STUDY.name)}"]
        if verdict.verdict != "pass" and claim.differs:
            lines.append(f"why       {claim.differs}")
        if claim.changed:
            lines.append(f"changed   {claim.changed}")
        others = ", ".join(f"{s.title}: {verdict.of(s.name)}" for s in SETTINGS[1:])
        lines.append(f"also      {others}")
        first, rest = lines[0], lines[1:]
        wrapped = [textwrap.fill(first, width, subsequent_indent=" " * 8)]
        wrapped += [
            textwrap.fill(line, width, initial_indent=" " * 8, subsequent_indent=" " * 18) for line in rest
        ]
        blocks.append("\n".join(wrapped))
    return "\n\n".join(blocks)


def pays_text(rows: Sequence[Row]) -> str:
    """Where a split pays, as an aligned table."""
    table = [PAYS, *(pays_cells(row) for row in rows)]
    return "\n".join(aligned(table, "lllllrrrrrr"))


def pays_summary(rows: Sequence[Row]) -> str:
    """The range of gains at medium latency under each traffic, one line each."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(f"{format_tokens(row.isl)}/{format_tokens(row.osl)}", []).append(row)
    lines = []
    for traffic, same in found.items():
        low = min(same, key=lambda row: row.gain_medium)
        high = max(same, key=lambda row: row.gain_medium)
        lines.append(
            f"- {traffic}: from {low.gain_medium:.2f}x ({low.model} on {low.system}) to "
            f"{high.gain_medium:.2f}x ({high.model} on {high.system}) at medium latency."
        )
    known = [row for row in rows if math.isfinite(row.medium_low)]
    if known:
        beyond = sum(row.medium_low > 1 for row in known)
        lines.append(f"- The gain at medium latency is beyond the {BAND} in {beyond} of {len(known)} rows.")
    return "\n".join(lines)


def pays_cells(row: Row) -> tuple[str, ...]:
    """One line of the table of where a split pays, under `PAYS`."""
    return (
        row.model,
        row.system,
        row.weights,
        f"{format_tokens(row.isl)}/{format_tokens(row.osl)}",
        row.pays,
        f"{row.gain_loose:.2f}x",
        f"{row.gain_medium:.2f}x",
        f"{row.medium_low:.2f} to {row.medium_high:.2f}" if math.isfinite(row.medium_low) else "",
        f"{row.gain_tight:.2f}x",
        three_digits(row.most_per_gpu),
        f"{row.ratio_loose:.2g} to {row.ratio_tight:.2g}",
    )
