"""Sides of a comparison, measured in turns.

Each round lets every side run once, one after the other, and is one observation of the ratio. Before each turn the
garbage is collected, during it the collector is left on: for every side alike, as in a program.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Literal

from attrs import asdict, field, frozen

Unit = Literal["seconds", "bytes"]


@frozen
class Scale:
    """How much is done: all of it, or, ``quick``, just enough to see that it works."""

    quick: bool = False

    def __call__(self, full: int, quick: int) -> int:
        """A number of rounds or operations."""
        return quick if self.quick else full


@frozen
class Side:
    """One of those compared. ``turn`` does its work and returns what one operation cost."""

    name: str
    turn: Callable[[], float]


@frozen
class Comparison:
    """phasebus and its peers at the same work. ``meaning`` says in a sentence what one operation is.

    :ivar targets: by the peer's name, how many times ours its cost is to be at least; 1/25 allows us 25 times its cost
    """

    name: str
    meaning: str
    unit: Unit
    ours: Side
    peers: tuple[Side, ...]
    targets: Mapping[str, float] = field(factory=dict)


@frozen
class Ratio:
    """How many times the cost of ours a peer's is: the median of all rounds, the lowest and the highest."""

    peer: str
    median: float
    low: float
    high: float
    cost: float
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        return None if self.target is None else self.median >= self.target


@frozen
class Limit:
    """Something that is to stay below a figure. ``says`` is what was seen to be ``seen``."""

    says: str
    seen: float
    at_most: float
    unit: Unit

    @property
    def met(self) -> bool:
        """Whether it does."""
        return self.seen <= self.at_most

    def __str__(self) -> str:
        verdict = "met" if self.met else "missed"
        return f"{self.says}: {written(self.seen, self.unit)}, at most {written(self.at_most, self.unit)}: {verdict}"


@frozen
class Report:
    """What came of a comparison. ``cost`` and those of the ratios are medians, in ``unit``."""

    name: str
    meaning: str
    unit: Unit
    ours: str
    cost: float
    ratios: tuple[Ratio, ...]
    remarks: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as one JSON object."""
        return asdict(self)


def measure(comparison: Comparison, rounds: int) -> Report:
    """Let all sides run in turns, and compare them round by round."""
    sides = (comparison.ours, *comparison.peers)
    costs: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            gc.collect()
            costs[side.name].append(side.turn())
    return report_of(comparison, costs)


def report_of(comparison: Comparison, costs: dict[str, list[float]]) -> Report:
    """The ratios of costs that were taken round by round."""
    ours = costs[comparison.ours.name]
    ratios = []
    for peer in comparison.peers:
        observed = [theirs / mine for theirs, mine in zip(costs[peer.name], ours, strict=True)]
        target = comparison.targets.get(peer.name)
        cost = median(costs[peer.name])
        ratios.append(Ratio(peer.name, median(observed), min(observed), max(observed), cost, target))
    return Report(
        comparison.name, comparison.meaning, comparison.unit, comparison.ours.name, median(ours), tuple(ratios)
    )


def wanted(ratio: Ratio) -> str:
    """The target of a ratio for people, and whether it is met: ``≥ 8: met``; ``≤ 25 of theirs: missed``."""
    if ratio.target is None:
        return ""
    bound = f"≥ {ratio.target:.3g}" if ratio.target >= 1 else f"≤ {1 / ratio.target:.3g} of theirs"
    return f"{bound}: {'met' if ratio.met else f'missed ({1 / ratio.median:.3g})' if ratio.target < 1 else 'missed'}"


def written(value: float, unit: Unit) -> str:
    """A cost for people: ``1.2 µs``, ``640 B``."""
    scales: dict[Unit, list[tuple[float, str]]] = {
        "seconds": [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")],
        "bytes": [(1e6, "MB"), (1e3, "kB"), (1.0, "B")],
    }
    scale, name = next(((s, n) for s, n in scales[unit] if value >= s), scales[unit][-1])
    return f"{value / scale:.3g} {name}"
