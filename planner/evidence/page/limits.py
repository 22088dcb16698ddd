"""What the measurements cover and what they do not."""

from __future__ import annotations

from planner.evidence.validate_runs import Predictions


def covered(found: Predictions, *, shipped: bool) -> list[str]:
    """The kinds of runs there are; what no run of presets/measured has, where these are the runs."""

    def names(key: str) -> str:
        return ", ".join(sorted({str(getattr(row, key)) for row in found.rows}))

    modes = {mode: sum(row.mode == mode for row in found.rows) for mode in ("colocated", "disaggregated")}
    models = sorted({row.model for row in found.rows if not row.colocated})
    lines = [
        "## What is covered and what is not",
        "",
        f"- Runs: {modes['colocated']:,} co-located and {modes['disaggregated']:,} disaggregated. The "
        f"disaggregated ones are of {', '.join(models) or 'no model'} only.",
        f"- Models: {names('model')}. GPUs: {names('system')}. Engines: {names('engine')}. Everything else "
        "in `ratematch presets` is predicted by the same physics, unmeasured end to end; plans say so by "
        "their band.",
    ]
    if shipped:
        lines += [
            "- No run used speculative decoding, prefix caching, pipeline parallelism in prefill (chunked "
            "pipelines) or contexts beyond 10,000 tokens. Those rest on the operators and on "
            "the published figures in tests/planner/simulate/test_known_deployments.py.",
            "- No run across scale-out networks of MI300X, MI325X, MI355X or H20; their kernels are "
            "inherited or taken from published figures (presets/kernels).",
        ]
    return [*lines, "- Tails: every figure is a mean or median latency of a run, never a percentile.", ""]
