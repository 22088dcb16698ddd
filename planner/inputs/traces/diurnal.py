"""A day or a week made up for demonstrations: long prompts in the morning, long answers at night.

Nothing here is measured. The rate follows the sun and rests at weekends; the mix goes from documents (long
prompts, short answers), most at 10 o'clock, to chats and reasoning (short prompts, long answers), most at 22:

    rate(t)  = mean (1 + swing cos(2 pi (t - 15 h) / 24 h)), at weekends times `WEEKEND`
    share(t) = 1/2 + 2/5 cos(2 pi (t - 10 h) / 24 h)                           of documents

Arrivals are Poisson at that rate, lengths lognormal.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray
from planner.errors import InputError
from planner.inputs.requests import Requests, plain

HOUR_S, DAY_S = 3600.0, 86_400.0
WEEKEND = 0.5
BUSIEST_H, DOCUMENTS_H = 15.0, 10.0
DOCUMENT, CHAT = (6000, 250), (900, 900)  # tokens in and out, means
SPREAD = 0.6  # standard deviation over mean of either
STEP_S = 60.0  # in which the rate counts as steady
MOST_REQUESTS = 5_000_000


def diurnal(requests_per_s: float, days: float = 7.0, *, swing: float = 0.6, seed: int = 0) -> Requests:
    """Requests of some days from a Monday's midnight on, at a mean rate of the weekdays.

    Raises InputError for a rate, days or a swing that cannot be.

    >>> one = diurnal(0.5, 1.0)
    >>> one.seconds < 86400, 0.4 < len(one) / 86400 < 0.6
    (True, True)
    """
    if not (0 < days <= 366 and 0 < requests_per_s * days * DAY_S <= MOST_REQUESTS):
        raise InputError("rate", requests_per_s, f"above 0, up to {MOST_REQUESTS:,} requests in all")
    if not 0 <= swing < 1:
        raise InputError("swing", swing, "0 or more, below 1")
    random = np.random.default_rng(seed)
    start_s = np.arange(0.0, days * DAY_S, STEP_S)
    count = random.poisson(requests_per_s * STEP_S * _level(start_s, swing))
    at = np.repeat(start_s, count) + random.uniform(0.0, STEP_S, int(count.sum()))
    at = np.sort(at[at < days * DAY_S])
    share = 0.5 + 0.4 * np.cos(2 * np.pi * (at / HOUR_S - DOCUMENTS_H) / 24.0)
    document = random.random(len(at)) < share
    sigma = float(np.sqrt(np.log1p(SPREAD**2)))
    isl, osl = (
        np.where(document, DOCUMENT[i], CHAT[i]) * random.lognormal(-0.5 * sigma**2, sigma, len(at))
        for i in range(2)
    )
    whole = [np.maximum(np.rint(values), 1).astype(np.int64) for values in (isl, osl)]
    return plain(at - at[0] if len(at) else at, *whole)


def _level(at_s: FloatArray, swing: float) -> FloatArray:
    """Rate over the weekdays' mean."""
    level = 1.0 + swing * np.cos(2 * np.pi * (at_s / HOUR_S - BUSIEST_H) / 24.0)
    return np.where((at_s // DAY_S) % 7 >= 5, WEEKEND, 1.0) * level
