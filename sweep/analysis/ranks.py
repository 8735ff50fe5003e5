"""Ranks, and how far rankings agree."""

import numpy as np

from sweep.analysis.arms import Floats


def average_ranks(values: Floats) -> Floats:
    """Ranks [n] from 1, the smallest first; equal values share the mean of their ranks."""
    _, where, count = np.unique(values, return_inverse=True, return_counts=True)
    last = count.cumsum()
    return np.asarray((last - (count - 1) / 2)[where])


def concordance(values: Floats) -> float | None:
    """Kendall's W, 0..1, of how far the judges rank the items alike: 1 all the same, about 0 no agreement.

    values: [judges, items]. None with fewer than two of either, or where every judge has all items equal.
    Source: Kendall and Babington Smith 1939, with their correction for ties.
    """
    judges, items = values.shape
    if judges < 2 or items < 2:
        return None
    ranks = np.array([average_ranks(line) for line in values])
    sums = ranks.sum(0)
    spread = ((sums - sums.mean()) ** 2).sum()
    ties = sum(
        float((count**3 - count).sum()) for count in (np.unique(r, return_counts=True)[1] for r in ranks)
    )
    most = judges**2 * (items**3 - items) - judges * ties
    return float(12 * spread / most) if most > 0 else None
