"""Mixture-of-experts layers: grouped matrix products on the busiest rank of an expert-parallel group."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from planner.arrays import Real
from planner.inputs.precision import BF16_BYTES, Format
from planner.simulate.operators.constants import bounded, seconds, share
from planner.simulate.operators.gemm import peak_flops
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost
from planner.values import dataclass

OPERATOR = "moe"

# How unevenly tokens choose experts when nothing else is known. On the scale of `skew` 0 is round robin, 0.3
# nearly independent uniform choice, 1 a power law of exponent 1. Two things follow from it, and they are
# set apart, because engines even out one of them alone:
# - How many experts a batch touches, and so how many must be read. If the popularity of experts is gamma
#   distributed with variance 2 over its mean squared (chi-squared, one degree of freedom), decode times of
#   models left out of the fit are met best: tokens share experts far more often than independent choice
#   would have it. Variance 1 is the formula of skew 1. Those models have 128 to 512 experts; the few of
#   coarse ones are chosen more evenly (Mixtral: Jiang et al. 2024, section 5), and the variance falls from
#   `FINE` experts to them. Eight loads of Mixtral (presets/measured/loads.csv) meet powers of 0.3 to 1.5
#   with TPOT 8 to 11 % off in the median.
# - How much more than the mean the busiest rank has. Nothing evens out the ranks beside attention TP. With
#   attention DP, which wide expert parallelism goes with, redundant experts and their placement do (EPLB;
#   TensorRT-LLM's needs attention DP): those times ask for 0.4, as do published rates of wide deployments
#   (tests/planner/simulate/test_known_deployments.py).
PLANNING_BALANCE = 1.0
EVENED_BALANCE = 0.4
UNEVEN = 2.0  # variance of the popularity of fine experts over its mean squared
FINE = 64  # experts
FINER = 0.5  # power of the number of experts below

# The load of the busiest rank, fitted to simulated routing in two steps.
# 1. Let experts' loads follow a truncated power law of exponent a >= 1. Their variance over their mean
#    squared is SPREAD L (1 + STEEPER (a - 1) L), with L = ln(1 + tokens / SETTLED).
# 2. A rank's load sums its experts', so its relative variance is smaller by their number; that tokens are
#    whole adds CHANCE over the mean number of pairs. With v = ln(ep) times that relative variance, the
#    busiest of ep ranks has 1 + NORMAL sqrt(v) + TAIL v times the mean.
# 4,100 cases, each the mean of 24 draws, of 8 group sizes and 15 mixtures of 8 to 896 experts: the mean
# error of the formula is 6 %; a single draw strays from it by 14 %.
SPREAD = 0.518
STEEPER = 1.085
SETTLED = 14.5
CHANCE = 0.96
NORMAL = 1.116
TAIL = 0.195


@dataclass(frozen=True, slots=True, kw_only=True)
class MoeConstants:
    """How near one grouped GEMM with its routing, permutation and reduction comes to the data sheet."""

    compute: float = share(0.5)  # of the tensor-core peak
    memory: float = share(0.8)  # of HBM bandwidth, streaming experts
    pad_width: float = bounded(1e-3, 2048.0, 32.0)  # columns that a slice of an expert costs beyond its own
    floor_s: float = seconds(2e-5)  # launches
    first_s: float = seconds(5e-6)  # added by the first tokens: routing and permuting in earnest
    first_tokens: float = bounded(1.0, 512.0, 8.0, default=8.0, ideal=512.0)  # at which half of it is spent
    pair_trips: float = bounded(1e-4, 200.0, 2.0)  # of a pair's activations through HBM
    token_trips: float = bounded(1e-4, 200.0, 2.0)  # of a token's hidden state through HBM
    pair_s: float = bounded(1e-14, 1e-7, 1e-10)  # per pair of the group: sorting and counting


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """The routed experts of one layer; numbers, or arrays that broadcast."""

    hidden: Real  # width of what they take and give
    width: Real  # intermediate width of one expert
    matrices: Real  # 3 for gated experts, else 2
    topk: Real  # experts that a token chooses
    count: Real  # experts in all


class Routing(NamedTuple):
    """What reaches one rank: token-expert pairs and distinct experts, on average and on the busiest."""

    pairs: Real
    experts: Real
    mean_pairs: Real
    mean_experts: Real


def route(
    experts: Experts,
    tokens: Real,
    *,
    ep: Real,
    skew: Real | None = None,
    evened: bool = False,
    mean: bool = True,
) -> Routing:
    """Loads of the ranks of an expert-parallel group.

    Parameters
    ----------
    experts
        Of which each token chooses `topk` among `count`.
    tokens
        Tokens of the whole group; below 1 counts as 1.
    ep
        Ranks that share the experts out.
    skew
        0: round robin; 1 and above: loads follow a truncated power law of that exponent; between:
        experts differ in proportion, and chance counts as the cube root, so that 0.3 is nearly
        independent choice among experts a third as uneven. None: what planning expects.
    evened
        Redundant experts and their placement even out the ranks; of planning alone.
    mean
        Whether `mean_experts` is asked for; 0 where it is not.

    Returns
    -------
    Routing
        Of the broadcast shape. None of it falls when `tokens` grows.

    >>> experts = Experts(hidden=7168, width=2048, matrices=3, topk=8, count=256)
    >>> busy = route(experts, 1024, ep=32, skew=1.01)
    >>> round(float(busy.pairs)), round(float(busy.experts), 2), float(busy.mean_pairs)
    (589, 7.91, 256.0)
    """
    # scalars and layout-shaped factors first: one pass over the points costs more than all of them
    topk, count = experts.topk, experts.count
    held = np.maximum(count / ep, 1.0)
    balance = skew if skew is not None else EVENED_BALANCE if evened else PLANNING_BALANCE
    uneven = np.minimum(balance, 1.0)
    ranks = np.log(ep) * (1.0 - 1.0 / ep)
    crowd = np.cbrt(uneven)
    spread, steeper = SPREAD * uneven**2 * ranks / held, STEEPER * np.maximum(balance - 1.0, 0.0)
    chance = CHANCE * crowd * ranks
    tokens = np.maximum(tokens, 1.0)
    mean_pairs = tokens * (topk / ep)
    settled = np.log(tokens * (1.0 / SETTLED) + 1.0)
    if np.any(steeper):
        settled = settled * (settled * steeper + 1.0)
    touched = partial(_touched, variance=_variance(count)) if skew is None else partial(_skewed, crowd=crowd)
    variance = mean_pairs * settled * spread + chance  # v times mean_pairs
    excess = np.sqrt(variance * mean_pairs) * NORMAL + variance * TAIL
    # one token sends a rank at most as many pairs as the rank has experts
    most = mean_pairs * np.minimum(ep, count / topk)
    pairs = np.maximum(np.minimum(mean_pairs + excess, most), 1.0)
    return Routing(
        pairs=pairs,
        experts=touched(pairs, held, np.maximum(topk / ep, 1.0)),
        mean_pairs=mean_pairs,
        mean_experts=touched(mean_pairs, held, topk / ep) if mean else 0.0,
    )


def _variance(count: Real) -> Real:
    """Variance of the popularity of `count` experts over its mean squared.

    >>> float(_variance(256)), round(float(_variance(8)), 2)
    (2.0, 0.71)
    """
    return UNEVEN * np.minimum((count / FINE) ** FINER, 1.0)


def _touched(pairs: Real, held: Real, first: Real, *, variance: Real) -> Real:
    """Distinct experts of `held` that `pairs` reach, `first` being those of one token, as planning expects.

    Those of the first token, and of the others all whose popularity, gamma distributed (`variance` v), was
    enough for one of the pairs beyond,
    ``first + (held - first) (1 - (1 + v (pairs - first) / held)^(-1/v))``.
    """
    beyond = (pairs - first) * (variance / held) + 1.0
    missed = 1.0 / np.sqrt(beyond) if np.all(variance == UNEVEN) else beyond ** (-1.0 / variance)
    return held - missed * (held - first)


def _skewed(pairs: Real, held: Real, first: Real, *, crowd: Real) -> Real:
    """The same where the skew is stated; `crowd` is its cube root.

    ``min(held, pairs / (1 + crowd (pairs - first) / held))``: the lesser of the two at 0, round robin;
    ``pairs held / (pairs + held - first)`` at 1, a power law; and at 0.3 within 6 % of
    ``held (1 - (1 - 1/held)^pairs)``, independent uniform choice.
    """
    crowd = crowd / held
    return np.minimum(pairs / (pairs * crowd + (1.0 - crowd * first)), held)


def grouped_gemm(
    machine: Machine,
    fmt: Format,
    experts: Experts,
    tokens: Real,
    *,
    tp: Real,
    ep: Real,
    skew: Real | None = None,
    evened: bool = False,
    dispatched: bool = False,
    kernel: str = "",
) -> Cost:
    """All routed experts of one layer on the busiest rank, with permutation and reduction.

        area = matrices hidden (width / tp + pad_width)
        t    = floor_s + first_s tokens / (tokens + first_tokens)
             + experts_touched area w_bytes / (memory bandwidth)
             + pairs (2 area / (compute peak) + pair_trips bytes_of_a_pair / bandwidth)
             + tokens (token_trips 2 hidden / bandwidth + pair_s topk)

    Streaming of experts and products add up: a fit that lets them overlap gains nothing.

    Parameters
    ----------
    machine, fmt, experts
        Where it runs; format and shape of the experts.
    tokens
        Tokens of the whole expert-parallel group.
    tp, ep
        Ranks that slice each expert; groups that share the experts out.
    skew, evened
        See `route`.
    dispatched
        An all-to-all brings a rank only its own tokens. Otherwise it holds those of the whole
        group (as in the measurements behind the constants) and picks its own.
    kernel
        A kernel that was measured apart, such as "min_latency"; the engine's usual one if there
        are no constants for it.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape. Light counts the mean share of a rank, unpadded.

    Raises LookupError if no kernels file has experts.

    >>> from planner.inputs.precision import FORMATS
    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(moe=dict(compute=0.5, memory=0.8, pad_width=0.0, floor_s=2e-5, first_s=0.0,
    ...                         pair_trips=0.0, token_trips=0.0, pair_s=0.0))
    >>> experts = Experts(hidden=7168, width=2048, matrices=3, topk=8, count=256)
    >>> cost = grouped_gemm(machine, FORMATS["fp8"], experts, 4096, tp=1, ep=8, skew=0.0)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (751.6, 293.6)
    """
    c = _constants(machine, fmt, kernel, dispatched)
    bandwidth = machine.gpu.hbm_bytes_per_s
    per_byte = 1.0 / bandwidth
    per_flop = 1.0 / peak_flops(machine, fmt.rate)
    hidden, matrices = experts.hidden, experts.matrices
    load = route(experts, tokens, ep=ep, skew=skew, evened=evened, mean=machine.light)
    # scalars and layout-shaped factors first: one pass over the points costs more than all of them
    column = matrices * hidden
    sliced = experts.width / tp
    padded = column * (sliced + c.pad_width)
    expert_s = padded * (fmt.weight_bytes * per_byte / c.memory)
    pair_bytes = hidden * (fmt.activation_bytes + BF16_BYTES) + 2.0 * matrices * sliced
    pair_s = padded * (2.0 * per_flop / c.compute) + pair_bytes * (c.pair_trips * per_byte)
    token_s = hidden * (BF16_BYTES * c.token_trips * per_byte)
    if dispatched:
        around = np.minimum(tokens, load.pairs) * token_s
        pair_s = pair_s + c.pair_s
    else:
        around = tokens * (token_s + c.pair_s * experts.topk)
    first = tokens * c.first_s / (tokens + c.first_tokens)
    seconds_ = load.experts * expert_s + load.pairs * pair_s + around + (first + c.floor_s)
    if not machine.light:
        return Cost(seconds_, 0.0)
    light_s = np.maximum(
        load.mean_pairs * (column * sliced * (2.0 * per_flop)),
        load.mean_experts * (column * sliced * (fmt.weight_bytes * per_byte)),
    )
    return Cost(seconds_, light_s)


def _constants(machine: Machine, fmt: Format, kernel: str, dispatched: bool) -> MoeConstants:
    if kernel:
        try:
            return machine.kernels.constants(f"{OPERATOR}_{kernel}", fmt.name, MoeConstants)
        except LookupError:
            pass
    use = f"{OPERATOR}:dispatched" if dispatched else OPERATOR
    return machine.kernels.constants(use, fmt.name, MoeConstants)
