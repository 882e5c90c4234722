"""What can happen next to a case: made by the table once, remembered as the bits that it reads and writes.

Every move is a real step of :class:`~statemachines.table.step.Steps` on a real event. It has two halves, as there: the
event changes facts, then the chart moves by them. What each half did is kept under the bits that it can read, so it
holds for every case that agrees in those (projection, as in LTSmin: Blom, van de Pol and Weber, 2010); and events that
the chart cannot tell apart share the second half.

A case with an event that comes back, or with a timer that is due now, has this one move: nothing comes between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal

from attrs import define, evolve, field, frozen

from bus.event import Event
from statemachines.connections.consequences import PHASE_CHANGED, Publication
from statemachines.errors import StepNeverSettles
from statemachines.exploration.cases import CONNECTION, Cases, Heard
from statemachines.exploration.clocks import Change, fired, is_due, just_before, remaining, whole
from statemachines.exploration.conflicts import Conflicts
from statemachines.exploration.events import Symbol
from statemachines.exploration.liveness import Live, Liveness, Watched
from statemachines.exploration.reading import Reads, Relevance, guards_of, reads_event
from statemachines.exploration.regions import Concern
from statemachines.language.definition import Property
from statemachines.table.record import Record, Timer
from statemachines.table.step import CREATED, TIMER_FIRED, Step, Steps
from statemachines.table.table import CallEffect, PublishEffect

MAX_KNOWN = 250_000
"""So many steps are remembered, and as many that were before: some 40 MB, however many cases there are."""

Kind = Literal["event", "timer", "wait", "back", "fault"]
Fault = Literal["lose", "duplicate", "reorder"]


@frozen
class Label:
    """What a move is: an event that comes, a timer that fires, time that passes, an own event that comes back.

    A ``fault`` is an event that is lost, comes again or comes late; with no ``fault``, one that does not come yet.
    """

    kind: Kind
    symbol: Symbol | None = None
    timer: int | None = None
    fault: Fault | None = None


WAIT, BACK = Label("wait"), Label("back")

Moved = tuple[bool, int, int, int, int]
"""What the chart did: whether a transition was taken, the bits that changed, what becomes of the timers; and the bits of
facts that it read, and that it wrote whatever they were."""


@define(eq=False)
class Chart:
    """What the chart does on events of one kind, by the bits that it reads. None: the step never settles.

    ``known`` are the steps made lately, ``older`` those from before.
    """

    mask: int
    known: dict[int, Moved | None] = field(factory=dict)
    older: dict[int, Moved | None] = field(factory=dict)


Learnt = tuple[int, int, Chart]
"""One way in which events change facts: one such event's label, the bits that changed, and the chart's part."""


@define(eq=False)
class Group:
    """Events that change facts by the same bits, and what they did so far. What changes nothing is left out."""

    labels: tuple[int, ...]
    mask: int
    charts: tuple[Chart, ...]
    quiet: tuple[bool, ...]
    inside: bool
    known: dict[int, tuple[Learnt, ...]] = field(factory=dict)


@frozen(eq=False)
class Clock:
    """What time does to some timers: how long until the next is due, the others then, and all just before."""

    timer: int
    due_now: bool
    elapsed: int
    after: int
    before: int | None


class Moves:
    """The moves of all cases of one definition."""

    def __init__(
        self,
        steps: Steps,
        relevance: Relevance,
        cases: Cases,
        symbols: Sequence[Symbol],
        states: list[int] | None = None,
        live: Live | None = None,
    ) -> None:
        """``live`` is what was learnt about facts in a search before this one; with None, all facts count everywhere."""
        self.steps = steps
        self.cases = cases
        self.relevance = relevance
        self.labels: list[Label] = [Label("event", symbol) for symbol in symbols]
        self.timer_labels = len(self.labels)
        self.labels += [Label("timer", timer=spec.number) for spec in steps.layout.timers]
        self.wait_label = len(self.labels)
        self.labels += [WAIT, BACK, Label("timer")]
        self.back_label = self.wait_label + 1
        self.closes = closes_of(steps.definition.properties)
        self.performed: set[str] = set()
        """The actions that were performed in some case."""
        self.fired: set[int] = set()
        """The transitions that were taken in some case."""
        self.circles: set[tuple[str, str]] = set()
        """Phases and events whose eventless transitions never settle."""
        self.conflicts = Conflicts(steps)
        self.dead = Liveness(cases, relevance, live)
        """The bits of facts that are left out of a case, by its configuration."""
        self.where_mask = cases.configuration_mask
        self._reads = Reads()
        self._groups: dict[int, tuple[Group, ...]] = {}
        self._charts: dict[tuple[int, int, int | None], Chart] = {}
        self._moved: dict[Moved, Moved] = {}
        self._kept = 0
        self._single: dict[tuple[int, int], Group] = {}
        self.wakes = self._guards_that_wake()
        self._heard_reads = relevance.reader.reads(relevance.heard_data())
        self._heard_data = any(True for _ in relevance.heard_data())
        self._hears_phases = relevance.hears(PHASE_CHANGED)
        self._symbols = list(symbols)
        self._heard_symbols: dict[Any, int] = {}
        self._timers: dict[int, Timer] = {}
        # The clock is shared by all definitions on the bus: the numbers of their timers and states go on.
        self._state_of = [] if states is None else states
        self.first_timer = len(self._state_of)
        self._first_state = max(self._state_of, default=-1) + 1
        self._state_of += [self._first_state + spec.state for spec in steps.layout.timers]
        self._changes: list[tuple[Change, ...]] = [()]
        self._change_numbers: dict[tuple[Change, ...], int] = {(): 0}
        self._changed: list[dict[int, int]] = [{}]
        self._clocks: dict[int, Clock] = {}
        self.around_mask = cases.active[0].mask
        self.timers_shift = cases.timers.shift
        self.timers_mask = cases.timers.mask

    # -- the start --

    def start(self) -> int:
        """The case of a connection that was just registered."""
        return self.register(0)

    def register(self, case: int) -> int:
        """The case with a connection of this definition in it."""
        created = self._event(Symbol(CREATED, {}))
        identity = self.cases.record(0).identity
        step = self.steps.register(identity, self.cases.required, created, at=0.0, now=0.0)
        after, changes = self._result([step], case)
        return self.without_dead(self.change_timers(case | after, self._change_number(changes)))

    def without_dead(self, case: int) -> int:
        """The case without the facts that do not matter where it is."""
        return case & ~self.dead[case & self.where_mask]

    # -- what a case can do --

    def groups(self, case: int) -> tuple[Group, ...]:
        """The events that may come to a case, grouped by what they read."""
        around = case & self.around_mask
        found = self._groups.get(around)
        if found is None:
            found = self._groups[around] = self._grouped(case)
        return found

    def after(self, label: int, case: int) -> tuple[bool, int]:
        """What one event or one timer makes of a case: whether a transition was taken, and the case after it."""
        key = (label, case & self.around_mask)
        group = self._single.get(key)
        if group is None:
            group = self._single[key] = self._group((label,), case)
        learnt = group.known.get(case & group.mask)
        if learnt is None:
            learnt = self.learn(group, case)
        for _, told, chart in learnt:
            middle = case ^ told
            try:
                moved = chart.known[middle & chart.mask]
            except KeyError:
                moved = self.move(chart, case, middle, label)
            if moved is None:
                self.dead.read(case & self.where_mask, chart.mask)
            else:
                active, flipped, change, reads, written = moved
                middle ^= flipped
                if change:
                    middle = self.change_timers(middle, change)
                where, there = case & self.where_mask, middle & self.where_mask
                if reads & self.dead[where]:
                    self.dead.read(where, reads)
                if where != there:
                    self.dead.flow(where, there, written)
                return active, middle & ~self.dead[there]
        return False, case

    def change_timers(self, case: int, change: int) -> int:
        """The case with its timers changed."""
        number = (case & self.timers_mask) >> self.timers_shift
        known = self._changed[change]
        after = known.get(number)
        if after is None:
            timers = self.cases.timers.values[number]
            for one in self._changes[change]:
                timers = one.applied(timers, self._state_of)
            after = known[number] = self.cases.timers.number(timers)
        return case & ~self.timers_mask | after

    def clock(self, number: int) -> Clock:
        """What time does to the timers of this number."""
        found = self._clocks.get(number)
        if found is None:
            timers = self.cases.timers.values[number]
            before = just_before(timers)
            found = self._clocks[number] = Clock(
                timers[0][1],
                is_due(timers),
                whole(timers[0][0]),
                self.cases.timers.number(fired(timers)),
                None if before is None else self.cases.timers.number(before),
            )
        return found

    def fire(self, case: int, clock: Clock) -> tuple[bool, int]:
        """The case after its next timer has fired."""
        return self.after(self.timer_label(clock), case & ~self.timers_mask | clock.after)

    def timer_label(self, clock: Clock) -> int:
        """The label of a timer that fires."""
        return self.timer_labels + clock.timer - self.first_timer

    def come_back(self, case: int) -> tuple[bool, int]:
        """The case after the first of the events that come back has done so."""
        first, *rest = self.cases.heard.of(case)
        waiting = self.cases.heard.number(tuple(rest), tuple(one.key for one in rest))
        return self.hear(first, case & ~self.cases.heard.mask | waiting)

    def hear(self, event: Heard, case: int) -> tuple[bool, int]:
        """The case after an event that some definition published."""
        label = self._heard_symbols.get(event.key)
        if label is None:
            label = len(self.labels)
            self.labels.append(Label("back", Symbol(event.type, event.data)))
            self._heard_symbols[event.key] = label
        return (False, case) if self.ended(case) else self.after(label, case)

    def ended(self, case: int) -> bool:
        """Whether the connection has ended."""
        states = self.cases.active[0].of(case)
        return not states or not self.steps.layout.top_level_finals.isdisjoint(states)

    # -- filling --

    def learn(self, group: Group, case: int) -> tuple[Learnt, ...]:
        """Find out which facts the events of a group change."""
        record = self.cases.record(case)
        if not group.inside:
            record = evolve(record, situation=self.steps.blank.situation)  # the chart has nothing to do there
        found: dict[tuple[int, Chart], Learnt] = {}
        for label, chart, quiet in zip(group.labels, group.charts, group.quiet, strict=True):
            bits = case & group.mask
            symbol = self.labels[label].symbol
            if symbol is not None:
                step = self._try(record, symbol, self._event(symbol))
                if step is None:
                    continue
                bits = self.cases.pack(evolve(step.during, situation=self.cases.situation(case))) & group.mask
            told = (bits ^ case) & group.mask
            if not quiet or told:
                found.setdefault((told, chart), (label, told, chart))
        if len(group.known) >= MAX_KNOWN:
            group.known.clear()
        known = group.known[case & group.mask] = tuple(found.values())
        return known

    def move(self, chart: Chart, case: int, middle: int, label: int) -> Moved | None:
        """Let the table make the step of an event, which makes ``middle`` of the facts of ``case``."""
        bits = middle & chart.mask
        if bits in chart.older:
            moved = chart.older.pop(bits)
        else:
            moved = self._let_move(chart, case, middle, label)
            self._kept += 1
            if self._kept > MAX_KNOWN:
                self._age()
        chart.known[bits] = moved
        return moved

    def _age(self) -> None:
        """Forget the steps that were not made lately."""
        self._kept = 0
        for chart in self._charts.values():
            chart.older, chart.known = chart.known, {}

    def _let_move(self, chart: Chart, case: int, middle: int, label: int) -> Moved | None:
        self._reads = Reads()
        made = self._made(self.cases.record(case), self.labels[label])
        if made is None:
            return None
        active = any(not step.outcome.quiet for step in made)
        after, changes = self._result(made, middle)
        if (after ^ middle) & self.cases.everything & ~chart.mask:
            raise AssertionError("a step changed more than it can read")  # a mistake in `regions` or `reading`
        written = self._written(made)
        reads = self.cases.mask(self._reads & self.relevance.facts)
        moved = (active, (after ^ middle) & chart.mask, self._change_number(changes), reads, written)
        return self._moved.setdefault(moved, moved)

    def _made(self, record: Record, label: Label) -> list[Step] | None:
        """The steps of a move: its own, then those of the deferred events that are sent again."""
        symbol = label.symbol
        if symbol is None:
            timer = self._timers[label.timer or 0]
            data = {"timer": timer.spec.after.written, "state": self.steps.layout.ids[timer.spec.state]}
            symbol = Symbol(TIMER_FIRED, data)
            event = self._event(symbol)
            event_class = timer.spec.event_class
            made = self._try(record, symbol, event, timer)
        else:
            event = self._event(symbol)
            event_class = self.steps.layout.event_class(symbol.type)
            made = self._try(record, symbol, event)
        if made is None:
            return None
        watched = self._watch(made.during, record, event_class, event)
        self.conflicts.look(record.situation, event_class, watched.record, event)
        self._reads |= watched.reads()
        return [made, *self._sent_again(made)] if made.after.deferred and made.changed_configuration else [made]

    def _try(self, record: Record, symbol: Symbol, event: Event, timer: Timer | None = None) -> Step | None:
        try:
            if timer is not None:
                return self.steps.fire(record, timer, event, at=0.0, now=0.0)
            return self.steps.event(record, event, at=0.0, now=0.0)
        except StepNeverSettles:
            self.circles.add((record.situation.phase, symbol.type))
            return None

    def _watch(self, during: Record, before: Record, event_class: int, event: Event) -> Watched:
        """Let the table take a step once more, and see which facts its guards read."""
        watched = Watched(during)
        with suppress(StepNeverSettles):
            self.steps.table.step(before.situation, event_class, watched.record, event)
        return watched

    def _sent_again(self, first: Step) -> Iterator[Step]:
        """As :class:`~statemachines.connections.connections.Connections` does it: from the first after each change."""
        record, changed = first.after, True
        while changed:
            changed = False
            for event in record.deferred:
                if record.ended:
                    return
                event_class = self.steps.layout.event_class(event.type)
                self._reads |= self._watch(record, record, event_class, event).reads()
                try:
                    step = self.steps.send_again(record, event, at=0.0, now=0.0)
                except StepNeverSettles:
                    continue
                if step is not None:
                    yield step
                    record = step.after
                    if step.changed_configuration:
                        changed = True
                        break

    def _written(self, made: list[Step]) -> int:
        """The bits of the visits that begin anew; those that a delay grows with are read, if they do not."""
        layout = self.steps.layout
        written: set[int] = set()
        for step in made:
            written.update(number for number, entered in step.outcome.visits if not entered)
            grown = {layout.visit_number[one.state] for one in step.outcome.arms if one.after.backoff != 1}
            self._reads |= Reads(visits=frozenset(grown - written))
        return self.cases.mask(Reads(visits=frozenset(written)))

    def _result(self, made: list[Step], case: int) -> tuple[int, tuple[Change, ...]]:
        """The case after some steps, and what they do to its timers."""
        after = self.cases.pack(made[-1].after) | case & self.timers_mask
        heard = list(self.cases.heard.of(case))
        watched = case >> self.cases.monitors
        changes = []
        for step in made:
            self.fired.update(step.outcome.transitions)
            published = list(self._published(step))
            if published:
                self._reads |= self._heard_reads
            heard += published
            watched = self._watched(step, watched)
            for timer in step.armed:
                self._timers[timer.spec.number] = timer
            arms = tuple((remaining(timer.deadline), self.first_timer + timer.spec.number) for timer in step.armed)
            disarms = frozenset(self._first_state + state for state in step.outcome.disarms)
            if arms or disarms:
                changes.append(Change(disarms, arms))
        after |= self.cases.heard.number(tuple(heard), tuple(one.key for one in heard))
        after |= (watched & (1 << len(self.closes)) - 1) << self.cases.monitors
        return after, tuple(changes)

    def _published(self, step: Step) -> Iterator[Heard]:
        """What comes back of what a step publishes, with the fields that are read of it."""
        for effect in step.outcome.effects:
            if isinstance(effect, PublishEffect) and self.relevance.hears(effect.event_type):
                yield self._heard(effect.event_type, effect.data(step.during, step.event))
        if self._hears_phases and step.changed_configuration:
            told = Publication(PHASE_CHANGED, step, 0).build()
            yield self._heard(PHASE_CHANGED, told.data)

    def _heard(self, event_type: str, data: dict[str, Any]) -> Heard:
        return Heard(event_type, {name: value for name, value in data.items() if name in self.relevance.fields})

    def _watched(self, step: Step, watched: int) -> int:
        """The actions that still want their second, one bit a pair."""
        for effect in step.outcome.effects:
            name = effect.name if isinstance(effect, CallEffect) else effect.event_type
            self.performed.add(name)
            for number, (_, first, second) in enumerate(self.closes):
                if name == first:
                    watched |= 1 << number
                elif name == second:
                    watched &= ~(1 << number)
        return watched

    def _event(self, symbol: Symbol) -> Event:
        return Event(symbol.type, CONNECTION, symbol.data, id="", timestamp=0.0)

    def _change_number(self, changes: tuple[Change, ...]) -> int:
        found = self._change_numbers.get(changes)
        if found is None:
            found = self._change_numbers[changes] = len(self._changes)
            self._changes.append(changes)
            self._changed.append({})
        return found

    # -- which bits a move reads --

    def _grouped(self, case: int) -> tuple[Group, ...]:
        if self.ended(case):
            return ()
        by_mask: dict[tuple[int, bool], list[int]] = {}
        for label in range(self.timer_labels):
            by_mask.setdefault(self._facts_mask(label, case), []).append(label)
        return tuple(self._group(tuple(labels), case) for labels in by_mask.values())

    def _group(self, labels: tuple[int, ...], case: int) -> Group:
        mask, inside = self._facts_mask(labels[0], case)
        charts = [self._chart(label, case) for label in labels]
        return Group(labels, mask, tuple(c for c, _ in charts), tuple(quiet for _, quiet in charts), inside)

    def _facts_mask(self, label: int, case: int) -> tuple[int, bool]:
        """The bits of the facts that an event reads or changes, and whether it asks where the connection is."""
        symbol = self.labels[label].symbol
        if symbol is None:
            return 0, False
        learning = [expression for expression, _ in self.relevance.learning(symbol.type)]
        reads = self.relevance.reader.reads(learning) | self.relevance.told_by(symbol.type)
        mask = self.cases.mask(reads & self.relevance.facts)
        return mask | (self.cases.parts_mask(None) if reads.inside else 0), reads.inside

    def _chart(self, label: int, case: int) -> tuple[Chart, bool]:
        """What the chart does on an event, and whether that is nothing as long as no fact changes."""
        symbol = self.labels[label].symbol
        around = self.cases.active[0].of(case)
        if symbol is None:
            event_class = self.steps.layout.timers[self.labels[label].timer or 0].event_class
        else:
            event_class = self.steps.layout.event_class(symbol.type)
        concern = self.cases.regions.concern(around, event_class)
        own = symbol is not None and self._is_told_apart(concern)
        key = (case & self.around_mask, event_class, label if own else None)
        chart = self._charts.get(key)
        if chart is None:
            chart = self._charts[key] = Chart(self._chart_mask(concern))
        waits = self.cases.deferred_mask != 0 or self.labels[label].kind != "event"
        return chart, not (waits or concern.heard or self.wakes)

    def _is_told_apart(self, concern: Concern) -> bool:
        """Whether the chart may tell two events of one class apart."""
        if self.cases.deferred_mask or (concern.moves and (self._hears_phases or self._heard_data)):
            return True
        return any(reads_event(guard.tree) for guard in concern.guards)

    def _guards_that_wake(self) -> bool:
        """Whether a transition without event may become possible though no fact has changed."""
        guards = list(guards_of(self.steps.layout, eventless=True))
        return any(reads_event(guard.tree) or guard.visits for guard in guards)

    def _chart_mask(self, concern: Concern) -> int:
        parts, reads = concern.parts, Reads()
        if concern.moves:
            guards = guards_of(self.steps.layout) if self.cases.deferred_mask else concern.guards
            reads = self.relevance.reader.reads(guards) | self._heard_reads
            if self._heard_reads.inside or self._hears_phases:
                parts = None
        mask = self.around_mask | self.cases.mask(reads & self.relevance.facts) | self.cases.deferred_mask
        mask |= self.cases.parts_mask(parts)
        if concern.moves:
            mask |= self.cases.visits_mask(parts) | self.cases.heard.mask
            mask |= ((1 << len(self.closes)) - 1) << self.cases.monitors
        return mask


def closes_of(properties: Any) -> tuple[tuple[str, str, str], ...]:
    """Every pair of actions of which the second must follow the first, with the property that says so."""
    return tuple(
        (name, first, second)
        for name, wanted in properties.items()
        if isinstance(wanted, Property)
        for first, second in (wanted.closes or {}).items()
    )
