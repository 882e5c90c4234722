"""Only what some sources send: each in its own order, with at most so many events lost, doubled or overtaken.

Between sources any order can happen. Orders that lead to the same case are one from there on. Two more reductions:

Sources that send the same are interchangeable, so of the ways to have got so far with each only one is kept: the
quotient by an automorphism group (Emerson and Sistla, Symmetry and model checking, 1996). No property names
a source.

An event that can change nothing, whenever it comes, is taken as having come as soon as it could. It is independent of
every other move and no property sees it: an ample set of one (Peled, All from one, one for all, 1993). What could be
lost of it, doubled or overtaken changes nothing either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from statemachines.exploration.events import Symbol
from statemachines.exploration.labels import Fault, Label
from statemachines.exploration.moves import Clock, Moves
from statemachines.exploration.packing import Part
from statemachines.exploration.search import AnyOrder
from statemachines.language.traffic import FAULTS, Item, Traffic


@frozen
class Sent:
    """How far a source has come: the number of its next item, those that were held back, those that never came."""

    next: int = 0
    held: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()


@frozen
class Progress:
    """How far the sources have come, and how many faults may still happen: losses, doublings, overtakings."""

    sources: tuple[Sent, ...]
    left: tuple[int, int, int]


@frozen
class Arrival:
    """A move of the traffic: an event comes, or does not (``label`` is that of a move without one)."""

    label: int
    symbol: int | None
    then: Progress


class Given(AnyOrder):
    """The world of a traffic file. ``reduce`` is for tests, which compare with all orders."""

    any_order = False

    def __init__(self, around: AnyOrder, traffic: Traffic, symbols: Sequence[Symbol], *, reduce: bool = True) -> None:
        """``around`` is the world of the same connections in which any event may come."""
        super().__init__(around.moves)
        self.members = around.members
        self._around = around
        above = self.members[-1].cases.above
        self._items = [tuple(_numbers(items, symbols)) for items in traffic.sources.values()]
        self._unsure = [tuple(item.chance < 1 for item in items) for items in traffic.sources.values()]
        self._idle = [tuple(reduce and self._is_idle(symbols[n]) for n in items) for items in self._items]
        self._same = self._interchangeable() if reduce else []
        lose, duplicate, reorder = (_times(traffic.faults.get(name, 0)) for name in FAULTS)
        first = self._reduced(Progress(tuple(Sent() for _ in self._items), (lose, duplicate, reorder)))
        self._progress: Part[Progress] = Part("traffic", above, 32)
        self._progress.number(first)
        self._arrivals: dict[int, tuple[tuple[int, int | None, int], ...]] = {}
        self._labels: dict[tuple[Fault | None, int], int] = {}
        self._above = above
        self._below = (1 << above) - 1

    def start(self) -> int:
        """The case of connections just registered."""
        return self._around.start()

    def ended(self, case: int) -> bool:
        """Whether all connections have ended."""
        return self._around.ended(case)

    def after(self, label: int, case: int) -> tuple[bool, int]:
        """The case after an event."""
        return self._around.after(label, case)

    def timer_label(self, clock: Clock) -> int:
        """The label of the timer that is due next."""
        return self._around.timer_label(clock)

    def come_back(self, case: int) -> tuple[bool, int]:
        """The case after the first of the events that come back has done so."""
        return self._around.come_back(case)

    def fire(self, case: int, clock: Clock) -> tuple[bool, int]:
        """The case after the next timer has fired."""
        return self._around.fire(case, clock)

    def expand(self, case: int, found: list[int]) -> tuple[bool, int]:
        """The next items of the sources, and what time brings."""
        moves = self.moves
        gone = self.forgotten(case)
        if gone is not None:
            found += (moves.back_label, gone)
            return False, 1
        if case & moves.cases.heard.mask:
            active, after = self.come_back(case)
            found += (moves.back_label, after)
            return active, 1
        if self.ended(case):
            return False, 0
        running = (case & moves.timers_mask) >> moves.timers_shift
        clock = moves.clock(running) if running else None
        if clock is not None and clock.due_now:
            active, after = self.fire(case, clock)
            found += (self.timer_label(clock), after)
            return active, 1
        active, tried = False, 0
        connection = case & self._below
        for label, symbol, progress in self.arrivals(case >> self._above):
            after = connection
            if symbol is not None:
                took, after = self.after(symbol, connection)
                active |= took
            found += (label, after & self._below | progress)
            tried += 1
        if clock is not None:
            if clock.before is not None:
                found += (moves.wait_label, case & ~moves.timers_mask | clock.before)
                tried += 1
            _, after = self.fire(case, clock)
            found += (self.timer_label(clock), after)
            return True, tried + 1
        return active, tried

    def forgotten(self, case: int) -> int | None:
        """The case in which a connection that has ended is forgotten at once."""
        return self._around.forgotten(case)

    def forced(self, case: int) -> int | None:
        """The case after what happens by itself and at once."""
        return self._around.forced(case)

    def may_rest(self, case: int) -> bool:
        """Whether also all that surely comes has come, or all connections have ended."""
        return self._around.may_rest(case) and (self.may_go_on(case) or self.ended(case))

    def may_go_on(self, case: int) -> bool:
        """Whether nothing surely comes any more, so that what goes round can do so for ever."""
        progress = self._progress.values[case >> self._above]
        return all(
            sent.next == len(items) and not sent.held for sent, items in zip(progress.sources, self._items, strict=True)
        )

    def arrivals(self, number: int) -> tuple[tuple[int, int | None, int], ...]:
        """What the sources can do where they are: label, event, and where they are then, in its bits."""
        found = self._arrivals.get(number)
        if found is None:
            made = {
                (label, symbol, self._progress.number(self._reduced(then)))
                for label, symbol, then in self._next(self._progress.values[number])
            }
            found = self._arrivals[number] = tuple(sorted(made, key=self._told_first))
        return found

    # -- details --

    def _told_first(self, arrival: tuple[int, int | None, int]) -> tuple[bool, int, bool, int]:
        """Of moves to the same case the first is told: rather that nothing came than what made no difference."""
        label, symbol, then = arrival
        stays_away = symbol is None and self.moves.labels[label].fault is None
        return not stays_away, label, symbol is None, then

    def _next(self, progress: Progress) -> Iterator[tuple[int, int | None, Progress]]:
        lose, duplicate, reorder = progress.left
        for source, (sent, items) in enumerate(zip(progress.sources, self._items, strict=True)):
            if sent.next < len(items):
                symbol = items[sent.next]
                gone = evolve(sent, next=sent.next + 1)
                missing = evolve(gone, missing=(*gone.missing, sent.next))
                yield symbol, symbol, _with(progress, source, gone)
                if self._unsure[source][sent.next]:
                    yield self._label(None, symbol), None, _with(progress, source, missing)
                if lose:
                    yield (
                        self._label("lose", symbol),
                        None,
                        _with(progress, source, missing, (lose - 1, duplicate, reorder)),
                    )
                if reorder and sent.next + 1 < len(items):
                    held = evolve(missing, held=(*gone.held, sent.next))
                    yield self._label(None, symbol), None, _with(progress, source, held, (lose, duplicate, reorder - 1))
            for number in sent.held:
                if sent.next > number + 1:
                    come = evolve(
                        sent,
                        held=tuple(other for other in sent.held if other != number),
                        missing=tuple(other for other in sent.missing if other != number),
                    )
                    yield self._label("reorder", items[number]), items[number], _with(progress, source, come)
            if duplicate:
                for number in range(sent.next):
                    if number not in sent.missing and not self._idle[source][number]:
                        twice = evolve(progress, left=(lose, duplicate - 1, reorder))
                        yield self._label("duplicate", items[number]), items[number], twice

    def _label(self, fault: Fault | None, symbol: int) -> int:
        found = self._labels.get((fault, symbol))
        if found is None:
            found = self._labels[fault, symbol] = len(self.moves.labels)
            self.moves.labels.append(Label("fault", self.moves.labels[symbol].symbol, fault=fault))
        return found

    def _reduced(self, progress: Progress) -> Progress:
        sources = list(progress.sources)
        doubles = progress.left[1] > 0
        for number, sent in enumerate(sources):
            place = sent.next
            while place < len(self._items[number]) and self._idle[number][place]:
                place += 1
            sources[number] = Sent(place, tuple(sorted(sent.held)), tuple(sorted(sent.missing)) if doubles else ())
        for group in self._same:  # the order of their names is as good as any
            ordered = sorted((sources[number] for number in group), key=lambda s: (s.next, s.held, s.missing))
            for number, sent in zip(group, ordered, strict=True):
                sources[number] = sent
        return evolve(progress, sources=tuple(sources))

    def _interchangeable(self) -> list[list[int]]:
        groups: dict[tuple[object, ...], list[int]] = {}
        for number, items in enumerate(self._items):
            groups.setdefault((items, self._unsure[number]), []).append(number)
        return [group for group in groups.values() if len(group) > 1]

    def _is_idle(self, symbol: Symbol) -> bool:
        """Whether an event of this type can change nothing that matters."""
        return not any(_concerns(moves, symbol) for moves in self.members)


def _concerns(moves: Moves, symbol: Symbol) -> bool:
    if moves.life is not None and moves.steps.plan(symbol.type).named:
        return True  # it may begin a connection, or come early for one
    told = moves.relevance.told_by(symbol.type)
    hears = moves.steps.plan(symbol.type).event_class != 0 or moves.cases.deferred_mask != 0 or moves.wakes
    return bool(told.dependencies or told.remembered or hears)


def symbols_of(traffic: Traffic) -> list[Symbol]:
    """Every event of a traffic file, once."""
    found: list[Symbol] = []
    for items in traffic.sources.values():
        for item in items:
            symbol = Symbol(item.type, item.data)
            if symbol not in found:
                found.append(symbol)
    return found


def _numbers(items: Sequence[Item], symbols: Sequence[Symbol]) -> Iterator[int]:
    return (symbols.index(Symbol(item.type, item.data)) for item in items)


def _with(progress: Progress, source: int, sent: Sent, left: tuple[int, int, int] | None = None) -> Progress:
    sources = (*progress.sources[:source], sent, *progress.sources[source + 1 :])
    return Progress(sources, progress.left if left is None else left)


def _times(fault: float) -> int:
    """How often a fault may happen in one run; a rate below 1 is for simulations, and here once."""
    return 1 if 0 < fault < 1 else int(fault)
