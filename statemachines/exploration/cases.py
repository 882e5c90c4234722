"""Records of connections as cases, and back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from attrs import evolve, frozen

from statemachines.exploration.clocks import Timers
from statemachines.exploration.deferral import Words
from statemachines.exploration.made import Heard
from statemachines.exploration.packing import Packing, Part, TooMany
from statemachines.exploration.reading import Reads, Relevance
from statemachines.exploration.regions import Regions
from statemachines.exploration.telling import signature_of
from statemachines.exploration.values import frozen_value
from statemachines.table.record import Identity, Record
from statemachines.table.step import Steps
from statemachines.table.table import Situation

CONNECTION = "conn_1"
"""The connection that is explored."""

_TIMERS = 22
_HEARD = 10
_VALUES = 12
_VISITS = 8
_UNBOUNDED = 20
_EARLY = 16

Waiting = tuple[int, ...]
"""The events that came early, the oldest first: each by the number of the timer that ends its waiting."""


class Shared:
    """What the connections of several definitions on one bus share: the events that come back, and the clock."""

    def __init__(self) -> None:
        self.packing = Packing()
        self.timers: Part[Timers] = self.packing.part("timers", (), _TIMERS)
        self.heard: Part[tuple[Heard, ...]] = self.packing.part("events that come back", (), _HEARD)


@frozen(eq=False)
class _Bits:
    """Where a dependency's two bits are."""

    bit: int
    ready: int
    failed: int


class Cases:
    """How the connections of one definition are packed into numbers."""

    def __init__(
        self,
        steps: Steps,
        relevance: Relevance,
        required: int,
        monitors: int,
        shared: Shared | None = None,
        identity: Identity | None = None,
        *,
        merge: bool = False,
        begins: bool = False,
        asks: bool = False,
    ) -> None:
        """``merge`` lets remembered values, and deferred events, be one that no future tells apart.

        With ``begins`` the connection need not be there, and has room for events that come early; with ``asks`` what
        begins it may say which dependencies it requires, ``required`` or others.
        """
        self.steps = steps
        self.relevance = relevance
        self.required = required
        self.regions = Regions(steps.layout)
        self._identity = identity or Identity(CONNECTION, None, None, None, {}, 0.0)
        layout, facts = steps.layout, relevance.facts
        shared = Shared() if shared is None else shared
        packing = shared.packing
        begin = packing.used
        self.active: list[Part[tuple[int, ...]]] = [
            packing.part(f"active states ({part})", (), self.regions.width(part)) for part in range(self.regions.count)
        ]
        owners = [self.regions.part_of[owner] for owner, _ in layout.histories]
        nothing: tuple[Any, ...] = (None,) * len(owners)
        self._histories: list[tuple[list[int], Part[tuple[Any, ...]]]] = []
        for part in sorted(set(owners)):
            numbers = [number for number, owner in enumerate(owners) if owner == part]
            held = packing.part(f"histories ({part})", nothing[: len(numbers)], _VALUES)
            self._histories.append((numbers, held))
        self._dependencies = []
        for name, bit in layout.bits.items():
            if facts.dependencies & bit:
                fails = bool(steps.definition.dependencies[name].failed_on)
                shift = packing.bits(2 if fails else 1)
                self._dependencies.append(_Bits(bit, 1 << shift, 2 << shift if fails else 0))
        self._remembered: list[tuple[int, Part[Any]]] = []
        self._signatures: dict[int, Callable[[Any], Any]] = {}
        for number in sorted(facts.remembered):
            self._signatures[number] = signature_of(number, steps, relevance) if merge else frozen_value
            nothing_kept = self._signatures[number](None)
            kept = packing.part(f"meta.{layout.remembered[number]}", None, _VALUES, nothing_kept)
            self._remembered.append((number, kept))
        self._visits = []
        for number in sorted(facts.visits):
            most = relevance.most_visits(number)
            width = _UNBOUNDED if most is None else max(1, most.bit_length())
            self._visits.append((number, packing.bits(width), width, most))
        self.monitors = packing.bits(monitors)
        """Where the bits of what is watched begin."""
        self.timers, self.heard = shared.timers, shared.heard
        self.words: Words | None = None
        if any(state.defer for state in layout.states):
            self.words = Words(packing, self, merge=merge)
        self.early: Part[Waiting] | None = packing.part("early events", (), _EARLY) if begins else None
        self._required: Part[int] | None = packing.part("required", required, _VALUES) if asks else None
        self.above = packing.used
        """The first bit that is free for what is beside a connection."""
        self.own_mask = (1 << packing.used) - (1 << begin)
        """The bits of this definition's connection, its timers aside."""
        self.everything = self.own_mask | self.heard.mask
        self.configuration_mask = sum(part.mask for part in self.active)
        self._situations: dict[int, Situation] = {}
        self.situation_mask = self.configuration_mask | sum(part.mask for _, part in self._histories)

    # -- a case as a record --

    def states(self, case: int) -> tuple[int, ...]:
        """The states that are active in a case."""
        if len(self.active) == 1:
            return self.active[0].of(case)
        return tuple(sorted(state for part in self.active for state in part.of(case)))

    def situation(self, case: int) -> Situation:
        """The situation of a case."""
        bits = case & self.situation_mask
        found = self._situations.get(bits)
        if found is None:
            held: list[Any] = [None] * len(self.steps.layout.histories)
            for numbers, part in self._histories:
                for number, value in zip(numbers, part.of(case), strict=True):
                    held[number] = value
            found = self.steps.table.situation(self.states(case), tuple(held))
            self._situations[bits] = found
        return found

    def record(self, case: int) -> Record:
        """The connection of a case, without its timers."""
        ready = failed = 0
        for bits in self._dependencies:
            ready |= bits.bit if case & bits.ready else 0
            failed |= bits.bit if case & bits.failed else 0
        remembered = list(self.steps.blank.remembered)
        for number, part in self._remembered:
            remembered[number] = part.of(case)
        visits = list(self.steps.blank.visits)
        for number, shift, width, _ in self._visits:
            visits[number] = case >> shift & (1 << width) - 1
        return evolve(
            self.steps.blank,
            identity=self._identity,
            situation=self.situation(case),
            ready=ready,
            failed=failed,
            required=self.required if self._required is None else self._required.of(case),
            remembered=tuple(remembered),
            visits=tuple(visits),
            deferred=() if self.words is None else self.words.part.of(case),
        )

    # -- a record as a case --

    def pack(self, record: Record) -> int:
        """The case of a record: what does not matter, and its timers, left out."""
        part_of = self.regions.part_of
        states, history = record.situation.states, record.situation.history
        if len(self.active) == 1:
            case = self.active[0].number(states)
        else:
            case = 0
            for number, part in enumerate(self.active):
                case |= part.number(tuple(state for state in states if part_of[state] == number))
        for numbers, held in self._histories:
            case |= held.number(tuple(history[number] if history else None for number in numbers))
        for bits in self._dependencies:
            case |= (bits.ready if record.ready & bits.bit else 0) | (bits.failed if record.failed & bits.bit else 0)
        for number, kept in self._remembered:
            value = record.remembered[number]
            case |= kept.number(value, self._signatures[number](value))
        for number, shift, width, most in self._visits:
            count = record.visits[number] if most is None else min(record.visits[number], most)
            if count >> width:
                raise TooMany(f"a state was entered more than {count} times, and every count counts")
            case |= count << shift
        if self.words is not None:
            case |= self.words.number(record.deferred) << self.words.part.shift
        if self._required is not None:
            case |= self._required.number(record.required)
        return case

    def told_apart(self, record: Record) -> Hashable:
        """What tells records apart, as far as it matters: as :meth:`pack`, but nothing is noted of cases."""
        facts = self.relevance.facts
        return (
            record.situation.states,
            record.situation.history,
            record.ready & facts.dependencies,
            record.failed & facts.dependencies,
            record.required,
            tuple(signature(record.remembered[number]) for number, signature in self._signatures.items()),
            tuple(record.visits[n] if most is None else min(record.visits[n], most) for n, _, _, most in self._visits),
            tuple((event.type, frozen_value(dict(event.data))) for event in record.deferred),
        )

    # -- which bits --

    def mask(self, reads: Reads) -> int:
        """The bits of some facts."""
        found = 0
        for bits in self._dependencies:
            if reads.dependencies & bits.bit:
                found |= bits.ready | bits.failed
        for number, part in self._remembered:
            if number in reads.remembered:
                found |= part.mask
        for number, shift, width, _ in self._visits:
            if number in reads.visits:
                found |= ((1 << width) - 1) << shift
        return found | (self.required_mask if reads.dependencies else 0)

    @property
    def required_mask(self) -> int:
        """The bits of which dependencies are required; none if they are always the same."""
        return 0 if self._required is None else self._required.mask

    def parts_mask(self, parts: Iterable[int] | None) -> int:
        """The bits of what is active, and of the histories, in some parts of the chart; in all of them if None."""
        chosen = range(len(self.active)) if parts is None else parts
        found = 0
        for number in chosen:
            found |= self.active[number].mask
        for numbers, held in self._histories:
            owner, _ = self.steps.layout.histories[numbers[0]]
            if self.regions.part_of[owner] in chosen:
                found |= held.mask
        return found

    def visits_mask(self, parts: Iterable[int] | None) -> int:
        """The bits of the visits that a step in these parts may count."""
        layout = self.steps.layout
        chosen = range(len(self.active)) if parts is None else parts
        found = 0
        for number, shift, width, _ in self._visits:
            if self.regions.part_of[layout.visited[number]] in chosen:
                found |= ((1 << width) - 1) << shift
        return found

    @property
    def deferred_mask(self) -> int:
        """The bits of the events that wait."""
        return 0 if self.words is None else self.words.part.mask
