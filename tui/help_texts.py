"""What each number on the screen means: name, unit, meaning, formula. Every pane's help is made of these."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

from planner.values import dataclass

if TYPE_CHECKING:
    from planner.inputs.fields import Field


@dataclass(frozen=True, slots=True)
class Number:
    """One number: how it is called, its unit, what it means, and the formula where there is one."""

    name: str
    unit: str
    meaning: str
    formula: str = ""

    def line(self) -> str:
        """One item of a Markdown list."""
        unit = f" [{self.unit}]" if self.unit else ""
        formula = f" `{self.formula}`" if self.formula else ""
        return f"- **{self.name}**{unit}: {self.meaning}.{formula}"


NUMBERS = {
    "batch": Number("batch", "sequences", "in flight on one instance at a time"),
    "chunk": Number("chunk", "tokens", "of prompts in one prefill step; `-` where no prompt is worked on"),
    "busy": Number("busy", "%", "of the pool's capacity that the plan uses", "requests/s / capacity"),
    "memory": Number(
        "mem",
        "% or GiB",
        "of the fullest GPU's memory",
        "(weights + KV + activations + reserve) / capacity",
    ),
    "ftl": Number("FTL", "s", "first token latency (TTFT): waiting, prefill, and what moving the cache adds"),
    "ttl": Number(
        "TTL", "s", "token to token latency (TPOT, ITL): the time between two output tokens of one user"
    ),
    "user": Number("tok/s/user", "tokens/s", "interactivity: the speed one user sees", "1 / TTL"),
    "gpu": Number(
        "tok/s/GPU",
        "tokens/s",
        "output tokens over the GPUs in use, of all pools",
        "requests/s * (OSL - 1) / GPUs",
    ),
    "held": Number(
        "tok/s/GPU held",
        "tokens/s",
        "output tokens over all GPUs of the budget, used or not: they are paid for either way",
        "requests/s * (OSL - 1) / GPUs of the budget",
    ),
    "rate": Number(
        "req/s",
        "requests/s",
        "that prefill and decode both sustain",
        "min(prefill capacity, decode capacity)",
    ),
    "prefill-rate": Number(
        "prefill capacity",
        "requests/s",
        "of all prefill instances",
        "instances * requests in flight / time of their passes",
    ),
    "decode-rate": Number(
        "decode capacity",
        "requests/s",
        "of all decode instances; the first token comes from prefill",
        "instances * sequences in flight / (TTL * (OSL - 1))",
    ),
    "gpus": Number("GPUs", "", "in use, both pools together", "sum of instances * GPUs per instance"),
    "ratio": Number(
        "ctx:gen", "", "prefill GPUs to decode GPUs; none when co-located", "prefill GPUs / decode GPUs"
    ),
    "usd": Number(
        "$/Mtok",
        "$ per million output tokens",
        "rent of the GPUs in use",
        "1e6 * GPUs * price / 3600 / tokens/s",
    ),
    "watts": Number(
        "GPU power",
        "W",
        "of all boards at the plan's load, from what its passes use of them; rated power is each GPU's "
        "all-in number, host, network and cooling too, at full draw",
        "GPUs * (idle + busy share + tensor cores' share), at most the limit",
    ),
    "joules": Number("J per output token", "J", "of the boards", "GPU power / output tokens/s"),
    "kv": Number(
        "KV out, in",
        "bytes/s per GPU",
        "cache leaving each prefill GPU and reaching each decode GPU that holds some of it",
        "requests/s * cache of one prompt / GPUs with distinct cache",
    ),
    "kv-time": Number(
        "cache move",
        "s",
        "what handing the cache over adds to the first token; the rest hides behind prefill",
    ),
    "gain": Number(
        "gain",
        "times",
        "of the better way over the other, in what the goal counts; beyond the error where even the lower "
        "end of its 80 % range is a gain",
        "throughput of one / throughput of the other",
    ),
    "used": Number(
        "used",
        "%",
        "of a limit; tight from 90 % on, for predictions err by more than the rest",
        "value / limit",
    ),
    "gap": Number("gap", "%", "how far the answer can be from the optimum at most; optimal means proven"),
    "band": Number(
        "80 %", "", "range that has held four of five measurements of such deployments; also in brackets"
    ),
    "time": Number("time", "s", "of one forward pass spent in an operator"),
    "light": Number(
        "light",
        "%",
        "share of that time that peak FLOP/s or bandwidth alone would take: its speed of light",
        "max(FLOPs / peak, bytes / bandwidth) / time",
    ),
    "points": Number("points", "", "design points simulated: layout, batch and chunk of a phase"),
    "cv": Number("CV", "", "how unlike requests are: 0 where all are alike", "standard deviation / mean"),
    "counts": Number(
        "variance/mean",
        "",
        "of the requests in windows of one length; 1 where each comes by itself, more where the load changes",
    ),
    "found": Number(
        "found", "%", "of prompt tokens in a cache of that size, the blocks used last being kept"
    ),
    "swing": Number("change", "%", "of the yardstick against the plan as it is", "new / present - 1"),
}

PANES = {  # which numbers a pane shows
    "chart": ("user", "gpu", "ratio", "gpus", "ftl", "usd"),
    "plan": (
        "gain",
        "batch",
        "chunk",
        "ftl",
        "ttl",
        "busy",
        "memory",
        "used",
        "gpu",
        "user",
        "rate",
        "prefill-rate",
        "decode-rate",
        "usd",
        "ratio",
        "kv",
        "gap",
        "band",
    ),
    "time": ("time", "light"),
    "details": ("memory", "watts", "joules", "kv-time", "points"),
    "breakdown": ("time", "light", "memory", "kv", "watts", "joules"),
    "table": ("gpu", "user", "ftl", "ttl", "gpus", "ratio", "usd"),
    "compare": ("gpu", "band", "user", "ftl", "ttl", "gpus", "usd", "swing"),
    "what-if": ("swing", "held", "usd"),
    "curve": ("held", "usd", "ratio"),
    "traffic": ("cv", "counts", "found"),
}


def page(text: str, pane: str) -> str:
    """A pane's help: its own words, then its numbers.

    >>> print(page("## Bars", "time").splitlines()[0])
    ## Bars
    """
    numbers = [NUMBERS[name].line() for name in PANES[pane]]
    return "\n".join([inspect.cleandoc(text), "", "### The numbers", "", *numbers, ""])


_FLAG = re.compile(r"`[^`]*`|(?<![\w-])--([a-z][a-z-]*[a-z])")  # none within a command


def in_rows(text: str) -> str:
    """A sentence of the planner's with the rows of the form in place of flags; commands stay as they are.

    >>> in_rows("smallest fleet for --rate"), in_rows("unless --kv says one"), in_rows("`trace F --rate 2`")
    ('smallest fleet for rate', 'unless kv cache says one', '`trace F --rate 2`')
    """
    if "--" not in text:
        return text
    from planner.inputs.fields import FIELDS

    rows = {name: field.label for field in FIELDS for name in (field.key, *field.aliases)}
    return _FLAG.sub(lambda flag: rows.get(flag[1], flag[0]), text)


def field(field: Field) -> str:
    """A row's help: what it means, what may be typed, where the arrows lead, its flag."""
    flags = ", ".join(f"`--{name}`" for name in (field.key, *field.aliases))
    unit = f" [{field.unit}]" if field.unit else ""
    lines = [f"## {field.label}{unit}", "", in_rows(field.help), "", f"Accepted: {field.accepted}."]
    if field.steps:
        lines += ["", f"Arrows go from {field.format(field.steps[0])} to {field.format(field.steps[-1])}."]
    lines += ["", f"On the command line {flags}; in a scenario file `{field.key}`."]
    numbers = [NUMBERS[name].line() for name in _FIELDS.get(field.key, ())]
    return "\n".join([*lines, "", *numbers, ""])


_FIELDS = {
    "ftl": ("ftl",),
    "ttl": ("ttl", "user"),
    "gpus": ("gpus", "gpu"),
    "price": ("usd",),
    "rate": ("rate",),
    "headroom": ("busy",),
}
