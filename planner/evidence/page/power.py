"""The page docs/power.md: predicted against published watts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.evidence.figures import percent
from planner.evidence.page.tables import table
from planner.planning.energy import RANGE

COMMAND = "ratematch validate --power --write docs/power.md"
HEAD = ("", "rows", "median", "mean", "bias", "left-out model", "left-out GPU")


def page(found: Mapping[str, Any]) -> str:
    """The page as Markdown, of `planner.evidence.power.report`: the same for the same files and presets."""
    used, fitted = found["constants"], found["fitted"]
    lines = [
        "# Watts",
        "",
        f"Written by `{COMMAND}`; not edited by hand.",
        "",
        "A plan says two kinds of power. **GPU power** is what the boards draw at the plan's load: idle "
        "watts, "
        "and what the simulator's own operators add. **Rated power** is each GPU's all-in number "
        "(`watts_per_gpu` of its preset: host, network and cooling share included) at full draw, whatever "
        "the "
        "load: what a facility has to be built for. Joules per output token count GPU power.",
        "",
        "    W (idle + busy b + compute c), at most the board's limit",
        "",
        f"W is the board's limit (`full_watts` of the preset, if it has one); idle {used['idle']:g} of it, "
        f"or "
        f"`idle_watts`; busy {used['busy']:g}, compute {used['compute']:g}, for all GPUs, models and "
        f"formats. "
        "b is the share of the time in which kernels stream or compute, launches and fixed latencies left "
        "out; c the share that the products would take at the peak of their format. Below full load, decode "
        "steps carry fewer sequences and prompts come less often; a pool with nothing to do is idle.",
        "",
        f"The two constants are fitted to all rows jointly (now {fitted['busy']:.3f} and "
        f"{fitted['compute']:.3f}). `left-out` are median errors by constants fitted without the row's model "
        "(of a kernel: its format), or without its GPU. Each run is predicted at the pace that its "
        "deployment "
        "is predicted at, as a plan would say it.",
        "",
        *_band(found["band"]),
        "## By GPU",
        "",
        *_table(found["systems"]),
        "",
        "## Serving runs by model",
        "",
        *_table(found["models"]),
        "",
        "## What the rows are",
        "",
        "- Serving: board power of NVML over whole runs, vLLM, H100 and B200 (ML.ENERGY leaderboard, state "
        "of "
        "2026-02-27: measured sequences in flight, output lengths and parallel layouts). Prompts are not "
        "published; 150 tokens for chats and 250 for GPQA are assumed: a third, or three times as many, move "
        "the median watts by less than 2 %, and those of no run by more than 10 %. Runs of code infilling, "
        "whose prompts are long, are left out.",
        "- MI300X: gpt-oss-120b, three loads (InferenceX issue 828). Requests in flight are not stated: 4, "
        "whose rate is nearest. GB200, GB300: Qwen3.5 split 1 + 1 (InferenceX pull request 2456), joules per "
        "token taken for output tokens.",
        "- Kernels: GEMMs timed one by one, NVML at 100 ms, medians of bins of the share of bandwidth or "
        "peak "
        "(AIConfigurator 0.12). H200 has no published serving run that is fully stated.",
        "",
        "## Where it is wrong",
        "",
        "- Single small kernels at a few per cent of the bandwidth: predicted near idle, measured anywhere "
        "from 0.2 to 0.6 of the limit, by format.",
        "- Runs slower than predicted because kernels are (block-scaled FP8 experts in that state of vLLM on "
        "B200): the GPU is busier than predicted, and draws more. Runs slower because the host is: less.",
        "- GB300 draws less than GB200 per token as published; the preset lets its shares count GB200's "
        "limit, and is still above.",
        "",
        "## Reproduce",
        "",
        "`presets/measured/README.md` tells the columns and sources of `power.csv` and `power_kernels.csv`.",
        "",
        "```",
        COMMAND,
        "```",
    ]
    return "\n".join(lines) + "\n"


def _band(band: Sequence[float] | None) -> list[str]:
    if band is None:
        return []
    return [
        f"Measured over predicted watts of serving runs are {band[0]:.2f} to {band[1]:.2f} in 4 of 5 cases, "
        f"by constants fitted without their GPU. A plan's GPU power has {RANGE[0]:g} to {RANGE[1]:g}, at "
        "most the boards' limit, beside what else is expected of it; its joules per token have that and the "
        "range of its tokens/s (where a rate is asked for, the watts' alone).",
        "",
    ]


def _table(groups: list[Mapping[str, Any]]) -> list[str]:
    rows = [
        (
            str(group["name"]),
            f"{group['n']:,}",
            percent(group["median_ape"]),
            percent(group["mape"]),
            percent(group["bias"], sign=True),
            percent(group["left_out_model"]),
            percent(group["left_out_gpu"]),
        )
        for group in groups
    ]
    return table(HEAD, rows)
