"""How the connections of one definition begin, wait to begin, end and are forgotten, where others share the bus.

What comes while there is no connection is decided by :class:`~statemachines.connections.connections.Connections`, which
runs live ones too: for each event, after those that came before it, an empty one is asked once. What it says (a
connection began, the event waits, it reached nobody) is remembered. That an event waited long enough, and that an ended
connection is forgotten, are timers of the case.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from attrs import evolve, frozen

from bus.event import Event
from statemachines.connections.connections import Connections
from statemachines.connections.consequences import UNKNOWN
from statemachines.connections.reaction import Reaction
from statemachines.errors import StepNeverSettles
from statemachines.exploration.cases import Waiting as Timers
from statemachines.exploration.clocks import EARLY, Change, remaining
from statemachines.exploration.events import Symbol
from statemachines.exploration.made import NO_READS, Heard, Made
from statemachines.exploration.making import event_of
from statemachines.exploration.moves import Clock, Moves
from statemachines.exploration.reading import DEPENDENCIES
from statemachines.exploration.values import frozen_value
from statemachines.exploration.waiting import Waiting, Word
from statemachines.table.step import CREATED

_PLACES = 64
"""Of one kind so many events can wait."""
_TIMERS_EACH = 1 << 22
"""So many numbers of timers has the early part of each definition."""


@frozen(eq=False)
class _Came:
    """What an event does where there is no connection. With ``made`` one began.

    :ivar early: the bits of what waits afterwards
    """

    made: Made | None = None
    early: int = 0
    change: int = 0
    heard: tuple[Heard, ...] = ()


class Life:
    """Whether there is a connection of a definition, and what comes of events while there is none."""

    def __init__(self, moves: Moves, number: int, beginning: Iterable[Symbol] | None) -> None:
        """``beginning`` are the events known to begin one; with None, nothing is merged."""
        self.moves = moves
        self.number = number
        definition = moves.steps.definition
        self._connections = Connections(definition, moves.steps)
        self.starts = bool(definition.starts_on)
        """Whether an event begins one, so that there is none at first."""
        self.at_once = definition.retain <= 0
        """Whether what has ended is forgotten before anything else."""
        assert moves.cases.early is not None
        self._early = moves.cases.early
        self.tells_unknown = moves.relevance.hears(UNKNOWN)
        self._came: dict[tuple[int, int, tuple[int, ...]], _Came] = {}
        self._times_known: dict[int, tuple[int, ...]] = {}
        self._symbols: list[Symbol] = []
        self._numbers: dict[Hashable, int] = {}
        self._waiting: Waiting | None = None
        if beginning is not None and not self.tells_unknown:
            first = [*(moves.labels[label].symbol for label in range(moves.timer_labels)), *beginning]
            begins = [self._number(one) for one in first if one is not None and self._begins(one)]
            self._waiting = Waiting(self._outcome, dict.fromkeys(begins))
        self.forgets = moves.add_timer()
        """The timer after which an ended connection is forgotten."""
        self._ends = moves.change_number(
            Change(arms=((remaining(definition.retain), self.forgets),), owners=(moves.owner_of(self.forgets),))
        )
        self._all_timers = moves.change_number(Change(disarms=moves.states))

    @property
    def grown(self) -> bool:
        """Whether an early event was left out that makes a difference."""
        return self._waiting is not None and self._waiting.grown

    @property
    def beginning(self) -> tuple[Symbol, ...]:
        """The events that were found to begin a connection."""
        return () if self._waiting is None else tuple(self._symbols[number] for number in self._waiting.beginning)

    # -- what happens --

    def arrive(self, label: int, case: int) -> tuple[bool, int]:
        """Whether a transition was taken, and the case, after an event."""
        moves = self.moves
        if moves.is_there(case):
            return (False, case) if moves.ended(case) else self.stepped(*moves.after(label, case))
        times = self._times(case) if case & self._early.mask else ()
        key = (label, case & self._early.mask, times)
        came = self._came.get(key)
        if came is None:
            came = self._came[key] = self._let_come(label, self._early.of(case), times)
        if came.change:
            case = moves.change_timers(case, came.change)
        if came.made is not None:
            return self.stepped(came.made.took, moves.put(case, came.made))
        return False, moves.told(case & ~self._early.mask | came.early, came.heard)

    def stepped(self, took: bool, case: int) -> tuple[bool, int]:
        """The same, once the time of a connection begins that ended with the step."""
        if not self.at_once and self.moves.ended(case):
            case = self.moves.change_timers(case, self._ends)
        return took, case

    def forget(self, case: int) -> int:
        """The case in which the connection that has ended is there no more."""
        return self.moves.change_timers(case, self._all_timers) & ~self.moves.cases.own_mask

    def expire(self, case: int, clock: Clock) -> int:
        """The case in which the oldest early event has waited long enough."""
        waiting = self._early.of(case)
        left = tuple(timer for timer in waiting if timer != clock.timer)
        case = case & ~(self.moves.timers_mask | self._early.mask) | clock.after | self._early.number(left)
        return self.moves.told(case, self._unknown([self._symbol(clock.timer)]))

    def times(self, case: int) -> int:
        """At how many different times the early events came that wait."""
        return len(set(self._times(case))) if case & self._early.mask else 0

    # -- details --

    def _times(self, case: int) -> tuple[int, ...]:
        """Which early events came at the same time: those of one number. 0 is now."""
        bits = case & (self._early.mask | self.moves.timers_mask)
        times = self._times_known.get(bits)
        if times is None:
            left = {timer: left for left, timer in self.moves.cases.timers.of(case)}
            now = remaining(self.moves.steps.definition.early)
            different = sorted({now, *(left[timer] for timer in self._early.of(case))}, reverse=True)
            times = tuple(different.index(left[timer]) for timer in self._early.of(case))
            self._times_known[bits] = times
        return times

    def _let_come(self, label: int, waiting: Timers, times: tuple[int, ...]) -> _Came:
        symbol = self.moves.labels[label].symbol
        assert symbol is not None
        early = self._early.number(waiting)
        if not self.moves.steps.plan(symbol.type).named:
            return _Came(early=early)  # nobody on the bus hands it over
        reactions = self._live([self._symbol(timer) for timer in waiting], symbol)
        if reactions and reactions[0].kind == "registered":
            return self._begun(symbol, waiting, reactions)
        heard = self._unknown(reaction.event for reaction in reactions if reaction.kind in ("unknown", "expired"))
        if not any(reaction.kind == "early" for reaction in reactions):
            if any(isinstance(reaction.error, StepNeverSettles) for reaction in reactions):
                self.moves.making.circles.add(("before it begins", symbol.type))
            return _Came(early=early, heard=heard)
        gone = waiting[: len(waiting) + 1 - len(self._connections.early)]
        return self._held(symbol, waiting, gone, heard, times)

    def _live(self, waiting: Iterable[Symbol], symbol: Symbol) -> list[Reaction]:
        """What live connections answer to an event; others had come before."""
        self._connections.begin_anew()
        for early in waiting:
            self._connections.receive(event_of(early), at=0.0, now=0.0)
        return self._connections.receive(event_of(symbol), at=0.0, now=0.0)

    def _begun(self, symbol: Symbol, waiting: Timers, reactions: list[Reaction]) -> _Came:
        if self._waiting is not None:
            self._waiting.begins(self._number(symbol))
        made = self._made(reactions, symbol, keep=True)
        return _Came(self.moves.making.keep(made), change=self._change(waiting))

    def _held(
        self, symbol: Symbol, waiting: Timers, gone: Timers, heard: tuple[Heard, ...], times: tuple[int, ...]
    ) -> _Came:
        """An event waits, unless it is needless, and those no longer that are ``gone`` or needless now."""
        kept = [timer for timer in waiting if timer not in gone]
        new = self._timer(symbol, kept)
        kept.append(new)
        if self._waiting is not None:
            needed = self._waiting.needed(tuple(map(self._kind, kept)), (*times[len(gone) :], 0))
            kept = [kept[place] for place in needed]
        change = self._change([timer for timer in waiting if timer not in kept], [new] if new in kept else [])
        return _Came(early=self._early.number(tuple(kept)), change=change, heard=heard)

    def _change(self, gone: Iterable[int], new: Iterable[int] = ()) -> int:
        left = remaining(self.moves.steps.definition.early)
        owners = tuple(new)
        return self.moves.change_number(Change(frozenset(gone), tuple((left, timer) for timer in owners), owners))

    def _made(self, reactions: list[Reaction], symbol: Symbol, *, keep: bool) -> Made:
        """What the steps of a beginning did together; with ``keep`` it is noted what was possible on the way."""
        making, first = self.moves.making, reactions[0]
        assert first.step is not None
        made = making.result(first.step, NO_READS)
        if first.step.event.type == CREATED and symbol.type != CREATED:
            made = evolve(made, heard=(*news_of(self.moves, self.number, first.event.data), *made.heard))
        for reaction in reactions[1:]:
            step = reaction.step
            if step is not None:
                if keep and step.before is not None and not reaction.again:
                    making.look(step, step.before, making.steps.layout.event_class(step.event.type))
                made = made.then(making.result(step, NO_READS))
            elif reaction.kind == "unknown":
                made = evolve(made, heard=(*made.heard, *self._unknown([reaction.event])))
        return made

    def _outcome(self, word: Word, beginning: int) -> Hashable:
        """What tells apart how a connection stands that one event began, after some that came early."""
        symbol = self._symbols[beginning]
        reactions = self._live([self._symbols[number] for number in word], symbol)
        if not reactions or reactions[0].kind != "registered":
            return "nothing"
        made = self._made(reactions, symbol, keep=False)
        told = self.moves.cases.told_apart(made.record)
        heard = tuple(one.key for one in made.heard)
        return told, made.change.arms, heard, made.took, made.opened, made.fired, made.performed

    def _begins(self, symbol: Symbol) -> bool:
        return self._connections.starts_on(event_of(symbol))

    def _unknown(self, events: Iterable[Event | Symbol]) -> tuple[Heard, ...]:
        """What is told of events that reached nobody, if anybody hears it."""
        if not self.tells_unknown:
            return ()
        return tuple(self.moves.making.heard_event(UNKNOWN, {"type": event.type, "id": None}) for event in events)

    # -- numbers --

    def _number(self, symbol: Symbol) -> int:
        key = (symbol.type, frozen_value(dict(symbol.data)))
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._symbols)
            self._symbols.append(symbol)
        return number

    def _timer(self, symbol: Symbol, waiting: list[int]) -> int:
        """A number for the timer of one more event: the lowest of its kind that is free, so that cases are alike."""
        first = EARLY + self.number * _TIMERS_EACH + self._number(symbol) * _PLACES
        return next(first + place for place in range(_PLACES) if first + place not in waiting)

    def _kind(self, timer: int) -> int:
        return (timer - EARLY) % _TIMERS_EACH // _PLACES

    def _symbol(self, timer: int) -> Symbol:
        return self._symbols[self._kind(timer)]


def life_of(timer: int) -> int:
    """The number of the definition that an early event's timer belongs to."""
    return (timer - EARLY) // _TIMERS_EACH


def news_of(moves: Moves, number: int, told: Any) -> tuple[Heard, ...]:
    """That a connection was registered, if another definition hears it."""
    if not moves.relevance.others_hear(CREATED):
        return ()
    return (evolve(moves.making.heard_event(CREATED, dict(told)), but=number),)


def registration(moves: Moves) -> dict[str, Any]:
    """What is told of a registration at the start, as :class:`Connections` tells it."""
    return {"call_id": None, DEPENDENCIES: list(moves.steps.layout.named(moves.cases.required))}
