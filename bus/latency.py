"""How long deliveries take, in a few slots: no list that grows, no lock, no sorting."""

from __future__ import annotations

from attrs import frozen

BUCKETS = 64
"""Powers of two of a nanosecond, up to centuries."""


@frozen
class Histogram:
    """Durations by power of two: ``counts[n]`` are those from 2ⁿ⁻¹ ns to below 2ⁿ ns.

    >>> counts = [0] * BUCKETS
    >>> for nanoseconds in (1_000, 3_000, 100_000_000):
    ...     counts[nanoseconds.bit_length()] += 1
    >>> Histogram(tuple(counts), 0.100_004).quantile(0.5)
    4.096e-06
    """

    counts: tuple[int, ...]
    sum_s: float

    @property
    def total(self) -> int:
        """How many durations there are."""
        return sum(self.counts)

    def quantile(self, part: float) -> float:
        """Seconds that this part (0 to 1) of the durations stayed below: the upper bound of their bucket; 0 of none."""
        wanted = part * self.total
        seen = 0
        for bucket, number in enumerate(self.counts):
            seen += number
            if number and seen >= wanted:
                return upper_bound_s(bucket)
        return 0.0


def upper_bound_s(bucket: int) -> float:
    """The seconds that every duration of a bucket is below."""
    return float(2**bucket) / 1e9
