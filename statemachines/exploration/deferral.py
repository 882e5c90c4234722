"""The events that a connection defers, up to those that no future tells apart.

Sixteen deferred events in any order are too many to try: of two types alone some hundred thousand. But most orders do
the same. What is deferred matters when it is sent again, and as each event is sent alone, two words of events that do
the same wherever they are sent do so with one more event after both, too. So words are merged as Nerode merges them
(Linear automaton transformations, 1958): two of the same length (for the seventeenth is refused) are one if at every
*place*, a connection as it is when its events are sent again, they do the same.

Places are found while searching, and are one if they agree in their states, and in the facts that any word reads. A
search begins with the words told apart at the places known so far, and holds every merger against each new place. If
one was wrong, or another fact is read, the search begins anew with what was learnt, as it does for dead facts
(:mod:`~statemachines.exploration.liveness`). In the last search all mergers hold at all places that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from copy import copy
from typing import TYPE_CHECKING, Literal

from attrs import define, evolve, field

from bus.event import Event
from statemachines.exploration.made import Made, counted
from statemachines.exploration.packing import Packing, Part
from statemachines.exploration.reading import Reads
from statemachines.exploration.values import frozen_value
from statemachines.table.record import Record
from statemachines.table.step import MAX_DEFERRED

if TYPE_CHECKING:
    from statemachines.exploration.cases import Cases

Resent = Literal["waits", "taken", "moved"]
Word = tuple[Event, ...]
Resend = Callable[[Record, Event], tuple[Resent, Made]]

_WIDTH = 16


@define(eq=False)
class Place:
    """A connection where deferred events are sent again, without these; and what each word does there, by number."""

    record: Record
    done: dict[int, tuple[Made, Hashable]] = field(factory=dict)
    also: dict[int, tuple[int, frozenset[int], frozenset[str]]] = field(factory=dict)
    """The transitions and actions of merged words, and how many had been merged then."""
    idle: int = 0
    """Of the types of events, by number of discovery, so many just wait on here."""


class Words:
    """All words of deferred events that came up, merged as far as the places allow."""

    resend: Resend
    """Sends one event again."""
    first_state: int
    """What the numbers of states begin with where the clock is concerned."""

    def __init__(self, packing: Packing, cases: Cases, *, merge: bool) -> None:
        """Without ``merge``, for tests, all words are told apart."""
        self.part: Part[Word] = packing.part("deferred events", (), _WIDTH)
        self.grown = False
        """Whether a merger was wrong."""
        self.reads = Reads() if merge else cases.relevance.facts
        """The facts that words read."""
        self._cases = cases
        self._merge = merge
        self._parents: list[int | None] = [None]
        """The beginning of each word, without its last event."""
        self._after: dict[tuple[int, Hashable], int] = {}
        self._by_length: dict[int, list[int]] = {}
        self._events: dict[Hashable, Event] = {}
        """One of each kind that came up."""
        self._merged: list[tuple[int, Word, int]] = []
        """Words, each with the number of its beginning and that of the word that it was merged with."""
        self._merged_with: dict[int, list[tuple[int, Word]]] = {}
        self._places: dict[int, Place] = {}
        self._resent: dict[Hashable, tuple[Resent, Made]] = {}

    def number(self, word: Word) -> int:
        """The number of a word."""
        found = 0
        for event in word:
            found = self.after(found, event)
        return found

    def after(self, number: int, event: Event) -> int:
        """The number of a word with one event more, which is the same if that would be too many."""
        kind = (event.type, frozen_value(dict(event.data)))
        key = (number, kind)
        found = self._after.get(key)
        if found is None:
            self._events.setdefault(kind, event)
            length = len(self.part.values[number])
            found = self._after[key] = number if length >= MAX_DEFERRED else self._new(number, event, length + 1)
        return found

    def learn(self, reads: Reads, records: Iterable[Record]) -> None:
        """Begin with what a search before this one has found: the facts that words read, and the places."""
        self.reads |= reads
        for record in records:
            self.place(record)

    def places(self) -> tuple[Record, ...]:
        """The places found so far."""
        return tuple(place.record for place in self._places.values())

    def sent_again(self, place: Place, record: Record, number: int) -> Made:
        """What the deferred events of a connection do when they are sent again."""
        if self._is_idle(place):
            waits = self._resend(place.record, next(iter(self._events.values())))[1]
            return Made(_copy(record, self.part.values[number]), reads=waits.reads)
        made, _ = self._done(place, number)
        fired, performed = self._also(place, number)
        there = _copy(record, made.record.deferred)
        there.situation, there.visits = made.record.situation, counted(record.visits, made.visits)
        return evolve(made, record=there, fired=made.fired | fired, performed=made.performed | performed)

    def place(self, record: Record) -> Place:
        """Where a connection is, as far as that matters for what was deferred."""
        bare = _copy(record, ())
        bare.timers = ()
        cases = self._cases
        key = cases.pack(bare) & (cases.situation_mask | cases.mask(self.reads & cases.relevance.facts))
        place = self._places.get(key)
        if place is None:
            place = Place(bare)
            place.done[0] = (Made(bare), "nothing")
            for before, word, other in self._merged:
                if self._is_idle(place):
                    break
                if self._extended(place, before, word)[1] != self._done(place, other)[1]:
                    self.grown = True
            self._places[key] = place
        return place

    def sent_plainly(self, record: Record) -> Made:
        """The same with nothing merged and nothing remembered of the word as a whole."""
        made = Made(record) if record.ended else self._sent(Made(record))
        return evolve(made, record=_copy(made.record, ())) if made.record.ended else made

    # -- words --

    def _new(self, before: int, event: Event, length: int) -> int:
        """The number of a word with one event more: that of a word that does the same at all places, or its own."""
        alike = self._by_length.setdefault(length, [])
        word = (*self.part.values[before], evolve(event))  # sent again by identity, so each needs an object of its own
        if self._merge:
            places = [place for place in self._places.values() if not self._is_idle(place)]
            does = [(place, self._extended(place, before, word)[1]) for place in places]
            for other in alike:
                if all(self._done(place, other)[1] == told for place, told in does):
                    self._merged.append((before, word, other))
                    self._merged_with.setdefault(other, []).append((before, word))
                    return other
        found = len(self._parents)
        self._parents.append(before)
        self.part.number(word, found)
        alike.append(found)
        return found

    def _also(self, place: Place, number: int) -> tuple[frozenset[int], frozenset[str]]:
        """The transitions and actions of the words that were merged with this one, or with its beginnings."""
        merged, fired, performed = place.also.get(number, (-1, frozenset[int](), frozenset[str]()))
        if merged != len(self._merged):
            each: int | None = number
            while each is not None:
                for before, word in self._merged_with.get(each, ()):
                    made, _ = self._extended(place, before, word)
                    fired, performed = fired | made.fired, performed | made.performed
                each = self._parents[each]
            place.also[number] = (len(self._merged), fired, performed)
        return fired, performed

    # -- places --

    def _is_idle(self, place: Place) -> bool:
        """Whether everything waits on at a place, so that no words are told apart there."""
        if place.idle < 0:
            return False
        if place.idle < len(self._events):
            sent = [self._resend(place.record, event) for event in self._events.values()]
            idle = all(resent == "waits" and made.reads == sent[0][1].reads for resent, made in sent)
            place.idle = len(sent) if idle else -1
        return place.idle > 0

    def _done(self, place: Place, number: int) -> tuple[Made, Hashable]:
        """What a word does at a place, and what tells that from other things."""
        found = place.done.get(number)
        if found is None:
            parent = self._parents[number]
            assert parent is not None
            found = place.done[number] = self._extended(place, parent, self.part.values[number])
        return found

    def _extended(self, place: Place, before: int, word: Word) -> tuple[Made, Hashable]:
        """The same of a word that has one event more than the one before it."""
        made, _ = self._done(place, before)
        event = word[-1]
        if len(made.record.deferred) == len(word) - 1 and self._resend(place.record, event)[0] == "waits":
            waits = Made(_copy(place.record, word), reads=self._resend(place.record, event)[1].reads)
            made = made.then(waits)
        elif made.record.deferred:
            made = self._sent(Made(_copy(place.record, word)))
        elif not made.record.ended:
            made = made.then(self._sent(Made(_copy(made.record, word[-1:]))))
        if made.record.ended and made.record.deferred:
            made = evolve(made, record=_copy(made.record, ()))  # nothing will ever ask for these
        if self._merge and self.reads | made.reads != self.reads:
            self.reads |= made.reads
            self.grown = True
        return made, self._told(place, word, made)

    def _sent(self, made: Made) -> Made:
        """As the live connections do it: in order, and from the first on after each change of configuration."""
        changed = True
        while changed:
            changed = False
            for event in made.record.deferred:
                if made.record.ended:
                    return made
                resent, then = self._resend(made.record, event)
                if resent != "waits":
                    left = tuple(other for other in made.record.deferred if other is not event)
                    then = evolve(then, record=_copy(then.record, left))
                else:
                    then = evolve(then, record=made.record)
                made = made.then(then)
                if resent == "moved":
                    changed = True
                    break
        return made

    def _resend(self, record: Record, event: Event) -> tuple[Resent, Made]:
        """One event is sent again; what is deferred afterwards is the caller's affair."""
        key = (
            record.situation.states,
            record.situation.history,
            record.ready,
            record.failed,
            record.visits,
            tuple(map(frozen_value, record.remembered)),
            event.type,
            frozen_value(dict(event.data)),
        )
        found = self._resent.get(key)
        if found is None:
            found = self._resent[key] = self.resend(_copy(record, (event,)), event)
        return found

    def _told(self, place: Place, word: Word, made: Made) -> Hashable:
        left, change = made.record.deferred, made.change
        active = {self.first_state + state for state in place.record.situation.states}
        return (
            "all" if len(left) == len(word) else self.number(left),
            made.record.situation.states,
            made.record.situation.history,
            made.visits,
            change.disarms & active,
            change.arms,
            tuple(one.key for one in made.heard),
            made.took,
            made.opened,
            made.closed,
            made.reads,
        )


def _copy(record: Record, deferred: Word) -> Record:
    """The record with other deferred events; faster than attrs does it."""
    found = copy(record)
    found.deferred = deferred
    return found
