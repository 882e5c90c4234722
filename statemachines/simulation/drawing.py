"""Calls drawn from a traffic file: when each arrives, what comes to it when, and what the network does to that.

Each call has a stream of chance of its own, made from the seed and its number, and takes as much from it for every
item whether that comes or not. So call 17 is the same call among 20 as among a million, and with another rate of loss
or another definition: two runs with one seed differ by what was changed between them, and not by luck (common random
numbers). Only :meth:`random.Random.random` is used, whose sequence for a seed Python promises to keep, and times are
rounded to the microsecond, where no two mathematics libraries differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import exp, log
from random import Random
from statistics import NormalDist

from attrs import define, frozen

from statemachines.language.traffic import Item, Traffic

MAX_SEED = 2**63 - 1
_BITS_OF_A_NUMBER = 64

_P99 = NormalDist().inv_cdf(0.99)
"""How many standard deviations above its mean a normal distribution has its 99th percentile."""

Delay = Callable[[float], float]
"""Seconds, for a number of chance from 0 to just below 1: the inverse of a distribution function."""


@define(eq=False, weakref_slot=False)
class Coming:
    """An item that comes; ``at``: seconds after the arrival of its call."""

    at: float
    item: Item


@define(eq=False, weakref_slot=False)
class DrawnCall:
    """One call as it was drawn.

    :ivar number: from 1
    :ivar arrival: seconds after the first moment of the traffic
    :ivar coming: what comes, in order; at the same time, in the order of the file
    :ivar faults: what was lost, doubled and overtaken: which fault, and the type of the event
    """

    number: int
    arrival: float
    coming: list[Coming]
    faults: list[tuple[str, str]]


@frozen
class _Drawn:
    """An item with its distribution, ready to be drawn from."""

    item: Item
    delay: Delay
    chance: float


class Drawing:
    """Draws the calls of a traffic file.

    A fault's number below 1 is a rate, one for each item that is sent:

    - ``lose``: the item never comes;
    - ``duplicate``: it comes a second time, as long after the first as its ``after`` says when drawn once more;
    - ``reorder``: it changes places with the next item of its source that comes.

    The time of an item passes whether it comes or not. Calls arrive as a Poisson process of the traffic's rate.

    Weak spot: a whole number of faults (how many ``explore`` tries in a run) is no rate, and draws none.
    """

    def __init__(self, traffic: Traffic, seed: int) -> None:
        self._seed = seed
        self._rate_hz = traffic.rate_hz
        self._sources = [[_Drawn(item, delay_of(item), item.chance) for item in s] for s in traffic.sources.values()]
        self._lose, self._duplicate, self._reorder = (
            rate if (rate := traffic.faults.get(name, 0.0)) < 1 else 0.0 for name in ("lose", "duplicate", "reorder")
        )

    def calls(self) -> Iterator[DrawnCall]:
        """One call after the other, without end, in the order of their arrival."""
        stream, arrival, number = Random(), 0.0, 0  # noqa: S311 - chance, not secrets
        while True:
            number += 1
            stream.seed(self._seed << _BITS_OF_A_NUMBER | number)
            arrival += -log(1.0 - stream.random()) / self._rate_hz
            yield self._draw(number, arrival, stream.random)

    def _draw(self, number: int, arrival: float, chance: Callable[[], float]) -> DrawnCall:
        coming: list[Coming] = []
        faults: list[tuple[str, str]] = []
        for source in self._sources:
            coming += self._sent(source, chance, faults)
        coming.sort(key=_time)
        return DrawnCall(number, round(arrival, 6), coming, faults)

    def _sent(self, source: list[_Drawn], chance: Callable[[], float], faults: list[tuple[str, str]]) -> list[Coming]:
        """What one source sends, in its order, and what comes of it."""
        now = 0.0
        come: list[Coming] = []
        again: list[tuple[Coming, float]] = []
        overtaken: list[bool] = []
        for drawn in source:
            now += drawn.delay(chance())
            is_sent, is_lost, is_doubled = chance() < drawn.chance, chance() < self._lose, chance() < self._duplicate
            later, is_overtaken = chance(), chance() < self._reorder
            if not is_sent:
                continue
            if is_lost:
                faults.append(("lose", drawn.item.type))
                continue
            one = Coming(round(now, 6), drawn.item)
            come.append(one)
            overtaken.append(is_overtaken)
            if is_doubled:
                faults.append(("duplicate", drawn.item.type))
                again.append((one, drawn.delay(later)))
        for one, following, is_overtaken in zip(come, come[1:], overtaken, strict=False):
            if is_overtaken:
                faults.append(("reorder", one.item.type))
                one.at, following.at = following.at, one.at
        return [*come, *(Coming(round(one.at + later, 6), one.item) for one, later in again)]


def _time(coming: Coming) -> float:
    return coming.at


def delay_of(item: Item) -> Delay:
    """How long after the item before it an item comes, for a number of chance.

    >>> from statemachines.language.traffic import Item
    >>> delay_of(Item("call.accepted", after=("uniform", (1.0, 3.0))))(0.25)
    1.5
    """
    if not isinstance(item.after, tuple):
        constant = item.after
        return lambda chance: constant
    kind, numbers = item.after
    if kind == "exponential":
        mean = numbers[0]
        return lambda chance: -mean * log(1.0 - chance)
    if kind == "uniform":
        low, high = numbers
        return lambda chance: low + (high - low) * chance
    median, p99 = numbers
    spread = log(p99 / median) / _P99
    quantile = NormalDist().inv_cdf
    # No number of chance is 1, but one may be 0, of which no normal distribution has a quantile.
    return lambda chance: median * exp(spread * quantile(chance or 2.0**-54))
