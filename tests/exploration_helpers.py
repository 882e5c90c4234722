"""The same exploration done in the plainest way: nothing is packed, projected or left out.

Each step is made by a machine of python-statemachine, or, for larger charts, by the table, which is a hundred times
faster and compared with the library elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from attrs import evolve, frozen
from hypothesis import assume
from hypothesis import strategies as st
from statemachine.orderedset import OrderedSet

from bus import Event
from statemachines import StepNeverSettles
from statemachines.exploration.search import Bounds, Graph, World, search
from statemachines.exploration.worlds import Worlds
from statemachines.language.definition import Definition, State
from statemachines.table.record import Identity, Record
from statemachines.table.step import Step, Steps, dependency_status
from tests.exploration_reference import Reference, _Circle
from tests.plain_charts import DEPENDENCIES, EVENTS, definitions

EVERY_EVENT = (*EVENTS, "y.unnamed", "y.deep.unnamed")
"""Of each pattern also a name that nothing else names."""
NUMBERS = (None, 0, 1, 2)
MOST_VISITS = 4
"""The guards of the random definitions compare visits with 3."""

Place = tuple[tuple[str, ...], tuple[str, ...]]
"""A configuration, and the status of each dependency that matters."""
Clock = tuple[tuple[str, Fraction], ...]
"""The timers that run, by the state they belong to, with the seconds that are left, in the order they were armed."""


def explored(definition: Definition, most: int) -> tuple[World, Graph]:
    """What explore finds where it merges nothing that has to be learnt."""
    try:
        world = Worlds([definition]).make(None)
        graph = search(world, Bounds(most, None))
    except StepNeverSettles:
        assume(False)
    return world, graph


def dependencies_that_matter(world: World) -> list[str]:
    """Those that the cases of a search are told apart by."""
    facts = world.moves.relevance.facts.dependencies
    return [name for name in DEPENDENCIES if facts & world.moves.steps.layout.bits[name]]


def place(world: World, case: int) -> Place:
    """Where a case is."""
    bits, record = world.moves.steps.layout.bits, world.moves.cases.record(case)
    statuses = tuple(dependency_status(record, bits[name]) for name in dependencies_that_matter(world))
    return record.situation.configuration, statuses


@frozen
class Spot:
    """Where a connection can be."""

    configuration: tuple[str, ...]
    history: tuple[tuple[str, tuple[str, ...]], ...]
    status: tuple[str, ...]
    kept: Any
    visits: tuple[int, ...]
    clock: Clock


@st.composite
def timed_definitions(draw: st.DrawFn) -> Definition:
    """Random definitions whose timers run for different times."""
    seconds = st.sampled_from([1.0, 2.0, 3.0, 5.0])

    def timed(state: State) -> State:
        after = tuple(evolve(one, delay=(delay := draw(seconds)), written=f"{delay:g}s") for one in state.after)
        return evolve(state, after=after, states=tuple(timed(child) for child in state.states))

    definition = draw(definitions())
    return evolve(definition, states=tuple(timed(state) for state in definition.states))


class _Noting(Reference):
    """Keeps what it entered in its last step."""

    seen: tuple[str, ...] = ()

    def _count_visits(self) -> None:
        self.seen = tuple(self.entered)
        super()._count_visits()


class Plain:
    """Puts a machine of the library into any spot, and lets one thing happen there."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.delays = {state.id: after for state in definition.walk() for after in state.after}
        self.finals = {state.id for state in definition.states if state.final}
        self.machine = _Noting(definition)

    def explore(self, most: int) -> set[Spot] | None:
        """Every spot that can be reached; None if there are more than ``most``, or the start never settles."""
        first = self._start()
        if first is None:
            return None
        found = {_key(first): first}
        waiting = deque([first])
        while waiting:
            for after in self._moves(waiting.popleft()):
                key = _key(after)
                if key not in found:
                    if len(found) >= most:
                        return None
                    found[key] = after
                    waiting.append(after)
        return set(found.values())

    def _moves(self, spot: Spot) -> Iterator[Spot]:
        if self.finals & set(spot.configuration):
            return
        due = min((left for _, left in spot.clock), default=None)
        if due is None or due > 0:
            for event_type in EVERY_EVENT:
                for number in NUMBERS:
                    data = {} if number is None else {"n": number}
                    yield self._receive(spot, Event(event_type, "c", data))
        if due is None:
            return
        fires = next(state for state, left in spot.clock if left == due)
        rest = tuple((state, left - due) for state, left in spot.clock if state != fires)
        yield self._fire(spot, fires, rest)
        if due > Fraction(1, 2):
            offsets = [Fraction(0), *(left - round(left) for _, left in spot.clock)]
            gaps = [abs(one - other) / 2 for one in offsets for other in offsets if one != other]
            instant = min([Fraction(1, 1000), *gaps])
            yield evolve(spot, clock=tuple((state, left - due + instant) for state, left in spot.clock))

    def _start(self) -> Spot | None:
        try:
            self.machine.start()
        except _Circle:
            return None
        return self._spot(())

    def _receive(self, spot: Spot, event: Event) -> Spot:
        return self._after(spot, spot.clock, lambda machine: machine.receive(event))

    def _fire(self, spot: Spot, state: str, rest: Clock) -> Spot:
        return self._after(spot, rest, lambda machine: machine.fire(f"timer_{state}"))

    def _after(self, spot: Spot, clock: Clock, act: Any) -> Spot:
        self._restore(spot)
        try:
            act(self.machine)
        except _Circle:
            self.machine = _Noting(self.definition)
            self.machine.start()
            return evolve(spot, clock=clock)
        return self._spot(clock)

    def _restore(self, spot: Spot) -> None:
        machine = self.machine
        machine.status = dict(zip(DEPENDENCIES, spot.status, strict=True))
        machine.kept = spot.kept
        machine.visits = dict(zip(machine.order, spot.visits, strict=True))
        machine.machine.history_values = {
            name: [machine.machine.states_map[state] for state in held] for name, held in spot.history
        }
        machine.machine.current_state_value = OrderedSet(["around", *spot.configuration])

    def _spot(self, clock: Clock) -> Spot:
        machine = self.machine
        active, seen = set(machine.configuration), machine.seen
        kept = [(state, left) for state, left in clock if state in active and state not in seen]
        entered = [state for number, state in enumerate(seen) if state in active and state not in seen[number + 1 :]]
        armed = [(state, Fraction(str(self.delays[state].delay))) for state in entered if state in self.delays]
        return Spot(
            tuple(machine.configuration),
            tuple(sorted((name, tuple(s.id for s in held)) for name, held in machine.machine.history_values.items())),
            tuple(machine.status.values()),
            machine.kept,
            tuple(min(count, MOST_VISITS) for count in machine.visits.values()),
            (*kept, *armed),
        )


class PlainTable(Plain):
    """The same with the table in the place of the library."""

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.steps = Steps(definition)
        self.identity = Identity("c", None, None, None, {}, 0.0)

    def _start(self) -> Spot | None:
        created = Event("connection.created", "c")
        try:
            step = self.steps.register(self.identity, self.steps.layout.required_by_default, created, at=0, now=0)
        except StepNeverSettles:
            return None
        return self._spot_of(step, ())

    def _receive(self, spot: Spot, event: Event) -> Spot:
        try:
            return self._spot_of(self.steps.event(self._record(spot), event, at=0, now=0), spot.clock)
        except StepNeverSettles:
            return spot

    def _fire(self, spot: Spot, state: str, rest: Clock) -> Spot:
        layout, event = self.steps.layout, Event("timer.fired", "c")
        event_class = layout.timers_of[layout.index[state]][0].event_class
        record = self._record(spot)
        try:
            outcome = self.steps.table.step(record.situation, event_class, record, event)
            step = self.steps._finish(event, record, record, outcome, 0, 0)
        except StepNeverSettles:
            return evolve(spot, clock=rest)
        return self._spot_of(step, rest)

    def _record(self, spot: Spot) -> Record:
        layout = self.steps.layout
        held = dict(spot.history)
        history = tuple(
            tuple(layout.index[state] for state in held[one.id]) if one.id in held else None
            for _, one in layout.histories
        )
        states = tuple(layout.index[state] for state in spot.configuration)

        def bits(status: str) -> int:
            return sum(bit for bit, found in zip(layout.bits.values(), spot.status, strict=True) if found == status)

        return evolve(
            self.steps.blank,
            identity=self.identity,
            situation=self.steps.table.situation(states, history),
            ready=bits("ready"),
            failed=bits("failed"),
            required=layout.required_by_default,
            remembered=(spot.kept,),
            visits=spot.visits,
        )

    def _spot_of(self, step: Step, clock: Clock) -> Spot:
        layout, after = self.steps.layout, step.after
        gone = {layout.ids[state] for state in step.outcome.exited}
        kept = [(state, left) for state, left in clock if state not in gone]
        armed = [
            (layout.ids[timer.spec.state], Fraction(str(self.delays[layout.ids[timer.spec.state]].delay)))
            for timer in step.armed
        ]
        return Spot(
            after.situation.configuration,
            tuple(
                (one.id, tuple(layout.ids[state] for state in states))
                for (_, one), states in zip(layout.histories, after.situation.history, strict=True)
                if states is not None
            ),
            tuple(dependency_status(after, bit) for bit in layout.bits.values()),
            after.remembered[0],
            tuple(min(count, MOST_VISITS) for count in after.visits),
            (*kept, *armed),
        )


def _key(spot: Spot) -> Any:
    """Equal for spots whose futures are: of the instants that timers are apart only the order counts."""
    offsets = sorted({Fraction(0), *(left - round(left) for _, left in spot.clock)})
    ranks = {offset: number - offsets.index(Fraction(0)) for number, offset in enumerate(offsets)}
    running = sorted((left, state) for state, left in spot.clock)
    return evolve(spot, clock=()), tuple((state, round(left), ranks[left - round(left)]) for left, state in running)
