"""Calls that were drawn from a traffic file, run one after the other on virtual time, each by itself.

A call is one connection. It meets the very code that runs connections live, and no other call: what a traffic file
sends is addressed by the connection's id, so calls would not notice each other. So one is kept in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from attrs import define, field, frozen

from bus.errors import PhasebusError
from bus.event import Event
from statemachines.errors import suggestion
from statemachines.language.definition import Definition, Publish
from statemachines.language.durations import shortened
from statemachines.language.traffic import Traffic
from statemachines.simulation.drawing import Coming, Drawing, DrawnCall
from statemachines.simulation.scenario import Registration
from statemachines.simulation.simulator import Emit, Simulation
from statemachines.table.step import CREATED, Step

_READY = (".ready", ".established")
_COUNTED = ("ignored", "deferred", "early", "expired", "unknown", "finished", "foreign", "refused")

PATIENCE_S = 3600.0
"""How long a call goes on after its last event, if its timers do."""
MAX_TIMERS = 1000
"""After so many timers with no event the call goes round and round: it has come as far as it will."""


@frozen
class Call:
    """What became of a call. All times are seconds after its arrival, but ``arrival`` itself.

    :ivar phase: where it was last; None if it was never registered
    :ivar ended: when it came into a final state, and stayed there; None if it did not
    :ivar reached: when it first was in each state, at rest
    :ivar last: the required dependencies that were the last to become ready before it was first in the phase asked for
    :ivar faults: what was lost, doubled and overtaken: which fault, and the type of the event
    :ivar events: how many came
    :ivar timers: how many fired
    :ivar counts: how many events were ignored, early, expired and so on; those that are 0 are left out
    """

    number: int
    arrival: float
    phase: str | None
    ended: float | None
    reached: dict[str, float]
    last: tuple[str, ...]
    faults: tuple[tuple[str, str], ...]
    events: int
    timers: int
    counts: dict[str, int]

    @property
    def connection(self) -> str:
        """The id of its connection."""
        return connection_of(self.number)


class UnknownPhase(PhasebusError):
    """No state of the definition has the name that was asked for."""


def connection_of(number: int) -> str:
    """The id of a call's connection."""
    return f"call_{number}"


def find_phase(definition: Definition, name: str | None = None) -> str | None:
    """The phase whose time is asked for: the one named, else ``ready``, else the first to publish its like.

    :raises UnknownPhase: the definition has no state of that name

    >>> from statemachines import load_definition
    >>> find_phase(load_definition("whatsapp_call")), find_phase(load_definition("outbound_agent_call"))
    ('ready', 'talking')
    """
    states = {state.id: state for state in definition.walk()}
    if name is not None and name not in states:
        raise UnknownPhase(f"{definition.name} has no state '{shortened(name)}'{suggestion(name, list(states))}")
    if name is not None or "ready" in states:
        return name or "ready"
    for state in states.values():
        if any(isinstance(action, Publish) and action.event.endswith(_READY) for action in state.enter):
            return state.id
    return None


def rates_missing(traffic: Traffic) -> list[str]:
    """What to tell whoever simulates a traffic whose faults are counts for exploring: they are no rates."""
    return [
        f"'{name}: {count:g}' is how many explore tries in a run, and no rate: write '{name}: 0.01' to simulate with"
        for name, count in traffic.faults.items()
        if count >= 1
    ]


@define
class _Seen:
    """What is noticed of the call that runs."""

    reached: dict[str, float] = field(factory=dict)
    latest: int = 0
    """The required dependencies that became ready with the last step in which any did."""
    last: int = 0
    timers: int = 0


class CallRunner:
    """Runs the calls of a traffic file with a definition. ``phase`` is the one whose last dependency is asked for."""

    def __init__(
        self, definition: Definition, traffic: Traffic, seed: int, phase: str | None, until: float | None = None
    ) -> None:
        self._drawing = Drawing(traffic, seed)
        self._phase = phase
        self._until = until
        self._registration = Registration(dependencies=traffic.dependencies)
        self.simulation = Simulation(definition, None, self._see)
        """The connection of the call that runs, or ran last."""
        self._seen = _Seen()
        self._dependencies = {} if traffic.dependencies is None else {"dependencies": list(traffic.dependencies)}
        types = {item.type for items in traffic.sources.values() for item in items}
        starts_on = self.simulation.connections.starts_on
        self._starting = {
            item.type
            for items in traffic.sources.values()
            for item in items
            if starts_on(Event(item.type, "", item.data))
        }
        self._by_created = CREATED in types - self._starting
        self._at_arrival = not self._starting and not self._by_created

    @property
    def published(self) -> dict[str, int]:
        """How many events of each type all connections published by now."""
        return self.simulation.published()

    def run(self, calls: int) -> Iterator[Call]:
        """What became of the first so many calls, one after the other."""
        for drawn in islice(self._drawing.calls(), calls):
            yield self._run(drawn)

    def tell(self, number: int, emit: Emit) -> Call:
        """Run only the call of that number, and tell what happens in it."""
        drawn = next(islice(self._drawing.calls(), number - 1, None))
        self.simulation.tell(emit)
        return self._run(drawn)

    # -- details --

    def _run(self, drawn: DrawnCall) -> Call:
        simulation, connection_id = self.simulation, connection_of(drawn.number)
        self._seen = seen = _Seen()
        simulation.begin_anew()
        if self._at_arrival:
            simulation.register(connection_id, self._registration)
        for one in drawn.coming:
            simulation.advance_to(one.at)
            self._come(connection_id, one)
        self._go_on(connection_id)
        record = simulation.last_record(connection_id)
        counts = simulation.connections.counts
        return Call(
            drawn.number,
            drawn.arrival,
            None if record is None else record.situation.phase,
            None if record is None or not record.ended else record.since,
            seen.reached,
            simulation.connections.layout.named(seen.last),
            tuple(drawn.faults),
            len(drawn.coming),
            seen.timers,
            {name: count for name in _COUNTED if (count := getattr(counts, name))},
        )

    def _come(self, connection_id: str, one: Coming) -> None:
        event_type, data = one.item.type, one.item.data
        if self._by_created and event_type == CREATED:
            self.simulation.register(connection_id, self._registration)
            return
        if self._dependencies and event_type in self._starting:
            data = {**self._dependencies, **data}
        self.simulation.publish(Event(event_type, connection_id, data, timestamp=one.at))

    def _go_on(self, connection_id: str) -> None:
        """Let the timers fire that are left, until the call has ended or gone on for long enough."""
        simulation, seen = self.simulation, self._seen
        limit = simulation.now + PATIENCE_S if self._until is None else max(self._until, simulation.now)
        enough = seen.timers + MAX_TIMERS
        while (deadline := simulation.connections.next_deadline()) is not None and deadline <= limit:
            record = simulation.connections.records.get(connection_id)
            if (record is not None and record.ended) or seen.timers >= enough:
                return
            simulation.advance_to(deadline)

    def _see(self, step: Step) -> None:
        seen, after, before = self._seen, step.after, step.before
        ready = step.during.ready & after.required
        became = ready if before is None else ready & ~before.ready
        if became:
            seen.latest = became
        if step.fired is not None:
            seen.timers += 1
        if before is None or step.outcome.moved:
            reached = seen.reached
            if self._phase not in reached and self._phase in after.situation.configuration:
                seen.last = seen.latest
            for state in after.situation.configuration:
                if state not in reached:
                    reached[state] = self.simulation.now
