"""What a trace asks of each pool, window by window."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.errors import InputError
from planner.inputs.requests import Requests
from planner.replay.over_time import passed
from planner.units import format_seconds

MOST_WINDOWS = 20_000
SLOTS = 8  # parts of a window in which its own bursts are counted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """Arrays of shape ``(windows,)``; rates are of requests with the trace's mean lengths."""

    window_s: float
    requests: IntArray  # that come in each
    prompts_per_s: FloatArray  # prompt tokens that come, over the mean prompt
    decodes_per_s: FloatArray  # output tokens that are made, over the mean output
    variation: float  # squared coefficient of variation of the gaps within windows, at least 1

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def hours(self) -> float:
        """Of the horizon."""
        return len(self) * self.window_s / 3600.0

    def asked(self, prompt_share: float) -> FloatArray:
        """Requests/s that instances with this share of their work in prompts are asked for."""
        return prompt_share * self.prompts_per_s + (1.0 - prompt_share) * self.decodes_per_s


def windows(requests: Requests, window_s: float, token_s: float) -> Windows:
    """The windows of a trace.

    A prompt is work of the window that it comes in; an output is made evenly over ``osl token_s`` seconds
    from then on, so that long ones reach into later windows. What is left at the end is not counted.

    Raises InputError for more than `MOST_WINDOWS`, or none.

    >>> from planner.inputs.requests import plain
    >>> two = windows(plain(np.array([0.0, 10.0]), np.array([10, 30]), np.array([100, 100])), 10.0, 0.1)
    >>> two.prompts_per_s.tolist(), two.decodes_per_s.tolist()
    ([0.05, 0.15], [0.1, 0.1])
    """
    count = math.floor(requests.seconds / window_s) + 1
    if not len(requests) or count > MOST_WINDOWS:
        least = three_digits_up(max(requests.seconds, 1e-9) / MOST_WINDOWS)
        accepted = f"{format_seconds(least)} or more"
        raise InputError("window", f"{window_s:g}s", f"{accepted}: {MOST_WINDOWS:,} windows at most")
    which = np.minimum((requests.arrival_s / window_s).astype(np.int64), count - 1)
    isl, osl = requests.isl.astype(np.float64), requests.osl.astype(np.float64)
    came = np.bincount(which, minlength=count)
    prompts = np.bincount(which, weights=isl, minlength=count) / float(isl.mean()) / window_s
    edges = np.arange(count + 1, dtype=np.float64) * window_s
    made = np.diff(_made(edges, requests.arrival_s, np.maximum(osl * token_s, 1e-9), osl))
    return Windows(
        window_s=window_s,
        requests=came.astype(np.int64),
        prompts_per_s=prompts,
        decodes_per_s=np.maximum(made, 0.0) / float(osl.mean()) / window_s,
        variation=_variation(requests.arrival_s, came, window_s),
    )


def three_digits_up(value: float) -> float:
    """The next higher number of three digits.

    >>> three_digits_up(0.04266), three_digits_up(0.0427)
    (0.0427, 0.0428)
    """
    digits = 2 - math.floor(math.log10(value))
    return round((math.floor(round(value * 10.0**digits, 6)) + 1) / 10.0**digits, 12)


def _made(edges: FloatArray, since: FloatArray, stay_s: FloatArray, tokens: FloatArray) -> FloatArray:
    """Tokens made until each edge, each request's at an even pace."""
    pace = tokens / stay_s
    return passed(edges, since, pace) - passed(edges, since + stay_s, pace)


def _variation(arrival_s: FloatArray, came: IntArray, window_s: float) -> float:
    """Variance over mean of the counts in slots, around the mean of their window; 1 is Poisson's."""
    slot_s = window_s / SLOTS
    slots = np.bincount(
        np.minimum((arrival_s / slot_s).astype(np.int64), len(came) * SLOTS - 1), minlength=len(came) * SLOTS
    ).reshape(len(came), SLOTS)
    whole = slots[:-1] if len(came) > 1 else slots
    if not whole.sum():
        return 1.0
    return max(float(whole.var(axis=1, ddof=1).sum() / whole.mean(axis=1).sum()), 1.0)
