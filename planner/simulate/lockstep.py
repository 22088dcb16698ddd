"""Ranks of attention data parallelism, which go in lockstep: what they wait for, and for whose work.

A pass lasts as long as that of the fullest rank, and a rank without work stands still with the others. Arrays
of any shapes that broadcast.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray, Real

HOST_RANKS = 8.0  # of a host: those of others have hosts of their own, which work side by side


def fullest(ranks: Real, mean: Real) -> FloatArray:
    """What the fullest of `ranks` has above the mean where each has `mean` at random: sqrt(2 ln(ranks) mean).

    Source: the expected largest of Gaussians whose variance is their mean.

    >>> float(fullest(np.array(8.0), np.array(1.0)).round(2)), float(fullest(np.array(1.0), np.array(9.0)))
    (2.04, 0.0)
    """
    return np.asarray(np.sqrt(2.0 * np.log(ranks) * mean))


def serial_s(ranks: Real, arrival_s: Real, serial_share: Real) -> FloatArray:
    """Host work for a request of each rank, as far as it comes one after another; seconds.

    All of it where one scheduler takes the requests of all ranks (share 1). Where every rank has its own,
    only the share of the work that is the common front end's is.

    >>> serial_s(8.0, 1e-3, 1.0).round(6).tolist(), serial_s(8.0, 1e-3, 0.25).round(6).tolist()
    (0.008, 0.00275)
    """
    return np.asarray(arrival_s * (1.0 + serial_share * (np.asarray(ranks) - 1.0)))


def held_s(ranks: Real, arrival_s: Real, serial_share: Real = 1.0) -> FloatArray:
    """What the host adds to each prompt of a rank: its serial work for the prompts of all of several ranks.

    Of one rank it hides behind the passes before; of ranks in lockstep it does not, for all of them wait
    until each has its prompts. So offline runs of short prompts have it, whose rates tell the two apart.
    Ranks on several hosts wait for one of them: with the work of all 32, DeepSeek's published prefill on 4
    hosts of H100 came out at 0.65 of its rate, with that of 8 at 0.76.

    >>> held_s(np.array([1.0, 8.0, 32.0]), 2e-3).tolist()
    [0.0, 0.016, 0.016]
    """
    of_host = serial_s(np.minimum(ranks, HOST_RANKS), arrival_s, serial_share)
    return np.asarray(np.where(np.asarray(ranks) > 1.0, of_host, 0.0))


def next_pass_s(ranks: Real, busy: Real, pass_s: Real) -> FloatArray:
    """What is left, at most, of the pass that other ranks run when a prompt comes: half of it in the mean.

    A rank without prompts stands still with those that have some: who comes to it meanwhile waits for the
    next pass. `busy` is the share of its time that a rank has prompts, so that ``1 - (1 - busy)^ranks`` is
    that of any of them; what its own make wait is left out, for that is the queue of a rank by itself.

    >>> next_pass_s(np.array([1.0, 8.0, 8.0]), np.array([0.5, 0.5, 0.0]), 0.2).round(3).tolist()
    [0.0, 0.099, 0.0]
    """
    own = np.minimum(busy, 1.0)
    return np.asarray((1.0 - (1.0 - own) ** np.asarray(ranks) - own) * pass_s)


def in_passes(prompts: Real) -> FloatArray:
    """Share of its time that an instance runs passes, to whose ranks so many prompts come during one.

    Passes of one length follow each other until none came during the last: ``e^n`` of them in the mean.

    >>> in_passes(np.array([0.0, 1.0, 4.0])).round(2).tolist()
    [0.0, 0.73, 1.0]
    """
    came = np.asarray(prompts, dtype=float)
    return np.asarray(came / (came + np.exp(-came)))


def stopping(prompts: Real, ranks: Real, lockstep: Real) -> FloatArray:
    """Prompts per step that a rank stops for, of `prompts` of its own, in lockstep with others like it.

    >>> [round(float(stopping(w, 8.0, 0.5)), 2) for w in (0.1, 0.5, 2.0)]
    [0.28, 1.0, 2.0]
    """
    return stops_for(prompts, np.power(ranks, lockstep))


def stops_for(prompts: Real, together: Real) -> FloatArray:
    return np.maximum(prompts, np.minimum(prompts * together, 1.0))
