"""How long something took, many times over: kept to three significant digits, in memory that does not grow with them.

A time is counted under its first three digits, as in an HDR histogram: what is told of it is off by 0.5 % at most, a
time-out of 30 s is told as 30 s, and there are 900 numbers to count under for each power of ten (some 11,000 from a
microsecond to a week), however many times are added.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from attrs import Factory, define, frozen

MAX_BINS = 20
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_BY_A_HAIR = 1e-9


@frozen
class Bin:
    """How many times were from ``low`` to below ``high`` seconds; the last of a histogram may have no end."""

    low: float
    high: float | None
    count: int


@define
class Times:
    """Counts of times in seconds.

    >>> times = Times()
    >>> for seconds in (0.5, 1.2345, 30.0):
    ...     times.add(seconds)
    >>> times.total, times.quantile(0.5), times.quantile(0.99)
    (3, 1.23, 30.0)
    """

    total: int = 0
    _counts: dict[float, int] = Factory(dict)

    def add(self, seconds: float) -> None:
        """Count one."""
        rounded = three_digits(seconds)
        self._counts[rounded] = self._counts.get(rounded, 0) + 1
        self.total += 1

    def sorted(self) -> list[tuple[float, int]]:
        """Each time with how often it was counted, the shortest first."""
        return sorted(self._counts.items())

    def quantile(self, part: float) -> float | None:
        """The shortest time that at least ``part`` of all did not exceed (the nearest rank); None if there is none."""
        rank = max(1, math.ceil(part * self.total - _BY_A_HAIR))
        for seconds, count in self.sorted():
            rank -= count
            if rank <= 0:
                return seconds
        return None

    def bins(self) -> list[Bin]:
        """A histogram with round bounds: up to the 99th percentile in bins of one width, what is longer in one more."""
        counted = self.sorted()
        if not counted:
            return []
        shortest, longest, usual = counted[0][0], counted[-1][0], self.quantile(0.99) or 0.0
        width = _round_width((usual - shortest) / (MAX_BINS - 2))
        first = math.floor(shortest / width + _BY_A_HAIR)
        number = math.floor(usual / width + _BY_A_HAIR) + 1 - first
        counts = [0] * (number + 1)
        for seconds, count in counted:
            counts[min(math.floor(seconds / width + _BY_A_HAIR) - first, number)] += count
        edges = [round((first + place) * width, 9) for place in range(number + 1)]
        bins = [Bin(low, high, count) for low, high, count in zip(edges, edges[1:], counts, strict=False)]
        return bins if longest < edges[-1] else [*bins, Bin(edges[-1], None, counts[-1])]

    def shares(self) -> Iterator[tuple[float, float]]:
        """Each time, with the part of all that did not exceed it."""
        so_far = 0
        for seconds, count in self.sorted():
            so_far += count
            yield seconds, so_far / self.total


def three_digits(seconds: float) -> float:
    """A time as it is counted and told."""
    return float(f"{seconds:.3g}")


def _round_width(least: float) -> float:
    """The narrowest round width that is not below ``least``: 1, 2, 2.5 or 5 times a power of ten."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in _STEPS if step * power >= least * (1 - _BY_A_HAIR))
