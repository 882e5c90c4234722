"""Connections on a virtual clock, with no bus and no waiting: what is published comes straight back.

The same :class:`Connections` runs here as in the live lifecycle, so the same events at the same times do the same. What
they publish is queued and worked off before the next input, as a bus without middleware would.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import Factory, frozen

from bus.causality import MAX_CAUSATION_DEPTH, caused_by
from bus.errors import CausalityLoop, PhasebusError
from bus.event import Event
from bus.interchange import payload_to_plain
from statemachines.connections.connections import Connections
from statemachines.connections.consequences import (
    Consequence,
    Failure,
    HookCall,
    InvokeCall,
    News,
    Publication,
    consequences,
    unknown_news,
)
from statemachines.connections.reaction import Reaction
from statemachines.connections.state import ConnectionState, state_of
from statemachines.connections.trace import Entry, EntryKind, entries_of
from statemachines.language.definition import Definition
from statemachines.simulation.expecting import judged
from statemachines.simulation.scenario import (
    Expect,
    Mark,
    Publish,
    Register,
    Registration,
    Scenario,
    ScenarioStep,
    Terminate,
    Wait,
)
from statemachines.simulation.unheard import Unheard, unheard_of
from statemachines.table.record import Record
from statemachines.table.step import Step, Steps

_LONG_CHAIN = MAX_CAUSATION_DEPTH // 2
"""Half of the longest chain of causes: below it no event can be one too many."""
_MOST_UNHEARD = 100_000

Emit = Callable[[Entry], None]
Watch = Callable[[Step], None]


@frozen
class Summary:
    """What there was at the end. ``connections`` holds every connection, forgotten ones as last seen."""

    connections: Mapping[str, ConnectionState] = Factory(dict)
    published: Counter[str] = Factory(Counter)
    failed_expectations: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The last line of ``phasebus simulate --json``."""
        return {
            "kind": "summary",
            "connections": {
                connection_id: {
                    "phase": state.phase,
                    "configuration": list(state.configuration),
                    "dependencies": dict(state.dependencies),
                }
                for connection_id, state in self.connections.items()
            },
            "published": dict(self.published),
            "failed_expectations": self.failed_expectations,
        }


class Simulation:
    """Runs connections of one definition on virtual time, which starts at 0.

    Every happening goes to ``emit``, to be told, and every step of a connection to ``watch``, to be looked into. With
    nobody to tell, what nobody hears is counted and not built: that takes a third of the time, and changes nothing.
    """

    def __init__(
        self,
        definition: Definition,
        emit: Emit | None = None,
        watch: Watch | None = None,
        steps: Steps | None = None,
    ) -> None:
        """``steps`` are those of another simulation of the same definition: its table need not be filled again."""
        self.definition = definition
        self.connections = Connections(definition, steps)
        self.now = 0.0
        self._emit = emit
        self._watch = watch
        self._seen: dict[str, Record] = {}
        """Every connection there was, as last seen."""
        self._counted: Counter[str] = Counter()
        self._failed_expectations = 0
        self._unheard: dict[tuple[int, bool], Unheard] = {}
        self._coming_back: deque[Event] = deque()
        self._published: defaultdict[str | None, list[str]] = defaultdict(list)
        self._called: defaultdict[str, list[str]] = defaultdict(list)

    def begin_anew(self) -> None:
        """Forget every connection, and be at 0 again; what was published stays counted."""
        self.connections = Connections(self.definition, self.connections.steps)
        self.now = 0.0
        self._seen.clear()
        self._published.clear()
        self._called.clear()

    def tell(self, emit: Emit | None) -> None:
        """Tell somebody else of what happens from now on."""
        self._emit = emit

    @property
    def summary(self) -> Summary:
        """What there is by now."""
        layout = self.connections.layout
        states = {connection_id: state_of(record, layout) for connection_id, record in self._seen.items()}
        return Summary(states, self.published(), self._failed_expectations)

    def published(self) -> Counter[str]:
        """How many events of each type were published by now."""
        counted = Counter(self._counted)
        for unheard in self._unheard.values():
            for event_type in unheard.published:
                counted[event_type] += unheard.times
        return counted

    def state(self, connection_id: str) -> ConnectionState | None:
        """A connection as last seen, forgotten or not; None if it was never registered."""
        record = self.last_record(connection_id)
        return None if record is None else state_of(record, self.connections.layout)

    def last_record(self, connection_id: str) -> Record | None:
        """The record of a connection as last seen, forgotten or not; None if it was never registered."""
        return self._seen.get(connection_id)

    # -- inputs --

    def register(self, connection_id: str, registration: Registration | None = None) -> None:
        """Register a connection; what is wrong with that becomes a ``rejected`` entry."""
        registration = registration or Registration()
        try:
            reactions = self.connections.register(
                connection_id,
                call_id=registration.call_id,
                tenant_id=registration.tenant_id,
                dependencies=registration.dependencies,
                timeouts=registration.timeouts,
                metadata=registration.metadata,
                at=self.now,
                now=self.now,
            )
        except PhasebusError as error:
            self._say(connection_id, "rejected", type="connection.created", reason=str(error))
            return
        self._follow(reactions, None)

    def publish(self, event: Event) -> None:
        """Let an event come."""
        self._follow(self.connections.receive(event, at=self.now, now=self.now), event)

    def mark(self, connection_id: str, dependency: str) -> None:
        """Mark a dependency ready by hand."""
        self._by_hand(
            connection_id, lambda: self.connections.mark(connection_id, dependency, at=self.now, now=self.now)
        )

    def terminate(self, connection_id: str, reason: str | None = None) -> None:
        """End a connection by hand."""
        self._by_hand(
            connection_id, lambda: self.connections.terminate(connection_id, reason, at=self.now, now=self.now)
        )

    def advance_to(self, time: float) -> None:
        """Let time pass until ``time``: what is due on the way happens at its time, what is due then included."""
        while (deadline := self.connections.next_deadline()) is not None and deadline <= time:
            if deadline > self.now:
                self.now = deadline
            for reaction in self.connections.fire_next(at=self.now, now=self.now) or ():
                self._follow([reaction], None)
        if time > self.now:
            self.now = time

    def awaited(self, connection_id: str) -> list[str]:
        """The required dependencies that a living connection still waits for."""
        record = self.connections.records.get(connection_id)
        return [] if record is None else state_of(record, self.connections.layout).awaited

    def expect(self, expected: Expect) -> bool:
        """Judge what a scenario expects; returns whether it holds."""
        connection_id = expected.connection
        details = judged(
            expected,
            self.state(connection_id),
            self._published.get(connection_id, []),
            self._called.get(connection_id, []),
        )
        ok = all(part["ok"] for part in details.values())
        self._failed_expectations += not ok
        self._say(expected.connection, "expect", ok=ok, **details)
        return ok

    # -- details --

    def _by_hand(self, connection_id: str, act: Callable[[], list[Reaction]]) -> None:
        try:
            reactions = act()
        except PhasebusError as error:
            self._say(connection_id, "rejected", type="", reason=str(error))
            return
        self._follow(reactions, None)

    def _follow(self, reactions: Iterable[Reaction], received: Event | None) -> None:
        """Tell of reactions, carry out what follows, and work off what comes back from it."""
        self._tell(reactions, received, own=False)
        while self._coming_back:
            event = self._coming_back.popleft()
            self._tell(self.connections.receive(event, at=self.now, now=self.now), event, own=True)

    def _tell(self, reactions: Iterable[Reaction], received: Event | None, *, own: bool) -> None:
        for reaction in reactions:
            if self._emit is not None:
                for entry in entries_of(reaction, self.now):
                    # What we published ourselves was told of when it was.
                    if not own or entry.kind not in ("event", "ignored"):
                        self._emit(entry)
            if reaction.kind in ("unknown", "expired"):
                self._carry_out(unknown_news(reaction.event))
            step = reaction.step
            if step is not None:
                if self._watch is not None:
                    self._watch(step)
                self._seen[step.after.identity.connection_id] = step.after
                outcome = step.outcome
                if not (outcome.moved or outcome.has_effects or step.before is None):
                    continue  # nothing follows from it
                if self._emit is not None or not self._is_only_counted(reaction, step, received):
                    for consequence in consequences(reaction, received):
                        self._carry_out(consequence)

    def _is_only_counted(self, reaction: Reaction, step: Step, received: Event | None) -> bool:
        """Count what follows from a reaction, if none of it is heard; False if it has to be carried out."""
        if step.event.causation_depth >= _LONG_CHAIN:
            return False
        key = (id(step.outcome), reaction.kind == "registered" and reaction.event is not received)
        unheard = self._unheard.get(key)
        if unheard is None:
            unheard = unheard_of(step.outcome, consequences(reaction, received), self.connections.names)
            self._remember(key, unheard)
        if unheard.heard:
            return False
        unheard.times += 1
        connection_id = step.after.identity.connection_id
        if unheard.published:
            self._published[connection_id] += unheard.published
        if unheard.called:
            self._called[connection_id] += unheard.called
        return True

    def _remember(self, key: tuple[int, bool], unheard: Unheard) -> None:
        if len(self._unheard) >= _MOST_UNHEARD:
            self._counted = self.published()
            self._unheard.clear()
        self._unheard[key] = unheard
        for event_type in unheard.published:
            self._counted[event_type] += 0  # which keeps the order in which they were first published

    def _carry_out(self, consequence: Consequence) -> None:
        match consequence:
            case Publication(step=step):
                self._publish_own(consequence.build(), step.event)
            case News(event=event, cause=cause, own_registration=own_registration):
                self._publish_own(event, cause, come_back=not own_registration)
            case HookCall(name=name, step=step):
                self._called[step.after.connection_id].append(name)
                self._say(step.after.connection_id, "call", name=name)
            case InvokeCall(spec=spec, step=step):
                state = self.connections.layout.ids[spec.state]
                self._say(step.after.connection_id, "invoke", name=spec.invoke.call, state=state)
            case Failure():
                pass  # told of as rejected

    def _publish_own(self, event: Event, cause: Event, *, come_back: bool = True) -> None:
        try:
            event = caused_by(event, cause)
        except CausalityLoop as error:
            self._say(event.connection_id, "rejected", type=event.type, reason=str(error))
            return
        self._counted[event.type] += 1
        self._published[event.connection_id].append(event.type)
        if self._emit is not None:
            self._say(event.connection_id, "publish", type=event.type, data=payload_to_plain(event.data))
        if come_back and self.connections.names(event.type):
            self._coming_back.append(event)

    def _say(self, connection_id: str | None, kind: EntryKind, **details: Any) -> None:
        if self._emit is not None:
            self._emit(Entry(self.now, connection_id, kind, details))


def run_scenario(simulation: Simulation, scenario: Scenario, until: float | None = None) -> Summary:
    """Run a scenario to its last step, or to ``until`` if that is later."""
    for connection_id, registration in scenario.connections.items():
        simulation.register(connection_id, registration)
    for step in scenario.steps:
        take_step(simulation, step)
    if until is not None:
        simulation.advance_to(until)
    return simulation.summary


def take_step(simulation: Simulation, step: ScenarioStep) -> None:
    """Let the next step of a scenario happen."""
    if step.at is not None:
        simulation.advance_to(step.at)
    match step.action:
        case Wait(seconds=seconds):
            simulation.advance_to(simulation.now + seconds)
        case Register(connection=connection, registration=registration):
            simulation.register(connection, registration)
        case Mark(connection=connection, dependency=dependency):
            simulation.mark(connection, dependency)
        case Terminate(connection=connection, reason=reason):
            simulation.terminate(connection, reason)
        case Expect():
            simulation.expect(step.action)
        case Publish() as published:
            simulation.publish(_event(published, simulation.now))


def _event(published: Publish, now: float) -> Event:
    return Event(
        published.type,
        published.connection_id,
        published.data,
        call_id=published.call_id,
        tenant_id=published.tenant_id,
        timestamp=now,
    )
