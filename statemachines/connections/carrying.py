"""A connection of one definition as a connection of another: what a deployment does to those that live.

Everything is carried by name: states, histories, dependencies, remembered facts, counts of visits. A timer is carried
to the timer of the same state that is written the same, or else to one that differs in its delay alone; it is due when
it was due before. What the old definition did not keep begins blank: pending, None, 0, no timer. Nothing is done on the
way: no state is entered, no transition taken, no timer armed, until the next event comes or a carried timer is due.

What has a value and no place makes the connection impossible to carry: an active state that is not there, active states
that are no configuration of the new chart (one of two children, a region that is missing), a fact, a timer or a history
without its like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest

from attrs import evolve

from statemachines.errors import suggestion
from statemachines.language.definition import After
from statemachines.language.sameness import same_transition
from statemachines.table.chart import Histories
from statemachines.table.layout import Layout, TimerSpec
from statemachines.table.record import Record
from statemachines.table.step import Steps


class Carrier:
    """Carries records of one definition to another.

    :ivar timers: for each timer of the old definition its like in the new one, by number
    """

    def __init__(self, old: Layout, new: Steps) -> None:
        self.old = old
        self.new = new.layout
        self._table = new.table
        self._blank = new.blank
        self.timers: Mapping[int, TimerSpec] = dict(_pairs_of_timers(old, new.layout))
        self._children: dict[int | None, list[int]] = {}
        for state, parent in enumerate(self.new.parent):
            self._children.setdefault(parent, []).append(state)

    def obstacles(self, record: Record) -> list[str]:
        """Why a record cannot be carried, in words; nothing if it can."""
        found = list(self._lost_states(record.situation.states)) or list(self._torn(record))
        return [*found, *self._lost_histories(record.situation.history), *self._lost_facts(record)]

    def carry(self, record: Record) -> Record:
        """The record under the new definition. There must be no :meth:`obstacles`."""
        old, new = self.old, self.new
        statuses = {name: (record.ready & bit, record.failed & bit) for name, bit in old.bits.items()}
        known = {name: statuses[name] for name in new.bits if name in statuses}
        remembered = dict(zip(old.remembered, record.remembered, strict=True))
        visits = {old.ids[state]: count for state, count in zip(old.visited, record.visits, strict=True)}
        return evolve(
            record,
            situation=self._table.situation(self._states(record.situation.states), self._histories(record)),
            ready=sum(new.bits[name] for name, (ready, _) in known.items() if ready),
            failed=sum(new.bits[name] for name, (_, failed) in known.items() if failed),
            required=self.required(record.required),
            remembered=tuple(remembered.get(name) for name in new.remembered),
            visits=tuple(visits.get(new.ids[state], 0) for state in new.visited),
            timers=tuple(timer._replace(spec=self.timers[timer.spec.number]) for timer in record.timers),
        )

    def required(self, bits: int) -> int:
        """The dependencies that a connection goes on to require: those of the old ones that there still are."""
        return sum(self.new.bits[name] for name in self.old.named(bits) if name in self.new.bits)

    # -- where it is --

    def _states(self, states: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(self.new.index[self.old.ids[state]] for state in states))

    def _lost_states(self, states: tuple[int, ...]) -> Iterator[str]:
        for state in states:
            name = self.old.ids[state]
            if name not in self.new.index:
                yield f"there is no state '{name}' any more{suggestion(name, self.new.index)}"

    def _torn(self, record: Record) -> Iterator[str]:
        """Where the active states are no configuration: each needs the one around it and what it holds."""
        active = set(self._states(record.situation.states))
        layout = self.new
        if len([state for state in active if layout.parent[state] is None]) > 1:
            yield "the active states no longer stand inside one another"
        for state in sorted(active):
            name, parent = layout.ids[state], layout.parent[state]
            if parent is not None and parent not in active:
                yield f"'{name}' now stands inside '{layout.ids[parent]}', which is not active"
            inside = self._children.get(state, [])
            there = [child for child in inside if child in active]
            if layout.states[state].parallel:
                yield from (
                    f"'{name}' now has the region '{layout.ids[child]}' too, which is not active"
                    for child in inside
                    if child not in active
                )
            elif inside and not there:
                yield f"'{name}' now has states inside, and none of them is active"
            elif len(there) > 1:
                yield f"of the states inside '{name}' only one can now be active at a time"

    # -- what it has been --

    def _histories(self, record: Record) -> Histories:
        held = self._held(record.situation.history)
        if not record.situation.history and not held:
            return (None,) * len(self.new.histories)
        return tuple(
            tuple(self.new.index[name] for name in held[history.id]) if history.id in held else None
            for _, history in self.new.histories
        )

    def _held(self, histories: Histories) -> dict[str, list[str]]:
        return {
            history.id: [self.old.ids[state] for state in states]
            for (_, history), states in zip_longest(self.old.histories, histories)
            if states is not None
        }

    def _lost_histories(self, histories: Histories) -> Iterator[str]:
        types = {history.id: history.type for _, history in self.old.histories}
        for name, states in self._held(histories).items():
            number = self.new.history_index.get(name)
            if number is None:
                yield f"there is no history '{name}' any more{suggestion(name, self.new.history_index)}"
                continue
            owner, history = self.new.histories[number]
            if history.type != types[name]:
                yield f"the history '{name}' was {types[name]} and is now {history.type}"
            for state in states:
                if not self._fits(state, owner, deep=history.type == "deep"):
                    yield f"the history '{name}' holds '{state}', which is no such state of '{self.new.ids[owner]}' now"

    def _fits(self, name: str, owner: int, *, deep: bool) -> bool:
        state: int | None = self.new.index.get(name)
        if state is None:
            return False
        if not deep:
            return self.new.parent[state] == owner
        if bool(self.new.states[state].states) != bool(self.old.states[self.old.index[name]].states):
            return False
        while state is not None and state != owner:
            state = self.new.parent[state]
        return state == owner

    # -- what it knows --

    def _lost_facts(self, record: Record) -> Iterator[str]:
        old, new = self.old, self.new
        for name, bit in old.bits.items():
            if name not in new.bits and (record.ready | record.failed) & bit:
                status = "ready" if record.ready & bit else "failed"
                yield f"the dependency '{name}' is {status}, and not declared any more{suggestion(name, new.bits)}"
        for name, value in zip(old.remembered, record.remembered, strict=True):
            if value is not None and name not in new.remembered:
                yield f"'meta.{name}' has a value, and is not remembered any more{suggestion(name, new.remembered)}"
        for state, count in zip(old.visited, record.visits, strict=True):
            if count and old.ids[state] not in new.index and state not in record.situation.states:
                yield f"visits of '{old.ids[state]}' were counted, and there is no such state any more"
        if record.deferred and not any(state.defer for state in new.states):
            yield f"{len(record.deferred)} deferred events wait, and no state defers any more"
        yield from self.lost_timers(timer.spec.number for timer in record.timers)

    def lost_timers(self, numbers: Iterator[int]) -> Iterator[str]:
        """Why these timers cannot be carried."""
        for number in numbers:
            spec = self.old.timers[number]
            name = self.old.ids[spec.state]
            if number not in self.timers and name in self.new.index:
                yield f"the timer '{spec.after.written}' of '{name}' runs, and there is none like it any more"


def _pairs_of_timers(old: Layout, new: Layout) -> Iterator[tuple[int, TimerSpec]]:
    for name, state in old.index.items():
        if name not in new.index:
            continue
        mine = list(old.timers_of.get(state, ()))
        theirs = list(new.timers_of.get(new.index[name], ()))
        for alike in (_written_alike, _alike_but_for_the_delay):
            for spec in list(mine):
                found = next((other for other in theirs if alike(spec.after, other.after)), None)
                if found is not None:
                    mine.remove(spec)
                    theirs.remove(found)
                    yield spec.number, found


def _written_alike(one: After, other: After) -> bool:
    return one.written == other.written if isinstance(one.delay, str) else one.delay == other.delay


def _alike_but_for_the_delay(one: After, other: After) -> bool:
    return same_transition(one.transition, other.transition)
