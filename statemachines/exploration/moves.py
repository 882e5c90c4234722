"""What can happen next to a case: made by the table once, remembered as the bits that it reads and writes.

Every move is a real step of :class:`~statemachines.table.step.Steps` on a real event. It has two halves, as there: the
event changes facts, then the chart moves by them. What each half did is kept under the bits that it can read, so it
holds for every case that agrees in those (projection, as in LTSmin: Blom, van de Pol and Weber, 2010); and events that
the chart cannot tell apart share the second half.

A case with an event that comes back, or with a timer that is due now, has this one move: nothing comes between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen

from bus.event import Event
from statemachines.exploration.cases import Cases
from statemachines.exploration.clocks import Change, fired, is_due, just_before, whole
from statemachines.exploration.deferral import Place, Words
from statemachines.exploration.events import Symbol
from statemachines.exploration.labels import BACK, WAIT, Label
from statemachines.exploration.liveness import Live, Liveness
from statemachines.exploration.made import NO_READS, Heard, Made
from statemachines.exploration.making import Making, event_of
from statemachines.exploration.reading import Reads, Relevance, guards_of, reads_event
from statemachines.exploration.regions import Concern
from statemachines.table.record import Record
from statemachines.table.step import Step, Steps

if TYPE_CHECKING:
    from statemachines.exploration.life import Life

MAX_KNOWN = 250_000
"""So many steps are remembered, and as many that were before: some 40 MB, however many cases there are."""

Moved = tuple[bool, int, int, int, int, "Then | None"]
"""What the chart did: whether a transition was taken, the bits that changed, what becomes of the timers; of the facts
the bits that it read, and those that it wrote whatever they were; and what becomes of deferred events, if anything."""


@define(eq=False)
class Then:
    """What becomes of deferred events after a step: ``event`` waits with them, and if it ``moved``, all are sent again.

    ``record`` is the connection after the step, ``around`` its case without what is deferred; ``known`` is what was
    found, by the number of what was deferred before.
    """

    record: Record
    around: int
    event: Event | None
    moved: bool
    known: dict[int, tuple[bool, int, int, int, int]] = field(factory=dict)
    place: Place | None = None


@frozen
class Lessons:
    """What a search has learnt for the next one.

    :ivar live: where which facts are live; None: all of them everywhere
    :ivar read: the facts that deferred events read when they are sent again
    :ivar places: where they are
    :ivar beginning: the events that begin a connection
    """

    live: Live | None = field(factory=dict)
    read: Reads = NO_READS
    places: tuple[Record, ...] = ()
    beginning: tuple[Symbol, ...] = ()


@define(eq=False)
class Chart:
    """What the chart does on events of one kind, by the bits that it reads. None: the step never settles.

    ``known`` are the steps made lately, ``older`` those from before.
    """

    mask: int
    known: dict[int, Moved | None] = field(factory=dict)
    older: dict[int, Moved | None] = field(factory=dict)


Watch = Callable[[Sequence[Step], Chart | None, int], None]
"""Is told of the steps behind a row of a chart, by the bits that it reads; with no chart, of the registration's."""

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

    making_class = Making

    def __init__(
        self,
        steps: Steps,
        relevance: Relevance,
        cases: Cases,
        symbols: Sequence[Symbol],
        states: list[int] | None = None,
        lessons: Lessons | None = None,
    ) -> None:
        """``lessons`` are those of a search before this one; with None, nothing is merged that has to be learnt."""
        self.steps = steps
        self.cases = cases
        self.relevance = relevance
        self.labels: list[Label] = [Label("event", symbol) for symbol in symbols]
        self.timer_labels = len(self.labels)
        self.labels += [Label("timer", timer=spec.number) for spec in steps.layout.timers]
        self.wait_label = len(self.labels)
        self.labels += [WAIT, BACK, Label("timer")]
        self.back_label = self.wait_label + 1
        # The clock is shared by all definitions on the bus: the numbers of their timers and states go on.
        self._state_of = [] if states is None else states
        self.first_timer = len(self._state_of)
        first_state = max(self._state_of, default=-1) + 1
        self._state_of += [first_state + spec.state for spec in steps.layout.timers]
        self.states = frozenset(self._state_of[self.first_timer :])
        """The states that have timers, by the numbers they have there."""
        self.making = self.making_class(steps, relevance, cases, self.first_timer, first_state)
        self.closes = self.making.closes
        self.dead = Liveness(cases, relevance, None if lessons is None else lessons.live)
        """The bits of facts that are left out of a case, by its configuration."""
        if cases.words is not None and lessons is not None:
            cases.words.learn(lessons.read, lessons.places)
        self._splits = lessons is not None
        """Whether what becomes of deferred events is kept apart, or in the rows of the charts."""
        self.where_mask = self.dead.where_mask
        self.deferred_mask = cases.deferred_mask
        self.life: Life | None = None
        """How connections begin and are forgotten; None if there is one from the start, and for ever."""
        self.watch: Watch | None = None
        """Sees the steps of each move that is not yet known: whatever a move can do, it sees at the first that does."""
        self._groups: dict[int, tuple[Group, ...]] = {}
        self._charts: dict[tuple[int, int, int | None], Chart] = {}
        self._moved: dict[Moved, Moved] = {}
        self._kept = 0
        self._single: dict[tuple[int, int], Group] = {}
        self.wakes = self._guards_that_wake()
        self._heard_data = any(True for _ in relevance.heard_data())
        self._symbols = list(symbols)
        self._heard_symbols: dict[Any, int] = {}
        self._changes: list[Change] = [Change()]
        self._change_numbers: dict[Change, int] = {Change(): 0}
        self._changed: list[dict[int, int]] = [{}]
        self._clocks: dict[int, Clock] = {}
        self.around_mask = cases.active[0].mask
        self.timers_shift = cases.timers.shift
        self.timers_mask = cases.timers.mask

    # -- the start --

    def start(self) -> int:
        """The case of a connection that was just registered."""
        return self.register(0)

    def register(self, case: int, news: tuple[Heard, ...] = ()) -> int:
        """The case with a connection of this definition in it; ``news`` of that come back first."""
        made = self.making.registered()
        if self.watch is not None:
            self.watch(made.steps, None, 0)
        return self.put(case, evolve(made, heard=(*news, *made.heard)))

    def put(self, case: int, made: Made) -> int:
        """The case with a connection of this definition in it that these steps began."""
        after, change = self._result(made, case)
        return self.without_dead(self.change_timers(case & ~self.cases.everything | after, change))

    @property
    def grown(self) -> bool:
        """Whether something was merged that should not have been: :meth:`learnt` knows better."""
        words, life = self.cases.words, self.life
        return self.dead.grown or (words is not None and words.grown) or (life is not None and life.grown)

    def learnt(self) -> Lessons:
        """For the next search."""
        words, live = self.cases.words, self.dead.known()
        beginning = () if self.life is None else self.life.beginning
        if words is None:
            return Lessons(live, beginning=beginning)
        return Lessons(live, words.reads, words.places(), beginning)

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
                active, flipped, change, reads, written, then = moved
                middle ^= flipped
                if change:
                    middle = self.change_timers(middle, change)
                if then is not None:
                    took, middle, read, anew = self.defer(then, middle)
                    active, reads, written = active or took, reads | read, written | anew
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
            after = known[number] = self.cases.timers.number(self._changes[change].applied(timers, self._state_of))
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
        label = self.heard_label(event)
        return (False, case) if self.ended(case) else self.after(label, case)

    def heard_label(self, event: Heard) -> int:
        """The label of an event that comes back."""
        label = self._heard_symbols.get(event.key)
        if label is None:
            label = len(self.labels)
            self.labels.append(Label("back", Symbol(event.type, event.data)))
            self._heard_symbols[event.key] = label
        return label

    def is_there(self, case: int) -> bool:
        """Whether there is a connection, living or not yet forgotten."""
        return case & self.around_mask != 0

    def ended(self, case: int) -> bool:
        """Whether the connection has ended, or there is none."""
        states = self.cases.active[0].of(case)
        return not states or not self.steps.layout.top_level_finals.isdisjoint(states)

    def steps_of(self, label: int, case: int) -> list[Step]:
        """The steps of a move, those of deferred events included; none if it never settles."""
        made = self._with_deferred(self.cases.record(case), label)
        return [] if made is None else list(made.steps)

    def reads(self, label: int, case: int) -> int:
        """All bits that a move can read of a case: it does the same to every case that agrees in these."""
        return self._facts_mask(label, case)[0] | self._chart(label, case)[0].mask | self.deferred_mask

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
                step = self.making.attempt(record, symbol, event_of(symbol))
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
        if not self._splits:
            return self._whole(chart, case, middle, label)
        before = self.cases.record(case & ~self.deferred_mask)
        made = self.making.move(before, self.labels[label])
        if made is None:
            return None
        middle &= ~self.deferred_mask
        deferred = made.record.deferred
        if deferred:
            made = evolve(made, record=evolve(made.record, deferred=()))
        after, change = self._result(made, middle)
        then = None
        if self.cases.words is not None:
            moved_on = before.situation.states != made.record.situation.states
            if deferred or moved_on:
                then = Then(made.record, after, deferred[0] if deferred else None, moved_on)
        if (after ^ middle) & self.cases.everything & ~chart.mask:
            raise AssertionError("a step changed more than it can read")  # a mistake in `regions` or `reading`
        reads = self.cases.mask(made.reads & self.relevance.facts)
        written = self.cases.mask(Reads(visits=made.written))
        moved = (made.took, (after ^ middle) & chart.mask, change, reads, written, then)
        return moved if then is not None else self._moved.setdefault(moved, moved)

    def _whole(self, chart: Chart, case: int, middle: int, label: int) -> Moved | None:
        """A move together with what becomes of deferred events, which its row reads then."""
        made = self._with_deferred(self.cases.record(case), label)
        if made is None:
            return None
        if self.watch is not None:
            self.watch(made.steps, chart, middle & chart.mask)
        after, change = self._result(made, middle)
        if (after ^ middle) & self.cases.everything & ~chart.mask:
            raise AssertionError("a step changed more than it can read")  # a mistake in `regions` or `reading`
        moved = (made.took, (after ^ middle) & chart.mask, change, 0, 0, None)
        return self._moved.setdefault(moved, moved)

    def _with_deferred(self, before: Record, label: int) -> Made | None:
        """A move, and then the deferred events that are sent again."""
        made, words = self.making.move(before, self.labels[label]), self.cases.words
        if made is None or words is None or not made.record.deferred:
            return made
        if before.situation.states == made.record.situation.states:
            return made
        return made.then(self.making.keep(words.sent_plainly(made.record)))

    def defer(self, then: Then, case: int) -> tuple[bool, int, int, int]:
        """What becomes of deferred events: whether a transition was taken, the case, what was read and what written."""
        words = self.cases.words
        assert words is not None
        number = (case & self.deferred_mask) >> words.part.shift
        found = then.known.get(number)
        if found is None:
            found = then.known[number] = self._deferred(then, words, number)
        took, flipped, change, reads, written = found
        case ^= flipped
        return took, self.change_timers(case, change) if change else case, reads, written

    def _deferred(self, then: Then, words: Words, before: int) -> tuple[bool, int, int, int, int]:
        shift = words.part.shift
        number = before if then.event is None else words.after(before, then.event)
        if then.record.ended:
            return False, before << shift, 0, 0, 0  # nothing will ever ask for these
        if not then.moved or not number:
            return False, (before ^ number) << shift, 0, 0, 0
        if then.place is None:
            then.place = words.place(then.record)
        made = words.sent_again(then.place, then.record, number)
        reads = self.cases.mask(made.reads & self.relevance.facts)
        if not made.took:
            left = words.number(made.record.deferred)
            return False, (before ^ left) << shift, 0, reads, 0
        self.making.keep(made)
        after, change = self._result(made, then.around)
        written = self.cases.mask(Reads(visits=made.written))
        return made.took, after ^ then.around ^ before << shift, change, reads, written

    def _result(self, made: Made, case: int) -> tuple[int, int]:
        """The case after some steps, and by number what they do to its timers."""
        after = self.cases.pack(made.record) | case & self.timers_mask
        watched = (case >> self.cases.monitors & ~made.closed | made.opened) & (1 << len(self.closes)) - 1
        after |= self._heard(case, made.heard) | watched << self.cases.monitors
        return after, self.change_number(made.change)

    def _heard(self, case: int, more: tuple[Heard, ...]) -> int:
        """The bits of the events that come back, and of more of them."""
        heard = (*self.cases.heard.of(case), *more)
        return self.cases.heard.number(heard, tuple(one.key for one in heard))

    def told(self, case: int, more: tuple[Heard, ...]) -> int:
        """The case in which more events come back."""
        return case & ~self.cases.heard.mask | self._heard(case, more) if more else case

    def add_timer(self) -> int:
        """A timer beside those of the definition's states, by number."""
        self._state_of.append(max(self._state_of, default=-1) + 1)
        return len(self._state_of) - 1

    def owner_of(self, timer: int) -> int:
        """The state that a timer belongs to, by the number it has for the clock."""
        return self._state_of[timer]

    def change_number(self, change: Change) -> int:
        """The number by which a case's timers are changed like this."""
        found = self._change_numbers.get(change)
        if found is None:
            found = self._change_numbers[change] = len(self._changes)
            self._changes.append(change)
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
        waits = self.deferred_mask != 0 or self.labels[label].kind != "event"
        return chart, not (waits or concern.heard or self.wakes)

    def _is_told_apart(self, concern: Concern) -> bool:
        """Whether the chart may tell two events of one class apart."""
        if self.deferred_mask or (concern.moves and (self.making.hears_phases or self._heard_data)):
            return True
        return any(reads_event(guard.tree) for guard in concern.guards)

    def _guards_that_wake(self) -> bool:
        """Whether a transition without event may become possible though no fact has changed."""
        guards = list(guards_of(self.steps.layout, eventless=True))
        return any(reads_event(guard.tree) or guard.visits for guard in guards)

    def _chart_mask(self, concern: Concern) -> int:
        parts, reads = concern.parts, Reads()
        if concern.moves:
            guards = guards_of(self.steps.layout) if self.deferred_mask else concern.guards
            reads = self.relevance.reader.reads(guards) | self.making.heard_reads
            if self.making.heard_reads.inside or self.making.hears_phases:
                parts = None
        mask = self.around_mask | self.cases.mask(reads & self.relevance.facts)
        mask |= 0 if self._splits else self.deferred_mask
        mask |= self.cases.parts_mask(parts)
        if concern.moves:
            mask |= self.cases.visits_mask(parts) | self.cases.heard.mask
            mask |= ((1 << len(self.closes)) - 1) << self.cases.monitors
        return mask
