"""A connection under two definitions at once: what comes, comes to both, and an onlooker compares what they do.

A pair is a case of the old definition and one of the new, on one clock, packed into one number. A move is an event that
comes, or time that passes until the next timer of either is due, or until just before. It includes all that follows at
once: what either publishes comes back to itself alone, and what is due now fires before anything else can come. If the
sights of both are the same, the move leads to another pair; if not, it tells the two apart, and leads nowhere.

Both sides are deterministic, so a pair whose moves never come to tell it apart stands for the same future for ever
(bisimulation, Park 1981; the search for it on pairs as they come up is Fernandez and Mounier's, 1991).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set

from attrs import frozen

from bus.causality import MAX_CAUSATION_DEPTH
from statemachines.comparison.watching import Sight, Sights, WatchedMoves, looks_of
from statemachines.connections.carrying import Carrier
from statemachines.exploration.clocks import Timers
from statemachines.exploration.labels import Label
from statemachines.exploration.moves import Clock, Moves
from statemachines.exploration.packing import Part, TooMany
from statemachines.table.record import Record

LONG = 50
"""From so many on it is looked for a circle in what follows."""

AT_ONCE = -1
"""Instead of a label: the two are apart before anything has come."""


@frozen
class Shades:
    """Payloads that differ only in what is published of them: tried where something is.

    :ivar first: the label of the first of them; those before are told apart by what they do
    :ivar by_type: the labels of each type of event
    :ivar published: the events that are published with something of their cause
    """

    first: int
    by_type: Mapping[str, Sequence[int]]
    published: Set[str]

    def of(self, label: Label) -> Sequence[int]:
        """The shades of an event."""
        return () if label.symbol is None else self.by_type.get(label.symbol.type, ())


@frozen
class Move:
    """What a move does: where it leads, and what each side shows on the way."""

    after: int
    old: Sights
    new: Sights

    @property
    def same(self) -> bool:
        """Whether nobody can tell."""
        return tuple(sight.key for sight in self.old) == tuple(sight.key for sight in self.new)


class Pairs:
    """The moves of all pairs; a world for :func:`statemachines.exploration.search.search`.

    The first case of the search is no pair: its moves lead to those that connections begin in.

    :ivar apart: the pairs that a move tells apart, with its label
    """

    any_order = True
    untried: str | None = None

    def __init__(self, old: WatchedMoves, new: WatchedMoves, carrier: Carrier, shades: Shades) -> None:
        self.old = old
        self.new = new
        self.carrier = carrier
        self.moves: Moves = old
        self.members: tuple[Moves, ...] = (old, new)
        self.begin: Sequence[int] = ()
        self.until: float | None = None
        """When to give up, on the monotonic clock: a single pair may take long where much follows at once."""
        self.apart: dict[int, int] = {}
        self.wait_label = old.wait_label
        self.due_label = self.wait_label + 2
        self._first = 1 << new.cases.above
        self._timers: Part[Timers] = old.cases.timers
        self._tidied: dict[int, int] = {}
        self._symbols = range(shades.first)
        self._shades = [shades.of(old.labels[label]) for label in self._symbols]
        self._shaded = shades.published
        self._telling: dict[int, bool] = {}
        self._carried: dict[int, int | tuple[str, ...]] = {}

    # -- where pairs begin --

    def carried(self, case: int) -> int | tuple[str, ...]:
        """A case of the old definition with the one that a deployment makes of it; or why there is none."""
        timers = self._timers.of(case)
        bits = case & ~self._timers.mask
        found = self._carried.get(bits)
        if found is None:
            record = self.old.cases.record(case)
            lost = self.carrier.obstacles(record)
            found = self._carried[bits] = tuple(lost) if lost else self._new_case(record)
        lost_timers = tuple(self.carrier.lost_timers(spec for _, spec in timers))
        if isinstance(found, tuple) or lost_timers:
            return (*(found if isinstance(found, tuple) else ()), *lost_timers)
        likes = self.carrier.timers
        theirs = tuple((left, self.new.first_timer + likes[spec].number) for left, spec in timers)
        return self._tidy(bits | found | self._timers.number((*timers, *theirs)))

    def _new_case(self, record: Record) -> int:
        return self.new.cases.pack(self.carrier.carry(record))

    def fresh(self) -> Move:
        """A connection that each side registers."""
        old: list[Sight] = []
        new: list[Sight] = []
        case = self._worked_off(self.old, self.old.register(0), old)
        return self._settled(self._worked_off(self.new, self.new.register(case), new), old, new)

    # -- a world to search --

    def start(self) -> int:
        """The case from which all pairs are reached."""
        return self._first

    def expand(self, case: int, found: list[int]) -> tuple[bool, int]:
        """Append label and next pair of each move that changes something and tells nothing apart."""
        if case == self._first:
            for pair in self.begin:
                if not self._look_alike(pair):
                    self.apart[pair] = AT_ONCE
                found += (0, pair)
            return True, 0
        if self.apart.get(case) == AT_ONCE or self.old.ended(case):
            return False, 0
        if self.until is not None and time.monotonic() > self.until:
            raise TooMany("it took too long")
        tried = 0
        for label in self._symbols:
            tried += 1
            self._tells = False
            self._follow(label, case, self._event(label, case), found)
            if self._tells:
                for shade in self._shades[label]:
                    tried += 1
                    self._follow(shade, case, self._event(shade, case), found)
        running = (case & self._timers.mask) >> self._timers.shift
        if running:
            clock = self.old.clock(running)
            tried += 1
            self._follow(self.due_label, case, self._due(case, clock), found)
            if clock.before is not None:
                found += (self.wait_label, self._tidy(case & ~self._timers.mask | clock.before))
        return True, tried

    def _follow(self, label: int, case: int, after: int, found: list[int]) -> None:
        if after < 0:
            self.apart.setdefault(case, label)
        elif after != case:
            found += (label, after)

    def move(self, label: int, case: int) -> Move:
        """What a move shows. Waiting until just before a timer shows nothing."""
        if label == AT_ONCE:
            return Move(case, (self._looks(case, self.old),), (self._looks(case, self.new),))
        if label == self.wait_label:
            clock = self._clock(case)
            assert clock is not None
            assert clock.before is not None
            return Move(self._tidy(case & ~self._timers.mask | clock.before), (), ())
        if label == self.due_label:
            return self._settled(case, [], [], fires=True)
        old: list[Sight] = []
        new: list[Sight] = []
        case = self._step(self.old, label, case, old)
        return self._settled(self._step(self.new, label, case, new), old, new)

    def label(self, label: int) -> Label:
        """A label in the words of stories."""
        if label == self.due_label:
            return Label("timer")
        return self.old.labels[label]

    def forced(self, case: int) -> int | None:
        """Nothing: a move includes all that happens by itself."""
        return None

    def may_rest(self, case: int) -> bool:
        """Whether nothing more has to happen."""
        return True

    def may_go_on(self, case: int) -> bool:
        """Always: no event has to come."""
        return True

    def passed(self, before: int, after: int) -> int:
        """How long the next timer had to run, if time passed."""
        clock = self._clock(before)
        return 0 if clock is None else clock.elapsed

    # -- one move --

    def _event(self, label: int, case: int) -> int:
        """The pair after an event; -1 if it tells the two apart."""
        old, new = self.old, self.new
        seen, heard = old.seen.mask, old.cases.heard.mask
        _, after = old.after(label, case)
        if not after & heard and not new.ended(case):
            mine = after & seen
            if mine:
                self._tells |= self._is_telling(mine)
            _, after = new.after(label, after & ~seen)
            if not after & heard and not self._is_due(after):
                if after & seen:
                    self._tells |= self._is_telling(after & seen)
                return self._tidy(after & ~seen) if mine == after & seen else -1
        move = self.move(label, case)
        self._tells |= self._has_shades((*move.old, *move.new))
        return move.after if move.same else -1

    def _is_telling(self, number: int) -> bool:
        found = self._telling.get(number)
        if found is None:
            found = self._telling[number] = self._has_shades(self.old.sights(number))
        return found

    def _has_shades(self, sights: Sights) -> bool:
        """Whether something was published that may be told otherwise of an event with another payload."""
        return any(sight.kind == "publish" and sight.name in self._shaded for sight in sights)

    def _due(self, case: int, clock: Clock) -> int:
        move = self._settled(case, [], [], fires=True)
        return move.after if move.same else -1

    def _settled(self, case: int, old: list[Sight], new: list[Sight], *, fires: bool = False) -> Move:
        """The pair when all has happened that does so by itself and at once; ``fires``: from the next timer on."""
        for _ in range(MAX_CAUSATION_DEPTH):
            clock = self._clock(case)
            if clock is None or not (clock.due_now or fires):
                break
            fires = False
            side, sights = (self.new, new) if clock.timer >= self.new.first_timer else (self.old, old)
            case = case & ~self._timers.mask | clock.after
            if not side.ended(case):
                case = self._step(side, side.timer_label(clock), case, sights)
        return Move(self._tidy(case), tuple(old), tuple(new))

    def _step(self, side: WatchedMoves, label: int, case: int, sights: list[Sight]) -> int:
        """The case after a move of one side and whatever comes back to it from that."""
        if side.ended(case):
            return case
        return self._worked_off(side, side.after(label, case)[1], sights)

    def _worked_off(self, side: WatchedMoves, case: int, sights: list[Sight]) -> int:
        """The case after all that comes back has done so; what would never end is cut where a bus cuts it."""
        heard, seen = side.cases.heard.mask, side.seen.mask
        been: dict[int, int] = {}
        trail: list[int] = []
        for number in range(MAX_CAUSATION_DEPTH):
            sights += side.sights(case)
            case &= ~seen
            if not case & heard:
                return case
            if number >= LONG:
                before = been.setdefault(case, number)
                if before < number:  # round and round: where it stands after so many is known without going there
                    case = trail[before - LONG + (MAX_CAUSATION_DEPTH - number) % (number - before)]
                    return case & ~heard
                trail.append(case)
            _, case = side.come_back(case)
        return case & ~heard & ~seen

    def _clock(self, case: int) -> Clock | None:
        running = (case & self._timers.mask) >> self._timers.shift
        return self.old.clock(running) if running else None

    def _is_due(self, case: int) -> bool:
        running = (case & self._timers.mask) >> self._timers.shift
        return bool(running) and self.old.clock(running).due_now

    def _tidy(self, case: int) -> int:
        """The same pair with timers that are due together in one order: which side's comes first is the same."""
        number = case & self._timers.mask
        found = self._tidied.get(number)
        if found is None:
            first = self.new.first_timer
            timers = sorted(self._timers.of(case), key=lambda running: (running[0], running[1] >= first))
            found = self._tidied[number] = self._timers.number(tuple(timers))
        return case & ~self._timers.mask | found

    # -- what is seen at rest --

    def _looks(self, case: int, side: WatchedMoves) -> Sight:
        return looks_of(side.cases.situation(case))

    def _look_alike(self, case: int) -> bool:
        old, new = self.old.cases.situation(case), self.new.cases.situation(case)
        return old.phase == new.phase and looks_of(old).key == looks_of(new).key
