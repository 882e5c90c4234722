"""Makes the real steps of a move, once for each case that is not known yet: the table's, on real events.

A move may take several steps: the event's own, and one for each deferred event that is sent again after it. What they
do together is one :class:`Made`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from bus.event import Event
from statemachines.connections.consequences import PHASE_CHANGED, Publication
from statemachines.errors import StepNeverSettles
from statemachines.exploration.cases import CONNECTION, Cases
from statemachines.exploration.clocks import Change, remaining
from statemachines.exploration.conflicts import Conflicts
from statemachines.exploration.deferral import Resent, Words
from statemachines.exploration.events import Symbol
from statemachines.exploration.labels import Label
from statemachines.exploration.liveness import Watched
from statemachines.exploration.made import NO_READS, Heard, Made, visits_of
from statemachines.exploration.reading import Reads, Relevance
from statemachines.language.definition import Property
from statemachines.table.record import Record, Timer
from statemachines.table.step import CREATED, TIMER_FIRED, Step, Steps
from statemachines.table.table import CallEffect, PublishEffect


class Making:
    """Makes the steps of one definition's connection, and keeps what was seen on the way."""

    def __init__(self, steps: Steps, relevance: Relevance, cases: Cases, first_timer: int, first_state: int) -> None:
        self.steps = steps
        self.cases = cases
        self.relevance = relevance
        self.first_timer = first_timer
        self._first_state = first_state
        self.closes = closes_of(steps.definition.properties)
        self.performed: set[str] = set()
        """The actions that were performed in some case."""
        self.fired: set[int] = set()
        """The transitions that were taken in some case."""
        self.circles: set[tuple[str, str]] = set()
        """Phases and events whose eventless transitions never settle."""
        self.conflicts = Conflicts(steps)
        self.heard_reads = relevance.reader.reads(relevance.heard_data())
        self.hears_phases = relevance.hears(PHASE_CHANGED)
        self.timers: dict[int, Timer] = {}
        self.words: Words | None = cases.words
        if self.words is not None:
            self.words.resend, self.words.first_state = self._resent, first_state

    def registered(self) -> Made:
        """A connection is registered."""
        identity = self.cases.record(0).identity
        created = event_of(Symbol(CREATED, {}))
        step = self.steps.register(identity, self.cases.required, created, at=0.0, now=0.0)
        return self.keep(self.result(step, NO_READS))

    def move(self, record: Record, label: Label) -> Made | None:
        """What an event or a timer does; None if it never settles, so that nothing happens.

        What was deferred before is not sent again.
        """
        layout, timer = self.steps.layout, None
        if label.symbol is None:
            timer = self.timers[label.timer or 0]
            data = {"timer": timer.spec.after.written, "state": layout.ids[timer.spec.state]}
            event, event_class = event_of(Symbol(TIMER_FIRED, data)), timer.spec.event_class
        else:
            event, event_class = event_of(label.symbol), layout.event_class(label.symbol.type)
        step = self.attempt(record, label.symbol, event, timer)
        if step is None:
            return None
        return self.keep(self.result(step, self.look(step, record, event_class)))

    def look(self, step: Step, before: Record, event_class: int) -> Reads:
        """Note what else was possible where a step was made; returns the facts that its guards read."""
        watched = self._watch(step.during, before, event_class, step.event)
        self.conflicts.look(before.situation, event_class, watched.record, step.event)
        return watched.reads()

    def keep(self, made: Made) -> Made:
        """Remember what was taken and performed."""
        self.fired |= made.fired
        self.performed |= made.performed
        return made

    def attempt(self, record: Record, symbol: Symbol | None, event: Event, timer: Timer | None = None) -> Step | None:
        """One step, of a symbol's event or a timer's; None if it never settles."""
        try:
            if timer is not None:
                return self.steps.fire(record, timer, event, at=0.0, now=0.0)
            return self.steps.event(record, event, at=0.0, now=0.0)
        except StepNeverSettles:
            self.circles.add((record.situation.phase, event.type))
            return None

    def heard_event(self, event_type: str, data: dict[str, Any]) -> Heard:
        """An event as it comes back: with the fields that anybody reads."""
        return Heard(event_type, {name: value for name, value in data.items() if name in self.relevance.fields})

    # -- details --

    def _watch(self, during: Record, before: Record, event_class: int, event: Event) -> Watched:
        """Let the table take a step once more, and see which facts its guards read."""
        watched = Watched(during)
        with suppress(StepNeverSettles):
            self.steps.table.step(before.situation, event_class, watched.record, event)
        return watched

    def _resent(self, record: Record, event: Event) -> tuple[Resent, Made]:
        """One deferred event is sent again: whether it was taken, and changed the configuration; and what it did."""
        watched = self._watch(record, record, self.steps.layout.event_class(event.type), event)
        try:
            step = self.steps.send_again(record, event, at=0.0, now=0.0)
        except StepNeverSettles:
            step = None
        if step is None:
            return "waits", Made(record, reads=watched.reads())
        return "moved" if step.changed_configuration else "taken", self.result(step, watched.reads())

    def result(self, step: Step, reads: Reads) -> Made:
        """What one step did, if its guards read these facts."""
        outcome, layout = step.outcome, self.steps.layout
        heard = tuple(self._published(step))
        if heard:
            reads |= self.heard_reads
        for timer in step.armed:
            self.timers[timer.spec.number] = timer
        change = Change(
            frozenset(self._first_state + state for state in outcome.disarms),
            tuple((remaining(timer.deadline), self.first_timer + timer.spec.number) for timer in step.armed),
            tuple(self._first_state + timer.spec.state for timer in step.armed),
        )
        visits = visits_of(outcome.visits)
        anew = {number for number, begins, _ in visits if begins}
        grown = frozenset(layout.visit_number[one.state] for one in outcome.arms if one.after.backoff != 1)
        opened, closed = self._closes(step)
        return Made(
            step.after,
            not outcome.quiet,
            change,
            heard,
            opened,
            closed,
            reads | Reads(visits=grown - anew),
            visits,
            frozenset(outcome.transitions),
            frozenset(_names(step)),
            (step,),
        )

    def _published(self, step: Step) -> Iterator[Heard]:
        """What comes back of what a step publishes."""
        for effect in step.outcome.effects:
            if isinstance(effect, PublishEffect) and self.relevance.hears(effect.event_type):
                yield self.heard_event(effect.event_type, effect.data(step.during, step.event))
        if self.hears_phases and step.changed_configuration:
            told = Publication(PHASE_CHANGED, step, 0).build()
            yield self.heard_event(PHASE_CHANGED, dict(told.data))

    def _closes(self, step: Step) -> tuple[int, int]:
        """Of the actions that want a second, those that were performed last, and those whose second was."""
        opened = closed = 0
        for name in _names(step):
            for number, (_, first, second) in enumerate(self.closes):
                if name == first:
                    opened, closed = opened | 1 << number, closed & ~(1 << number)
                elif name == second:
                    opened, closed = opened & ~(1 << number), closed | 1 << number
        return opened, closed


def _names(step: Step) -> Iterator[str]:
    """The actions that a step performs, in order."""
    for effect in step.outcome.effects:
        yield effect.name if isinstance(effect, CallEffect) else effect.event_type


def event_of(symbol: Symbol) -> Event:
    """The event that a symbol stands for."""
    return Event(symbol.type, CONNECTION, symbol.data, id="", timestamp=0.0)


def closes_of(properties: Any) -> tuple[tuple[str, str, str], ...]:
    """Every pair of actions of which the second must follow the first, with the property that says so."""
    return tuple(
        (name, first, second)
        for name, wanted in properties.items()
        if isinstance(wanted, Property)
        for first, second in (wanted.closes or {}).items()
    )
