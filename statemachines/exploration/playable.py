"""The step table as rows that can be written down and played elsewhere, with nothing to evaluate there.

A case is a list of *fields*: which states are active (in each region), what histories hold, each fact that matters,
the events that wait. A row says: where these fields are so, those become so, and this is told. Rows are the ones that
:class:`~statemachines.exploration.moves.Moves` learns from real steps, so each holds for every case that agrees in the
fields it reads, however the others stand.

Time is no field. A row says which timers end and which begin; when a timer is due its own row is looked up. So whoever
plays the rows keeps a clock and a list of timers, and no case is left out because of when it comes up.

The rows of the nearest cases are written, breadth first; a timer is taken to fire wherever its state is active, which
is more than can happen. A row that is not there is beyond the bound, not an event without effect: that has a row too.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import Factory, define, evolve, field, frozen

from bus.event import Event
from statemachines.errors import StepNeverSettles
from statemachines.exploration.cases import CONNECTION, Cases
from statemachines.exploration.events import Symbol, alphabet, reads_event_alone
from statemachines.exploration.exploring import prepare
from statemachines.exploration.moves import Chart, Label, Learnt, Moved, Moves
from statemachines.exploration.packing import TooMany
from statemachines.exploration.reading import Reads, Relevance, triggers_of
from statemachines.exploration.values import frozen_value
from statemachines.language.definition import Definition
from statemachines.table.layout import TimerSpec
from statemachines.table.record import Identity, Record, Timer
from statemachines.table.step import DEPENDENCY_MARKED, Step, dependency_status
from statemachines.table.table import CallEffect

MAX_CASES = 10_000
MAX_ROWS = 60_000
"""Some 3 MB as text; a definition without events that wait rarely has more than a few thousand."""

MAX_SETTLING = 1_000
STATUSES = ("pending", "ready", "failed")

Writes = tuple[tuple[int, int], ...]
"""Fields and what they become."""
Key = tuple[int, ...]
"""What the fields that a row reads stand at."""


@frozen
class Field:
    """One part of every case. ``values`` are what its numbers stand for; empty where a number stands for itself."""

    kind: str
    name: str
    shift: int
    width: int
    values: tuple[Any, ...] = ()

    @property
    def mask(self) -> int:
        """Its bits in a case."""
        return ((1 << self.width) - 1) << self.shift

    def of(self, case: int) -> int:
        """Its number in a case."""
        return case >> self.shift & (1 << self.width) - 1


@frozen
class Told:
    """One step, in words: transitions by number, then what it published, called, invoked and gave up."""

    transitions: tuple[int, ...] = ()
    published: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    invoked: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    again: str = ""
    deferral: str = ""


@frozen
class Outcome:
    """What a row does: ``timers`` says for each step which states' timers end and which timers begin, with seconds."""

    writes: Writes
    told: tuple[Told, ...] = ()
    timers: tuple[tuple[tuple[int, ...], tuple[tuple[int, float], ...]], ...] = ()


@frozen
class FactRows:
    """What events of a label tell: by what the fields read, what becomes of facts and which chart rows come next.

    None: such an event changes nothing at all.
    """

    reads: tuple[int, ...]
    rows: Mapping[Key, tuple[Writes, int] | None]


@frozen
class ChartRows:
    """What the chart does: by what the fields read. None: the step never settles."""

    reads: tuple[int, ...]
    rows: Mapping[Key, Outcome | None]


@frozen
class Bound:
    """How much was written. ``depth`` is how many moves every way can be followed, at the least."""

    tried: int
    found: int
    rows: int
    complete: bool
    depth: int


@frozen
class Playable:
    """All that is needed to play one connection of a definition.

    :ivar labels: what can happen: events of an alphabet, timers, own events that come back
    :ivar rows: by label and by what the first field (the states outside of all regions) stands at
    :ivar beside: by label, facts that nothing reads: what each status becomes
    :ivar unseen: the names of the facts that are in none of this
    """

    definition: Definition
    required: tuple[str, ...]
    timers: tuple[TimerSpec, ...]
    fields: tuple[Field, ...]
    start: Outcome
    labels: tuple[Label, ...]
    rows: Mapping[int, Mapping[int, FactRows]]
    charts: tuple[ChartRows, ...]
    phases: Mapping[Key, str]
    ended: frozenset[int]
    transitions: tuple[tuple[str, str | None], ...]
    beside: Mapping[int, Mapping[str, tuple[str, str, str]]]
    unseen: tuple[str, ...]
    bound: Bound


def playable(
    definition: Definition,
    *,
    dependencies: Sequence[str] | None = None,
    timeouts: Mapping[str, float] | None = None,
    metadata: Mapping[str, Any] | None = None,
    also: Iterable[Symbol] = (),
    max_cases: int = MAX_CASES,
    max_rows: int = MAX_ROWS,
) -> Playable:
    """The rows of a definition, for a connection registered like this.

    :param also: events, with their payloads, that are wanted beside those that make a difference
    :raises UnknownDependency: one is required that the definition does not declare
    :raises UnknownTimeout: a timeout that it does not have
    :raises StepNeverSettles: the eventless transitions of the initial states go in a circle
    """
    # Properties ask for facts that nothing else reads, and make cases that no step tells apart.
    steps, required, _ = prepare(evolve(definition, properties={}), None if dependencies is None else tuple(dependencies))
    steps.check_timeouts(timeouts)
    relevance = Relevance(steps.layout, required, ())
    identity = Identity(CONNECTION, None, None, timeouts, metadata or {}, 0.0)
    symbols = list(alphabet([(steps, relevance)]).symbols)
    known = {frozen_event(symbol) for symbol in symbols}
    symbols += {frozen_event(symbol): symbol for symbol in also if frozen_event(symbol) not in known}.values()
    symbols += [Mark(DEPENDENCY_MARKED, {"dependency": name}) for name in definition.dependencies]
    moves = _Noting(steps, relevance, Cases(steps, relevance, required, 0, identity=identity), symbols)
    return _Writer(definition, moves, *_tried(moves, max_cases, max_rows)).written()


@frozen
class Mark(Symbol):
    """A dependency that is marked ready by hand: it tells just that, whatever the definition learns from events."""

    @property
    def dependency(self) -> str:
        """Which one."""
        return str(self.data["dependency"])


def frozen_event(symbol: Symbol) -> Hashable:
    """What tells events apart, 1 and True in their payloads too."""
    return type(symbol), symbol.type, frozen_value(dict(symbol.data))


class _Noting(Moves):
    """Moves that keep what the steps behind each row told."""

    noted: dict[tuple[Chart, int], list[Step]]

    def note(self, chart: Chart, bits: int, made: list[Step]) -> None:
        self.noted.setdefault((chart, bits), made)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.noted = {}

    def _try(self, record: Record, symbol: Symbol, event: Event, timer: Timer | None = None) -> Step | None:
        if not isinstance(symbol, Mark):
            return super()._try(record, symbol, event, timer)
        try:
            return self.steps.mark(record, symbol.dependency, event, at=0.0, now=0.0)
        except StepNeverSettles:
            return None

    def _facts_mask(self, label: int, case: int) -> tuple[int, bool]:
        symbol = self.labels[label].symbol
        if not isinstance(symbol, Mark):
            return super()._facts_mask(label, case)
        told = Reads(self.steps.bit(symbol.dependency))
        return self.cases.mask(told & self.relevance.facts), False

    def possible(self, case: int) -> Iterator[int]:
        """The labels of what may come from outside, and of the timers that may run."""
        if self.ended(case):
            return
        states = set(self.cases.states(case))
        timers = self.steps.layout.timers
        yield from range(self.timer_labels)
        for spec in timers:
            if spec.state in states and spec.number in self._timers:
                yield self.timer_labels + spec.number

    def timeless(self, case: int) -> int:
        """The case without its timers, after all that comes back at once."""
        case &= ~self.timers_mask
        for _ in range(MAX_SETTLING):
            if not case & self.cases.heard.mask:
                break
            case = self.come_back(case)[1] & ~self.timers_mask
        return case


@define
class _Tried:
    """The cases that were tried: ``cases`` in the order found, the first ``tried`` of them with all their moves."""

    cases: list[int]
    tried: int = 0
    complete: bool = True
    depths: list[int] = Factory(list)


def _tried(moves: _Noting, max_cases: int, max_rows: int) -> tuple[Step, _Tried]:
    first = moves.steps.register(
        moves.cases.record(0).identity,
        moves.cases.required,
        moves._event(Symbol("connection.created", {})),
        at=0.0,
        now=0.0,
    )
    start = moves.timeless(moves.start())
    found = _Tried([start], depths=[0])
    known = {start}
    try:
        for number, case in enumerate(found.cases):
            if number >= max_cases or len(moves.noted) > max_rows:
                found.complete = False
                break
            for label in moves.possible(case):
                after = moves.timeless(moves.after(label, case)[1])
                if after not in known:
                    known.add(after)
                    found.cases.append(after)
                    found.depths.append(found.depths[number] + 1)
            found.tried = number + 1
    except TooMany:
        found.complete = False
    return first, found


@define
class _Writer:
    """Writes down what was learnt."""

    definition: Definition
    moves: _Noting
    first: Step
    found: _Tried
    fields: list[Field] = field(init=False)

    def written(self) -> Playable:
        moves, found = self.moves, self.found
        self.fields = [one for one in self._fields() if one.kind == "active" or one.values or one.width]
        charts: dict[Chart, int] = {}
        rows: dict[int, dict[int, FactRows]] = {}
        for (label, around), group in moves._single.items():
            written = {
                self._key(bits, group.mask): self._fact_row(bits, learnt, charts)
                for bits, learnt in group.known.items()
            }
            reads = self._reads(group.mask)
            rows.setdefault(label, {})[self.fields[0].of(around)] = FactRows(reads, written)
        chart_rows = tuple(self._chart(chart) for chart in charts)
        bound = Bound(
            found.tried,
            len(found.cases),
            sum(len(chart.rows) for chart in chart_rows),
            found.complete,
            found.depths[min(found.tried, len(found.depths) - 1)],
        )
        beside, unseen = self._beside()
        layout = moves.steps.layout
        return Playable(
            self.definition,
            tuple(name for name, bit in layout.bits.items() if moves.cases.required & bit),
            layout.timers,
            tuple(self.fields),
            self._outcome([self.first], 0, moves.start() & ~moves.timers_mask),
            tuple(moves.labels),
            rows,
            chart_rows,
            self._phases(),
            frozenset(number for number, _ in enumerate(self.fields[0].values) if self._is_end(number)),
            tuple(self._transitions()),
            beside,
            unseen,
            bound,
        )

    def _fields(self) -> Iterator[Field]:
        cases, layout = self.moves.cases, self.moves.steps.layout
        for part in cases.active:
            yield Field("active", part.name, part.shift, part.width, tuple(part.values))
        for numbers, part in cases._histories:
            name = ", ".join(layout.ids[layout.histories[number][0]] for number in numbers)
            yield Field("history", name, part.shift, part.width, tuple(part.values))
        for bits in cases._dependencies:
            name = next(name for name, bit in layout.bits.items() if bit == bits.bit)
            yield Field("dependency", name, bits.ready.bit_length() - 1, 2 if bits.failed else 1, STATUSES)
        for number, remembered in cases._remembered:
            yield Field(
                "remembered", layout.remembered[number], remembered.shift, remembered.width, tuple(remembered.values)
            )
        for number, shift, width, _ in cases._visits:
            yield Field("visits", layout.ids[layout.visited[number]], shift, width)
        if cases._deferred is not None:
            values = tuple(tuple(event.type for event in waiting) for waiting in cases._deferred.values)
            yield Field("deferred", "events that wait", cases._deferred.shift, cases._deferred.width, values)
        yield Field("heard", "events that come back", cases.heard.shift, cases.heard.width, self._heard())

    def _heard(self) -> tuple[Any, ...]:
        """For each queue of own events that come back, the label of the first and the queue without it."""
        moves, heard = self.moves, self.moves.cases.heard
        found: list[Any] = []
        for queue in heard.values:
            label = moves._heard_symbols.get(queue[0].key) if queue else None
            rest = heard._numbers.get(tuple(one.key for one in queue[1:])) if queue else 0
            found.append((label, rest))
        return tuple(found)

    def _reads(self, mask: int) -> tuple[int, ...]:
        return tuple(number for number, one in enumerate(self.fields) if one.mask & mask)

    def _key(self, bits: int, mask: int) -> Key:
        return tuple(one.of(bits) for one in self.fields if one.mask & mask)

    def _writes(self, before: int, after: int) -> Writes:
        flipped = before ^ after
        return tuple((number, one.of(after)) for number, one in enumerate(self.fields) if one.mask & flipped)

    def _fact_row(
        self, bits: int, learnt: tuple[Learnt, ...], charts: dict[Chart, int]
    ) -> tuple[Writes, int] | None:
        if not learnt:
            return None
        _, told, chart = learnt[0]
        return self._writes(bits, bits ^ told), charts.setdefault(chart, len(charts))

    def _chart(self, chart: Chart) -> ChartRows:
        known: dict[int, Moved | None] = {**chart.older, **chart.known}
        rows = {
            self._key(bits, chart.mask): None
            if moved is None
            else self._outcome(self.moves.noted[chart, bits], bits, bits ^ moved[1])
            for bits, moved in known.items()
        }
        return ChartRows(self._reads(chart.mask), rows)

    def _outcome(self, made: list[Step], before: int, after: int) -> Outcome:
        timers = tuple(
            (tuple(sorted(step.outcome.disarms)), tuple((timer.spec.number, timer.deadline) for timer in step.armed))
            for step in made
            if step.outcome.disarms or step.armed
        )
        told = tuple(self._told(step, again=number > 0) for number, step in enumerate(made))
        return Outcome(self._writes(before, after), told if any(one != Told() for one in told) else (), timers)

    def _told(self, step: Step, *, again: bool) -> Told:
        effects, outcome = step.outcome.effects, step.outcome
        invokes_of = self.moves.steps.layout.invokes_of
        return Told(
            outcome.transitions,
            tuple(one.event_type for one in effects if not isinstance(one, CallEffect)),
            tuple(one.name for one in effects if isinstance(one, CallEffect)),
            tuple(spec.invoke.call for spec in outcome.invokes),
            tuple(spec.invoke.call for state in outcome.cancels for spec in invokes_of[state]),
            step.event.type if again else "",
            step.deferral or "",
        )

    def _phases(self) -> dict[Key, str]:
        """The phase by what the active fields stand at, for every case that was found."""
        active = [one for one in self.fields if one.kind == "active"]
        found: dict[Key, str] = {}
        for case in self.found.cases:
            key = tuple(one.of(case) for one in active)
            if key not in found:
                found[key] = self.moves.cases.situation(case).phase
        return found

    def _is_end(self, number: int) -> bool:
        return self.moves.ended(number << self.fields[0].shift)

    def _transitions(self) -> Iterator[tuple[str, str | None]]:
        for state in self.definition.walk():
            yield from ((state.id, transition.target) for transition in state.transitions)
            yield from ((state.id, after.transition.target) for after in state.after)

    def _beside(self) -> tuple[dict[int, dict[str, tuple[str, str, str]]], tuple[str, ...]]:
        """Dependencies that nothing reads, as long as what changes them is the event alone."""
        moves, steps = self.moves, self.moves.steps
        shown: list[str] = []
        for name, bit in steps.layout.bits.items():
            whens = [trigger.when for trigger in triggers_of(self.definition.dependencies[name])]
            if not moves.relevance.facts.dependencies & bit:
                if all(when is None or reads_event_alone(when.tree) for when in whens):
                    shown.append(name)
        found: dict[int, dict[str, tuple[str, str, str]]] = {}
        for number, label in enumerate(moves.labels):
            if label.symbol is None:
                continue
            for name in shown:
                became = self._became(label.symbol, steps.bit(name))
                if became != STATUSES:
                    found.setdefault(number, {})[name] = became
        unseen = [name for name in moves.relevance.left_out() if name not in shown]
        return found, tuple(unseen)

    def _became(self, symbol: Symbol, bit: int) -> tuple[str, str, str]:
        steps = self.moves.steps
        event = self.moves._event(symbol)
        before = [evolve(steps.blank, ready=bit * (s == "ready"), failed=bit * (s == "failed")) for s in STATUSES]
        made = [self.moves._try(one, symbol, event) for one in before]
        after = [STATUSES[0] if step is None else dependency_status(step.during, bit) for step in made]
        return after[0], after[1], after[2]
