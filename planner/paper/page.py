"""The page `docs/paper.md`: what was compared, every claim, every figure, and what was changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from planner.output.columns import markdown
from planner.paper.claims.claim import Part, Verdict, load
from planner.paper.figures.drawing import BAND, Figure, Series
from planner.paper.report import PAYS, pays_cells, pays_summary, settings_summary, summary
from planner.paper.reproduction import Reproduction
from planner.paper.settings import SETTINGS
from planner.planning.bands import Range
from planner.units import three_digits
from planner.words import Outcome

SOURCE = "Beyond the Buzz: A Pragmatic Take on Inference Disaggregation (arXiv 2506.05508)"


def to_markdown(done: Reproduction, pictures: Mapping[str, str]) -> str:
    """The page `docs/paper.md`. `pictures` holds the Markdown that shows each figure, by id."""
    head = _INTRODUCTION.format(source=SOURCE, summary=summary(done), settings=settings_summary(done))
    blocks = [head, "## What is compared", _METHOD, "## The claims", _overview(done)]
    blocks += [_detail(verdict) for verdict in done.verdicts]
    blocks += ["## The figures", _READING]
    for figure in done.figures:
        name = f"Figure {figure.id}" if figure.id.isdigit() else "Beyond the study"
        blocks.append(f"### {name}: {figure.title}")
        blocks.append(pictures.get(figure.id, ""))
        if figure.notes:
            blocks.append("\n".join(f"- {note}" for note in figure.notes))
        blocks.append(_absolute(figure))
        if figure.scenarios:
            blocks.append("Open it: " + ", ".join(f"`ratematch {name}`" for name in figure.scenarios) + ".")
    if done.pays:
        table = "\n".join(markdown([PAYS, *(pays_cells(row) for row in done.pays)]))
        blocks += ["## Where a split pays", pays_summary(done.pays), _WHERE, table]
    blocks += ["## What differs from the study", _DIFFERENCES, "## Changed after the first look", _changes()]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _overview(done: Reproduction) -> str:
    rows = [("claim", "figure", "kind", "finding", *(s.title for s in SETTINGS))]
    rows += [
        (
            f"[{v.claim.id}](#claim-{v.claim.id})" + (" *" if v.claim.changed else ""),
            v.claim.figure or "text",
            v.claim.kind,
            v.claim.text,
            *(_mark(v.of(s.name)) for s in SETTINGS),
        )
        for v in done.verdicts
    ]
    note = "\\* The check was changed after the first look, see the end of the page."
    return "\n".join([*markdown(rows), "", note])


def _mark(outcome: Outcome) -> str:
    return outcome if outcome == "pass" else f"**{outcome}**"


def _detail(verdict: Verdict) -> str:
    claim = verdict.claim
    facts = [f"- Expected: {claim.expected}.", f"- Tolerance: {claim.tolerance}."]
    if claim.changed:
        facts.append(f"- Changed after the first look: {claim.changed}")
    verdicts = ", ".join(f"{_mark(verdict.of(s.name))} ({s.title})" for s in SETTINGS)
    facts.append(f"- Verdict: {verdicts}.")
    if verdict.verdict != "pass" and claim.differs:
        facts.append(f"- Why: {claim.differs}")
    rows: list[tuple[str, ...]] = [("condition", *(s.title for s in SETTINGS))]
    by_name = {s.name: {part.name: part for part in verdict.parts[s.name]} for s in SETTINGS}
    for name in dict.fromkeys(name for parts in by_name.values() for name in parts):
        cells = (by_name[s.name].get(name) for s in SETTINGS)
        rows.append((f"{name[:1].upper()}{name[1:]}", *map(_cell, cells)))
    return "\n".join([f"### Claim {claim.id}", "", claim.text, "", *facts, "", *markdown(rows)])


def _cell(part: Part | None) -> str:
    if part is None:
        return ""
    if not part.decides:
        return part.got
    marks = {True: "holds", False: "**does not hold**", None: "not decided"}
    return f"{part.got} ({marks[None if part.holds is None else bool(part.holds)]})"


def _absolute(figure: Figure) -> str:
    """Ends of each line in absolute numbers, with what 80 % of measurements keep to."""
    rows: list[tuple[str, ...]] = [("panel", "line", "from", "to")]
    for panel in figure.panels:
        for series in panel.series:
            if series.dots or not len(series.x):
                continue
            rows.append((panel.title, series.name, _end(series, 0), _end(series, -1)))
    units = "; ".join(dict.fromkeys(f"{p.y_label} at {p.x_label}" for p in figure.panels))
    return "\n".join([f"Absolute, {units}:", "", *markdown(rows)]) if len(rows) > 1 else ""


def _end(series: Series, at: int) -> str:
    """One point: "198 (158 to 245) at 95 (76 to 118)"."""

    def value(number: float, band: Range | None) -> str:
        text = three_digits(number)
        if band is None:
            return text
        return f"{text} ({three_digits(number * band[0])} to {three_digits(number * band[1])})"

    y, x = value(float(series.y[at]), series.y_band), value(float(series.x[at]), series.x_band)
    return f"{y} at {x}"


def _changes() -> str:
    """What was changed once a result had been seen: settings first, then checks."""
    checks = [f"- **Claim {c.id}.** {c.changed}" for c in load() if c.changed]
    return "\n".join([_CHANGED, *checks])


_INTRODUCTION = """# The study, reproduced in the open

{source} was made with a closed simulator and printed in normalised form. This page is written by

    ratematch paper --out docs

It draws the study's figures from ratematch's own simulator with absolute numbers and error bands, checks
its findings, and adds what its readers asked for: fixed against dynamic matching, small fleets, other
systems and models.

{summary}

{settings}

Checks and tolerances were written before the first result was seen, but for the changes listed at the
[end of the page](#changed-after-the-first-look); a fail stays visible. The simulator is fitted to measured
kernels and judged on measured serving, not on these figures."""

_METHOD = """Every claim is checked four times, on the same layouts, batches and limits.

- **The study's setting** gives the verdict. The study describes a simulator of hardware: "the model
  architecture, traffic pattern, and GPU configuration" go in (section 3.1), and its later version speaks of
  memory, compute units, network, kernels and datapath latencies, validated on silicon. So: our measured
  kernels with their latencies, one after the other, and none of what a serving engine adds. FP4 weights and
  an FP4 cache (see below); no host time; experts loaded evenly (the study does not cover their imbalance);
  no time for the KV transfer, which "is transferred ... immediately as it becomes available" (section 3.2);
  the throughput of a prefill instance is batch over FTL and GPUs, as its Algorithm 1 counts, which charges
  the filling of a pipeline to every batch; its prefill pool keeps up-projected latents, since it charges
  them to piggybacking alone (section 4.1); the co-located frontier is the envelope of in-flight batching and
  of piggybacking with the same mix in every pass.
- **As served today** is what ratematch plans with: the engine fitted to measured serving (TensorRT-LLM),
  uneven experts, the part of a transfer that links cannot hide, full pipelines, and the planner's own
  piggybacking beside the other two ways. Absolute numbers and their error bands belong here.
- **On perfect kernels** the study's setting runs with every operator at its data-sheet peak and without
  floors and latencies. A finding that fails there too does not follow from the operators; one that holds
  there and fails before is undone by the kernels.
- **With an FP8 cache** the study's setting runs with eight bits for keys and values, as FP4 deployments of
  these models do.

The study says "FP4 precision" and no more of its cache, but its figures tell. Figure 5 runs 64 prompts of
256k in 91.5 s on 64 GPUs: 2.09 PFLOP/s each. At that rate a GPU takes 18,300 tokens/s of 16k prompts, and
figure 12's egress there, 0.37 GB/s, is 0.58 bytes for each of the 61 x 576 elements of a token: four bits
and their scales. At eight bits, 16k prompts, most of whose FLOPs are FP4 products, would run at half the
rate of 256k ones.

This was settled from the text of the study before the first column was computed, but for what the
[end of the page](#changed-after-the-first-look) names. How the verdicts move with what the study leaves
open is on [a page of its own](paper-assumptions.md), by `ratematch paper --assumptions --out docs`."""

_READING = f"""GB200 NVL72, FP4 weights, KV cache in FP4 (as served: FP8), FTL within 10 s, a fleet as large
as the best ratio needs, unless a figure says otherwise. Figures of the study are drawn in its setting, and
again as served today; the figures beyond it as served. The folder `paper` holds the values of each figure
as CSV: absolute, normalised (1 is the fastest user and the highest throughput of a panel, or the end of the
axis), the band, and what is deployed at each point.

The {BAND} holds that share of what was measured (`ratematch validate`), each run predicted without its own
model and GPU in the fit. It stands beside throughput, interactivity and FTL as served. Shares, ctx:gen
ratios and bandwidths have none: what two predictions have in common cancels in a ratio. FTL was measured
under load, with a queue that a plan does not have, so its band is wide and reaches far up.

Parts of the axis, as shares of its end (where decode batches reach single digits): loose 0.05 to 0.25,
medium 0.25 to 0.75, tight 0.75 to 1. Gains are geometric means over a part."""

_WHERE = f"""Output tokens/s per GPU of a split over those of the best co-located serving, as served today, as
geometric means over the parts of the axis; "pays at" lists the parts with at least 5 %. {BAND}: of the
gain at medium latency, the errors of both ways taken as independent, which widens it. tok/s/GPU: the split
at its loose end. ratio: prefill GPUs per decode GPU at the loose and the tight end. H200 runs FP8, or the
published checkpoint where that is 4-bit; the others run FP4."""

_DIFFERENCES = """- **Kernels.** Ours are fitted to measurements, with floors and latencies that grow with the
  group; how far the study's simulator idealises is not said. Tight TTLs differ most.
- **KV format.** No kernel with an FP4 cache was measured: ours reads half the bytes of the FP8 one and
  multiplies as fast.
- **Chunked pipelines.** Real engines lose 18 to 30 % of ideal throughput, the study 0 to 3 %.
- **The axis.** The study normalises without saying by what; ours ends where batches reach single digits.
  Its figure 10 ends where 3.5 keeps 0.05 of the peak, which by the closed form is a best ratio of 0.16, and
  figure 9 at 0.06: neither runs down to a batch of one.
- **Traffic.** Figure 11 has none stated, figures 13 and 14 no public trace.
- **Load.** Neither the study nor this page has queues; `ratematch validate` measures whole deployments
  under load."""

_CHANGED = """- **The cache.** FP8 in the study's setting until its figures were set against each other
  (above); FP4 had been a column without a verdict. 9 claims passed before, and claims 15 and 18 pass since.
- **Columns.** The first published run judged serving as it is today (8 of 23). The study's setting was
  added later, with the reasons above written before it was computed, and took the verdict. After its first
  run two more of its parts were brought to the text: latents kept in the prefill pool, and no piggybacking
  but the study's in its co-located envelope; no verdict changed with them. Perfect kernels had uneven
  experts, transfer times and full pipelines before and now share the study's other assumptions."""
