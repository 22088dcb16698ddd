"""Pools that others feed: the pairs kept hold the best of all."""

from __future__ import annotations

import numpy as np
import pytest

from planner.match.fed import MOST, fed


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_gpus_the_best_of_all_pairs_is_among_those_kept(seed: int) -> None:
    random = np.random.default_rng(seed)
    most, size = int(random.integers(3, 24)), int(random.integers(1, 5))
    each = float(10 ** random.uniform(-1.2, 1.2))  # an encoder's rate against an instance's
    queued = (
        np.sort(random.uniform(0.3, 1.0, most + 1)) if seed % 2 else np.ones(most + 1)
    )  # larger pools fill more
    feeders = np.arange(most + 1) * each * queued
    n = np.arange(1, most + 1)
    serves = n * np.sort(random.uniform(0.5, 1.0, most))
    of, number, rate = fed(np.zeros(most, dtype=np.int64), serves, feeders)
    kept = n[of] * size + number
    for gpus in range(2, most * size):
        best = max(
            (min(serves[i - 1], feeders[m]) for i in n for m in range(1, most + 1) if i * size + m <= gpus),
            default=0.0,
        )
        assert rate[kept <= gpus].max(initial=0.0) == pytest.approx(best)
    assert (number >= 1).all() and len(of) <= most * MOST


def test_rows_do_not_share_what_keeps_up() -> None:
    row, serves = np.array([0, 0, 3, 3]), np.array([4.0, 8.0, 1.0, 2.0])
    of, number, rate = fed(row, serves, np.arange(10) * 2.0)
    pairs = {
        (int(row[i]), float(serves[i]), int(m), float(r)) for i, m, r in zip(of, number, rate, strict=True)
    }
    assert pairs == {
        (0, 4.0, 1, 2.0),
        (0, 4.0, 2, 4.0),
        (0, 8.0, 3, 6.0),
        (0, 8.0, 4, 8.0),
        (3, 1.0, 1, 1.0),
        (3, 2.0, 1, 2.0),
    }
