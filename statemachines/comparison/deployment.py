"""The old definition explored, every case of it carried to the new one, and the pairs compared.

One deployment is of connections that were registered alike: with the same required dependencies and timeouts.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import frozen

from statemachines.comparison.pairs import Move, Pairs, Shades
from statemachines.comparison.result import Difference, Verdict
from statemachines.comparison.watching import Sights, WatchedCases, WatchedMoves, WatchedRelevance
from statemachines.comparison.ways import tell_difference
from statemachines.connections.carrying import Carrier
from statemachines.exploration.cases import Shared
from statemachines.exploration.events import Symbol, alphabet
from statemachines.exploration.graph import backwards
from statemachines.exploration.moves import Moves
from statemachines.exploration.packing import Part, TooMany
from statemachines.exploration.search import AnyOrder, Bounds, Graph, Progress, search
from statemachines.exploration.values import Candidates
from statemachines.table.step import Steps

SIGHTS_BITS = 20

NOBODYS = "other.happened"
"""An event that no definition names; it too lets a connection look again at its transitions without event."""

FAR = -1


@frozen
class Registration:
    """What connections were registered with: under the old definition, and what a new one requires under the new."""

    required: int
    timeouts: tuple[tuple[str, float], ...] = ()
    required_anew: int | None = None


@frozen
class Limits:
    """What is left to be spent. ``until`` is on the monotonic clock."""

    cases: int | None
    until: float | None
    progress: Progress | None

    def bounds(self, part: float = 1.0) -> Bounds:
        """Bounds for a search that may take so large a part of the time that is left."""
        left = None if self.until is None else max(0.0, self.until - time.monotonic()) * part
        return Bounds(self.cases, left)


class _OfBoth(Candidates):
    """Facts are carried by name, so those of both definitions take the same values."""

    def begin(self, definition: str) -> None:
        """Nothing: the facts of the next definition are these."""


class Deployment:
    """Connections of one kind, when the new definition comes."""

    def __init__(
        self,
        old: Steps,
        new: Steps,
        registration: Registration,
        values: Iterable[tuple[str, Any]] = (),
        *,
        alike: bool = False,
    ) -> None:
        """``alike``: the two say the same, so that there is nothing to compare."""
        self.alike = alike
        self._registration_cut: str | None = None
        self._restless: str | None = None
        self.carrier = Carrier(old.layout, new)
        required = registration.required
        anew = registration.required_anew
        theirs = self.carrier.required(required) if anew is None else anew
        mine, other = WatchedRelevance(old.layout, required), WatchedRelevance(new.layout, theirs)
        mine.serve(other)
        values = list(values)
        unwatched = mine.unwatched()
        acting = alphabet([(old, unwatched), (new, other.unwatched())], _candidates((mine, other), values))
        published = mine.shaded() | other.shaded()
        watching = [(old, mine), (new, other)] if published else []
        told = alphabet(watching, _candidates((mine, other), values))
        base = [*acting.symbols, *_nobodys(old, new)]
        symbols = [*base, *told.symbols]
        by_type: dict[str, list[int]] = {}
        for label, symbol in enumerate(told.symbols, start=len(base)):
            by_type.setdefault(symbol.type, []).append(label)
        shades = Shades(len(base), by_type, published)
        self.notes = [f"{event_type} has more payloads than were tried" for event_type in (*acting.cut, *told.cut)]
        shared, states = Shared(), list[int]()
        seen: Part[Sights] = shared.packing.part("sights", (), SIGHTS_BITS)
        timeouts = dict(registration.timeouts)
        self.cases = WatchedCases(old, mine, required, shared, timeouts)
        theirs_cases = WatchedCases(new, other, theirs, shared, timeouts)
        self.pairs = Pairs(
            WatchedMoves(old, mine, self.cases, symbols, states, seen),
            WatchedMoves(new, other, theirs_cases, symbols, states, seen),
            self.carrier,
            shades,
        )
        moves = Moves(old, unwatched, self.cases, base)
        moves.closes = ()  # no property is judged here
        self.world = AnyOrder(moves)
        self.graph = Graph(self.world)
        self.pair_graph = Graph(self.pairs)
        self.carried: list[int | tuple[str, ...] | None] = []
        """For each case of the old definition the pair it is carried to, or why not; None for one at no rest."""
        self._distances: array[int] = array("q")
        self._open = bytearray()

    # -- searching --

    def explore(self, limits: Limits) -> None:
        """Find the cases of the old definition, and carry each."""
        self.graph = search(self.world, limits.bounds(0.3), limits.progress)
        self.carried = [self._carried(case) for case in self.graph.cases]
        self._restless = self._phase_without_rest()

    def _carried(self, case: int) -> int | tuple[str, ...] | None:
        if self.world.moves.ended(case) or self.world.forced(case) is not None:
            return None
        return self.pairs.carried(case)

    def _phase_without_rest(self) -> str | None:
        """A phase in which a connection hears itself without end; None if all come to rest, as far as was searched."""
        calm: set[int] = set()
        for number, carried in enumerate(self.carried):
            case = None if carried is not None else self.graph.cases[number]
            way: dict[int, None] = {}
            while case is not None and case in self.graph.numbers and case not in calm:
                if case in way:
                    return self.cases.situation(case).phase
                way[case] = None
                case = None if self.world.moves.ended(case) else self.world.forced(case)
            calm.update(way)
        return None

    def compare(self, limits: Limits, others: Iterable[int] = ()) -> None:
        """Follow all pairs, and those of ``others``, to see which come apart."""
        if self.alike:
            return
        begin = dict.fromkeys(pair for pair in self.carried if isinstance(pair, int))
        begin.update(dict.fromkeys(others))
        self.pairs.begin = list(begin)
        bounds = limits.bounds(0.6)
        self.pairs.until = None if bounds.seconds is None else time.monotonic() + bounds.seconds
        self.pair_graph = search(self.pairs, bounds, limits.progress)
        self.pairs.until = None
        self._measure()

    def _measure(self) -> None:
        """How far each pair is from coming apart, and which may still do so where nobody looked."""
        graph, pairs = self.pair_graph, self.pairs
        size = len(graph.cases)
        self._distances = array("q", [FAR]) * size
        self._open = bytearray(size)
        if graph.complete and not pairs.apart:
            return
        apart = [graph.numbers[pair] for pair in pairs.apart if pair in graph.numbers]
        for number, distance in _spread(graph, apart):
            self._distances[number] = distance
        for number, _ in _spread(graph, range(graph.expanded, size)):
            self._open[number] = 1

    # -- what was found --

    def why_cut(self) -> Iterator[str]:
        """Why not all was tried."""
        for graph, what in ((self.graph, "cases"), (self.pair_graph, "pairs of cases")):
            if graph.why_cut is not None:
                yield f"{what}: {graph.why_cut}"
        if self._restless is not None:
            yield f"in {self._restless} a connection hears itself without end: it is never at rest to be carried over"
        if self._registration_cut is not None:
            yield f"a new connection: {self._registration_cut}"

    def distance(self, pair: int) -> int:
        """How many moves tell a pair apart before the last; FAR if none do that are known."""
        return self._distances[self.pair_graph.numbers[pair]] if pair in self.pair_graph.numbers else FAR

    def verdict(self, pair: int) -> Verdict:
        """What is known of a pair's future."""
        if self.alike:
            return "same"
        number = self.pair_graph.numbers.get(pair)
        if number is None:
            return "undecided"
        if self._distances[number] != FAR:
            return "changed"
        return "undecided" if self._open[number] else "same"

    def difference(self, pair: int, case: int | None) -> Difference:
        """The shortest events that tell a pair apart; ``case`` is the number of the old case that it comes from."""
        moves, at = [], pair
        while (distance := self.distance(at)) > 0:
            found: list[int] = []
            self.pairs.expand(at, found)
            steps = ((found[place - 1], found[place]) for place in range(1, len(found), 2))
            label, at = next((label, after) for label, after in steps if self.distance(after) == distance - 1)
            moves.append(label)
        moves.append(self.pairs.apart[at])
        before = None if case is None else (self.world, self.graph, case)
        return tell_difference(self.pairs, before, pair, moves)

    def at_registration(self) -> Move | None:
        """What each side does with a connection that is registered; None if that has more values than can be held."""
        try:
            return self.pairs.fresh()
        except TooMany as error:
            self._registration_cut = str(error)
            return None


def _spread(graph: Graph, sources: Sequence[int]) -> Iterator[tuple[int, int]]:
    """All from which one of these can be reached, nearest first, with how many moves it takes."""
    from_where, offsets = backwards(graph)
    distances = dict.fromkeys(sources, 0)
    waiting = list(distances)
    for number in waiting:
        yield number, distances[number]
        for source in from_where[offsets[number] : offsets[number + 1]]:
            if source not in distances:
                distances[source] = distances[number] + 1
                waiting.append(source)


def _candidates(relevant: Iterable[WatchedRelevance], values: Iterable[tuple[str, Any]]) -> Candidates:
    candidates = _OfBoth()
    for one in relevant:
        for expression in one.heard_data():
            candidates.told(expression)
    for name, value in values:
        candidates.known(name, value)
    return candidates


def _nobodys(old: Steps, new: Steps) -> Iterator[Symbol]:
    if not (old.layout.is_named(NOBODYS) or new.layout.is_named(NOBODYS)):
        yield Symbol(NOBODYS, {})
