"""All connections of one definition: who is registered, who is found how, what is due. Pure of any waiting.

The lifecycle runs this on a bus and the real clock, the simulation on neither; what they get is the same. An input
(an event, a registration, the time) is worked off at once and answered by :class:`Reaction` values, whose steps the
caller carries out.

``at`` is Unix seconds, for people; ``now`` is a monotonic clock, for timers: they hold when the wall clock jumps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import define, evolve, frozen

from bus.event import Event
from bus.names import matches
from statemachines.connections.early import EarlyEvents, Key
from statemachines.connections.reaction import Reaction
from statemachines.connections.state import ConnectionState, state_of
from statemachines.connections.timers import TimerQueue
from statemachines.errors import DuplicateConnection, StepNeverSettles, UnknownConnection, UnknownDependency, suggestion
from statemachines.language.definition import Definition
from statemachines.table.layout import TERMINATION
from statemachines.table.record import Identity, Record, Timer
from statemachines.table.step import CREATED, DEPENDENCY_MARKED, TIMER_FIRED, Step, Steps

NOT_ADDRESSED = ("connection.unknown", "connection.phase_changed", "handler.failed", "event.dropped")
"""News about connections, told by phasebus itself: never an unknown connection's event."""


@define
class Counts:
    """What happened to inputs so far."""

    processed: int = 0
    ignored: int = 0
    early: int = 0
    expired: int = 0
    unknown: int = 0
    foreign: int = 0
    finished: int = 0


@frozen
class Note:
    """Something that went wrong with an event, kept to explain why a connection waits."""

    kind: str
    event_type: str
    detail: str


class Connections:
    """The connections of one definition, by id and by call id."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.steps = Steps(definition)
        self.layout = self.steps.layout
        self.records: dict[str, Record] = {}
        self.counts = Counts()
        self.early = EarlyEvents(definition.early)
        self.strays: deque[tuple[str, str | None]] = deque(maxlen=100)
        """The last events that nobody was registered for: type and connection id."""
        self._notes: dict[str, deque[Note]] = {}
        self._by_call_id: dict[str, str] = {}
        self._timers = TimerQueue(self._lives)
        self._starts = tuple(
            (trigger.event, True if trigger.when is None else self.steps.table.compiler.guard(trigger.when))
            for trigger in definition.starts_on
        )

    # -- queries --

    def record(self, connection_id: str) -> Record:
        """The record of a connection, or :class:`UnknownConnection` with the nearest id."""
        found = self.records.get(connection_id)
        if found is None:
            raise UnknownConnection(
                f"no connection '{connection_id}' is registered with {self.definition.name}"
                f"{suggestion(connection_id, list(self.records)[:1000])}"
            )
        return found

    def state(self, connection_id: str) -> ConnectionState:
        """A connection as callers see it, or :class:`UnknownConnection`."""
        return state_of(self.record(connection_id), self.layout)

    def notes(self, connection_id: str) -> tuple[Note, ...]:
        """What went wrong with this connection's events lately, the latest last."""
        return tuple(self._notes.get(connection_id, ()))

    def holder(self, call_id: str | None) -> str | None:
        """The id of the connection that holds a call id."""
        return None if call_id is None else self._by_call_id.get(call_id)

    def names(self, event_type: str) -> bool:
        """Whether the definition names events of this type."""
        return self.steps.plan(event_type).named

    # -- inputs --

    def register(
        self,
        connection_id: str,
        *,
        call_id: str | None = None,
        tenant_id: str | None = None,
        dependencies: Iterable[str] | None = None,
        timeouts: Mapping[str, float] | None = None,
        metadata: Mapping[str, Any] | None = None,
        at: float,
        now: float,
    ) -> list[Reaction]:
        """Register a connection and process what came for it early.

        :raises DuplicateConnection: the id is registered or still retained, or a living connection holds the call id
        :raises UnknownDependency: a name that the definition does not declare
        :raises UnknownTimeout: a timeout that the definition does not have
        """
        self._refuse_duplicate(connection_id, call_id)
        required = self._required(dependencies)
        self.steps.check_timeouts(timeouts)
        identity = Identity(connection_id, call_id, tenant_id, dict(timeouts) if timeouts else None, metadata or {}, at)
        return self._admit(identity, required, self._created(identity, required), (), at, now)

    def receive(self, event: Event, *, at: float, now: float) -> list[Reaction]:
        """Process an event of the bus."""
        connection_id = event.connection_id
        if connection_id is None:
            if event.call_id is None:
                return []
            connection_id = self._by_call_id.get(event.call_id)
            if connection_id is None:
                return self._nobody(("call_id", event.call_id), event, now)
        if connection_id not in self.records:
            if self._starts_on(event):
                return self._start_on(connection_id, event, at, now)
            return self._nobody(("connection_id", connection_id), event, now)
        return self._arrived(connection_id, event, at, now)

    def mark(self, connection_id: str, dependency: str, *, at: float, now: float) -> Reaction:
        """Make a dependency ready by hand.

        :raises UnknownConnection: nobody of that id
        :raises UnknownDependency: a name that the definition does not declare
        """
        record = self.record(connection_id)
        self.steps.bit(dependency)
        event = Event(DEPENDENCY_MARKED, connection_id, {"dependency": dependency}, timestamp=at)
        if record.ended:
            return self._finished(record, event)
        return self._try(record, event, now, lambda: self.steps.mark(record, dependency, event, at=at, now=now))

    def terminate(self, connection_id: str, reason: str | None, *, at: float, now: float) -> Reaction:
        """End a connection.

        :raises UnknownConnection: nobody of that id
        """
        record = self.record(connection_id)
        event = Event(TERMINATION, connection_id, {"reason": reason}, timestamp=at)
        if record.ended:
            return self._finished(record, event)
        return self._try(record, event, now, lambda: self.steps.terminate(record, event, at=at, now=now))

    def next_deadline(self) -> float | None:
        """When :meth:`fire_next` will have something to do."""
        deadlines = [d for d in (self._timers.next_deadline(), self.early.next_deadline()) if d is not None]
        return min(deadlines, default=None)

    def fire_next(self, *, at: float, now: float) -> list[Reaction] | None:
        """Do the one thing that is due next: a timer, an early event's end, a connection to forget. None if nothing."""
        timer_due = self._timers.next_deadline()
        early_due = self.early.next_deadline()
        if timer_due is not None and timer_due <= now and (early_due is None or timer_due <= early_due):
            _, _, connection_id, timer = self._timers.pop()
            return self._due(connection_id, timer, at, now)
        if early_due is not None and early_due <= now:
            return [self._expired(event) for event in self.early.expired(now)]
        return None

    def fire_due(self, *, at: float, now: float) -> Iterator[Reaction]:
        """Do everything that is due, in order."""
        while (reactions := self.fire_next(at=at, now=now)) is not None:
            yield from reactions

    # -- details --

    def _arrived(self, connection_id: str, event: Event, at: float, now: float) -> list[Reaction]:
        record = self.records.get(connection_id)
        if record is None:  # ended and forgotten by an event before this one
            self.counts.unknown += 1
            return [Reaction("unknown", event, connection_id)]
        identity = record.identity
        if record.situation.final:
            return [self._finished(record, event)]
        if event.tenant_id is not None and event.tenant_id != identity.tenant_id:
            return [self._foreign(record, event)]
        bound = event.call_id is not None and identity.call_id is None and event.call_id not in self._by_call_id
        if bound:
            record = evolve(record, identity=evolve(identity, call_id=event.call_id))
            self.records[connection_id] = record
            self._by_call_id[event.call_id] = connection_id  # type: ignore[index]  # not None, see above
        reactions = [self._try(record, event, now, lambda: self.steps.event(record, event, at=at, now=now))]
        if bound and event.call_id is not None:
            reactions += self._release(connection_id, [("call_id", event.call_id)], at, now)
        return reactions

    def _try(self, record: Record, event: Event, now: float, make: Any) -> Reaction:
        try:
            step: Step = make()
        except StepNeverSettles as error:
            self._note(record.connection_id, Note("failed", event.type, str(error)))
            return Reaction("failed", event, record.connection_id, error=error)
        self.counts.processed += 1
        if step.ignored:
            self.counts.ignored += 1
        else:
            self._commit(step, now)
        if not step.changed_facts:
            plan = self.steps.plan(event.type)
            if any(rule.ready and not record.ready & rule.bit for rule in plan.dependencies):
                self._note(record.connection_id, Note("condition", event.type, ""))
        return Reaction("step", event, record.connection_id, step)

    def _commit(self, step: Step, now: float) -> None:
        after = step.after
        connection_id = after.identity.connection_id
        self.records[connection_id] = after
        if step.before is None or step.before.timers is not after.timers:
            for timer in step.armed:
                self._timers.arm(timer.deadline, connection_id, timer)
            fired = 1 if step.event.type == TIMER_FIRED else 0
            self._timers.cancelled(len(step.cancelled) - fired if step.cancelled else 0)
        if after.situation.final:
            if self.definition.retain > 0:
                self._timers.arm(now + self.definition.retain, connection_id, None)
            else:
                self._forget(connection_id)

    def _starts_on(self, event: Event) -> bool:
        return any(
            matches(pattern, event.type) and (when is True or (when is not False and when(self.steps.blank, event)))
            for pattern, when in self._starts
        )

    def _start_on(self, connection_id: str, event: Event, at: float, now: float) -> list[Reaction]:
        """Register a connection because of an event, then process that as the connection's first."""
        names = event.field("dependencies")
        try:
            required = self._required(names if isinstance(names, list | tuple) else None)
        except UnknownDependency as error:
            return [Reaction("failed", event, connection_id, error=error)]
        call_id = event.call_id or _text(event.field("call_id"))
        if call_id is not None and self._holds(call_id):
            call_id = None
        tenant_id = event.tenant_id or _text(event.field("tenant_id"))
        identity = Identity(connection_id, call_id, tenant_id, None, {}, at)
        created = event if event.type == CREATED else self._created(identity, required, causation_id=event.id)
        return self._admit(identity, required, created, (event,), at, now)

    def _admit(
        self, identity: Identity, required: int, created: Event, first: Iterable[Event], at: float, now: float
    ) -> list[Reaction]:
        """Let a connection in; then process its first events, and those that came early."""
        connection_id, call_id = identity.connection_id, identity.call_id
        try:
            step = self.steps.register(identity, required, created, at=at, now=now)
        except StepNeverSettles as error:
            return [Reaction("failed", created, connection_id, error=error)]
        self._commit(step, now)
        reactions = [Reaction("registered", created, connection_id, step)]
        keys: list[Key] = [("connection_id", connection_id)]
        if call_id is not None:
            self._by_call_id[call_id] = connection_id
            keys.append(("call_id", call_id))
        for event in first:
            reactions += self._arrived(connection_id, event, at, now)
        return reactions + self._release(connection_id, keys, at, now)

    def _release(self, connection_id: str, keys: Iterable[Key], at: float, now: float) -> list[Reaction]:
        """Process what came early for a connection."""
        return [
            evolve(reaction, released=True)
            for event in self.early.take(keys)
            for reaction in self._arrived(connection_id, event, at, now)
        ]

    def _required(self, names: Iterable[Any] | None) -> int:
        if names is None:
            return self.layout.required_by_default
        required = 0
        for name in names:
            required |= self.steps.bit(str(name))
        return required

    def _created(self, identity: Identity, required: int, causation_id: str | None = None) -> Event:
        return Event(
            CREATED,
            identity.connection_id,
            {
                "call_id": identity.call_id,
                "dependencies": [name for name, bit in self.layout.bits.items() if required & bit],
            },
            call_id=identity.call_id,
            tenant_id=identity.tenant_id,
            timestamp=identity.created_at,
            causation_id=causation_id,
        )

    def _nobody(self, key: Key, event: Event, now: float) -> list[Reaction]:
        if event.type in NOT_ADDRESSED:
            return []
        self.strays.append((event.type, event.connection_id))
        if self.early.keep_s > 0 and self.names(event.type):
            self.counts.early += 1
            gone = self.early.hold(key, event, now)
            return [Reaction("early", event, event.connection_id), *(self._expired(old) for old in gone)]
        self.counts.unknown += 1
        return [Reaction("unknown", event, event.connection_id)]

    def _expired(self, event: Event) -> Reaction:
        self.counts.expired += 1
        return Reaction("expired", event, event.connection_id)

    def _finished(self, record: Record, event: Event) -> Reaction:
        self.counts.finished += 1
        return Reaction("finished", event, record.connection_id)

    def _foreign(self, record: Record, event: Event) -> Reaction:
        self.counts.foreign += 1
        self._note(record.connection_id, Note("foreign", event.type, str(event.tenant_id)))
        return Reaction("foreign", event, record.connection_id)

    def _due(self, connection_id: str, timer: Timer | None, at: float, now: float) -> list[Reaction]:
        record = self.records[connection_id]
        if timer is None:
            self._forget(connection_id)
            return []
        data = {"timer": timer.spec.after.written, "state": self.layout.ids[timer.spec.state]}
        event = Event(TIMER_FIRED, connection_id, data, timestamp=at)
        return [self._try(record, event, now, lambda: self.steps.fire(record, timer, event, at=at, now=now))]

    def _forget(self, connection_id: str) -> None:
        record = self.records.pop(connection_id)
        self._notes.pop(connection_id, None)
        call_id = record.identity.call_id
        if call_id is not None and self._by_call_id.get(call_id) == connection_id:
            del self._by_call_id[call_id]

    def _lives(self, connection_id: str, timer: Timer | None) -> bool:
        record = self.records.get(connection_id)
        return record is not None and (record.situation.final if timer is None else timer in record.timers)

    def _holds(self, call_id: str) -> bool:
        holder = self._by_call_id.get(call_id)
        return holder is not None and not self.records[holder].ended

    def _refuse_duplicate(self, connection_id: str, call_id: str | None) -> None:
        record = self.records.get(connection_id)
        if record is not None:
            raise DuplicateConnection(
                f"connection '{connection_id}' is already registered and in phase {record.situation.phase}"
                + (
                    f"; it has ended and its id is free again after {self.definition.retain:g} s"
                    if record.ended
                    else ""
                )
            )
        if call_id is not None and self._holds(call_id):
            raise DuplicateConnection(
                f"connection '{connection_id}' cannot have call_id '{call_id}': '{self._by_call_id[call_id]}' holds it"
            )

    def _note(self, connection_id: str, note: Note) -> None:
        notes = self._notes.setdefault(connection_id, deque(maxlen=8))
        if not notes or notes[-1] != note:
            notes.append(note)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
