"""Medians and spreads of a handful of rounds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

FEWEST_FOR_QUARTILES = 2


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of some measurements, in the measurements' unit."""

    median: float
    q1: float
    q3: float

    @property
    def iqr(self) -> float:
        """Interquartile range."""
        return self.q3 - self.q1

    def scaled(self, factor: float) -> Spread:
        """Return it in another unit."""
        return Spread(self.median * factor, self.q1 * factor, self.q3 * factor)

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Summarise at least one value; quartiles interpolate between values (the inclusive method)."""
        if not values:
            raise ValueError("nothing to summarise")
        median = statistics.median(values)
        if len(values) < FEWEST_FOR_QUARTILES:
            return cls(median, median, median)
        q1, _, q3 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, q1, q3)


def ratio(ours: float, theirs: float) -> float | None:
    """How many times theirs goes into ours; None where that means nothing."""
    return ours / theirs if theirs > 0 else None
