"""All connections of one definition: who is registered, who is found how, what is due. Pure of any waiting.

The lifecycle runs this on a bus and the real clock, the simulation on neither; what they get is the same. An input
(an event, a registration, the time) is worked off at once and answered by :class:`Reaction` values, whose steps the
caller carries out.

``at`` is Unix seconds, for people; ``now`` is a monotonic clock, for timers: they hold when the wall clock jumps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from attrs import define, evolve, frozen

from bus.causality import caused_by
from bus.errors import CausalityLoop
from bus.event import Event
from bus.names import matches
from statemachines.connections.early import EarlyEvents
from statemachines.connections.keys import CALL_ID, Key, Keys, keys_of
from statemachines.connections.reaction import Reaction
from statemachines.connections.state import ConnectionState, state_of
from statemachines.connections.timers import Due, TimerQueue
from statemachines.errors import DuplicateConnection, StepNeverSettles, UnknownConnection, UnknownDependency, suggestion
from statemachines.language.definition import Definition
from statemachines.table.layout import TERMINATION
from statemachines.table.record import Identity, Record, Timer
from statemachines.table.step import CREATED, DEPENDENCY_MARKED, TIMER_FIRED, Step, Steps
from statemachines.table.trail import Move

MAX_NOTES = 8
MAX_LOST = 100

_NOTHING: Mapping[str, Any] = {}

NOT_ADDRESSED = frozenset(("connection.unknown", "connection.phase_changed", "handler.failed", "event.dropped"))
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
    deferred: int = 0
    refused: int = 0


@frozen
class Note:
    """Something that an event did not do, kept to explain why a connection waits.

    :ivar kind: ``condition``: it came, but not as a ``when`` wants it; ``held``: a transition's guard held it back;
        ``foreign``: another tenant's (``detail``); ``lost``, ``failed``: it took a dependency (``subject``) away;
        ``key``: what it would be known by (``detail``: which kind of key, and a call id's ``value``) belongs to another
        connection (``subject``);
        ``cut``: it could not be applied
    """

    kind: Literal["condition", "held", "foreign", "lost", "failed", "key", "cut"]
    event_type: str
    detail: str = ""
    subject: str = ""
    value: str = ""


@frozen
class Stray:
    """An event that reached no connection, and by which id it was meant to, or by which kinds of declared keys."""

    event_type: str
    connection_id: str | None
    call_id: str | None
    keys: tuple[str, ...] = ()


class Connections:
    """The connections of one definition, by id and by what else they are known by."""

    def __init__(self, definition: Definition, steps: Steps | None = None) -> None:
        """``steps`` are those of the definition, if somebody has them already: its table is filled only once."""
        self.definition = definition
        self.steps = steps or Steps(definition)
        self.layout = self.steps.layout
        self.records: dict[str, Record] = {}
        self.counts = Counts()
        self.early = EarlyEvents(definition.early)
        self.strays: deque[Stray] = deque(maxlen=MAX_LOST)
        """The last events that nobody was registered for when they came."""
        self.lost: deque[Stray] = deque(maxlen=MAX_LOST)
        """The last of these that nobody was registered for in time."""
        self.forgotten: deque[tuple[str, str]] = deque(maxlen=MAX_LOST)
        """The last connections that ended and were forgotten, with the phase they ended in."""
        self._notes: dict[str, tuple[Note, ...]] = {}
        self.keys = Keys(self.steps, lambda connection_id: self.records[connection_id].ended)
        self._declares_keys = self.keys.declares
        self._timers = TimerQueue()
        self._starts = tuple(
            (trigger.event, True if trigger.when is None else self.steps.table.compiler.guard(trigger.when))
            for trigger in definition.starts_on
        )

    def begin_anew(self) -> None:
        """Forget every connection, and all that came early; what was counted stays counted."""
        self.records.clear()
        self.early = EarlyEvents(self.definition.early)
        self._notes.clear()
        self.keys.clear()
        self._timers = TimerQueue()

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
        return self._notes.get(connection_id, ())

    def moves(self, connection_id: str) -> tuple[Move, ...]:
        """How this connection came to where it is, the latest last."""
        record = self.records.get(connection_id)
        return () if record is None else record.trail.moves

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
        cause: Event | None = None,
    ) -> list[Reaction]:
        """Register a connection and process what came for it early. ``cause`` is the event that led to this, if any.

        :raises DuplicateConnection: the id is registered or still retained, or a living connection holds the call id
        :raises UnknownDependency: a name that the definition does not declare
        :raises UnknownTimeout: a timeout that the definition does not have
        """
        keys = self.keys.given_by(metadata) if metadata else []
        self._refuse_duplicate(connection_id, keys if call_id is None else [(CALL_ID, call_id), *keys])
        required = self._required(dependencies)
        self.steps.check_timeouts(timeouts)
        own_timeouts = dict(timeouts) if timeouts else None
        declared = tuple(key for key in keys if key[0] != CALL_ID)
        if call_id is None:
            call_id = next((str(value) for kind, value in keys if kind == CALL_ID), None)
        identity = Identity(connection_id, call_id, tenant_id, own_timeouts, metadata or _NOTHING, at, declared)
        return self._admit(identity, required, self._created(identity, required, cause), (), at, now)

    def receive(self, event: Event, *, at: float, now: float) -> list[Reaction]:
        """Process an event of the bus."""
        connection_id = event.connection_id
        if connection_id is None:
            keys = self.keys.named_by(event)
            if not keys:
                return self._unaddressed(event)
            connection_id = next((holder for key in keys if (holder := self.keys.holder(key)) is not None), None)
            if connection_id is None:
                return self._nobody(tuple(keys), event, now)
        record = self.records.get(connection_id)
        if record is not None:
            return self._arrived(record, event, at, now)
        if self.starts_on(event):
            return self._start_on(connection_id, event, at, now)
        return self._nobody((("connection_id", connection_id),), event, now)

    def mark(
        self, connection_id: str, dependency: str, *, at: float, now: float, cause: Event | None = None
    ) -> list[Reaction]:
        """Make a dependency ready by hand.

        :raises UnknownConnection: nobody of that id
        :raises UnknownDependency: a name that the definition does not declare
        """
        record = self.record(connection_id)
        self.steps.bit(dependency)
        event = _linked(Event(DEPENDENCY_MARKED, connection_id, {"dependency": dependency}, timestamp=at), cause)
        if record.ended:
            return [self._finished(record, event)]
        try:
            step = self.steps.mark(record, dependency, event, at=at, now=now)
        except StepNeverSettles as error:
            return self._cut(record, event, error)
        return self._made(record, step, at, now)

    def terminate(
        self, connection_id: str, reason: str | None, *, at: float, now: float, cause: Event | None = None
    ) -> list[Reaction]:
        """End a connection.

        :raises UnknownConnection: nobody of that id
        """
        record = self.record(connection_id)
        event = _linked(Event(TERMINATION, connection_id, {"reason": reason}, timestamp=at), cause)
        if record.ended:
            return [self._finished(record, event)]
        try:
            step = self.steps.terminate(record, event, at=at, now=now)
        except StepNeverSettles as error:
            return self._cut(record, event, error)
        return self._made(record, step, at, now)

    def earliest(self) -> float | None:
        """When something may be due, at the earliest: what is cancelled meanwhile counts."""
        return self._or_early(self._timers.earliest())

    def next_deadline(self) -> float | None:
        """When :meth:`fire_next` will have something to do."""
        return self._or_early(self._timers.next_deadline())

    def _or_early(self, timer: float | None) -> float | None:
        if not self.early.held:
            return timer
        early = self.early.next_deadline()
        return early if timer is None or (early is not None and early < timer) else timer

    def fire_next(self, *, at: float, now: float) -> list[Reaction] | None:
        """Do the one thing that is due next: a timer, an early event's end, a connection to forget. None if nothing."""
        timer_due = self._timers.next_deadline()
        early_due = self.early.next_deadline()
        if timer_due is not None and timer_due <= now and (early_due is None or timer_due <= early_due):
            return self._due(self._timers.pop(), at, now)
        if early_due is not None and early_due <= now:
            return [self._expired(event) for event in self.early.expired(now)]
        return None

    def fire_due(self, *, at: float, now: float) -> Iterator[Reaction]:
        """Do everything that is due, in order."""
        while (reactions := self.fire_next(at=at, now=now)) is not None:
            yield from reactions

    # -- details --

    def _arrived(self, record: Record, event: Event, at: float, now: float) -> list[Reaction]:
        if record.situation.final:
            return [self._finished(record, event)]
        if event.tenant_id is not None and event.tenant_id != record.identity.tenant_id:
            return [self._foreign(record, event)]
        if event.call_id is not None or self._declares_keys:
            bound = self._bind(event, record)
            if bound:
                connection_id = record.identity.connection_id
                reactions = self._arrived(self.records[connection_id], event, at, now)
                return reactions + self._release(connection_id, bound, at, now)
        try:
            step = self.steps.event(record, event, at=at, now=now)
        except StepNeverSettles as error:
            return self._cut(record, event, error)
        return self._made(record, step, at, now)

    def _arrived_first(self, connection_id: str, event: Event, at: float, now: float) -> list[Reaction]:
        """What came with the registration or before it; one of these may have been the connection's last."""
        record = self.records.get(connection_id)
        if record is None:
            self.counts.unknown += 1
            return [Reaction("unknown", event, connection_id)]
        return self._arrived(record, event, at, now)

    def _bind(self, event: Event, record: Record) -> list[Key]:
        """Let a connection be found by what the event says of it, unless another is."""
        bound: list[Key] = []
        for key in self.keys.told_by(event, record):
            holder = self.keys.living_holder(key)
            if holder is None:
                bound.append(key)
            else:
                self._note(record.connection_id, _taken(event, key, holder))
        if bound:
            identity = _known_by(record.identity, bound)
            self.records[record.connection_id] = evolve(record, identity=identity)
            self.keys.bind(bound, record.connection_id)
        return bound

    def _cut(self, record: Record, event: Event, error: StepNeverSettles) -> list[Reaction]:
        self._note(record.connection_id, Note("cut", event.type, str(error)))
        return [Reaction("failed", event, record.connection_id, error=error)]

    def _made(self, record: Record, step: Step, at: float, now: float) -> list[Reaction]:
        """Keep a step; and if it changed the configuration, send those events again that waited for this."""
        self._keep(record, step, now)
        reaction = Reaction("step", step.event, record.identity.connection_id, step)
        if step.after.deferred and step.outcome.moved:
            return [reaction, *self._send_again(record.connection_id, at, now)]
        return [reaction]

    def _keep(self, record: Record, step: Step, now: float, again: bool = False) -> None:
        counts, outcome, after, during = self.counts, step.outcome, step.after, step.during
        counts.processed += 1
        changed = after is not record
        if changed:
            self.records[after.identity.connection_id] = after
            if after.timers is not record.timers:
                self._change_timers(record.timers, after.timers, len(outcome.arms), step.fired)
            if after.situation.final:
                self._end(after, now)
        if step.deferral is not None:
            if step.deferral == "deferred":
                counts.deferred += 1
            else:
                counts.refused += 1
        elif outcome.quiet and (not changed or again or step.event.type == TIMER_FIRED):
            counts.ignored += 1
        if outcome.quiet or not during.ready & ~record.ready or record.ready & ~during.ready or during.failed:
            self._note_step(step, record)

    def _send_again(self, connection_id: str, at: float, now: float) -> Iterator[Reaction]:
        """Send deferred events again, in order; from the first on after each change of configuration."""
        changed = True
        while changed:
            changed = False
            for event in self.records[connection_id].deferred if connection_id in self.records else ():
                record = self.records[connection_id]
                if record.ended:
                    yield self._finished(record, event)
                    continue
                reaction = self._again(record, event, at, now)
                if reaction is not None:
                    yield reaction
                    if reaction.step is not None and reaction.step.changed_configuration:
                        changed = True
                        break

    def _again(self, record: Record, event: Event, at: float, now: float) -> Reaction | None:
        try:
            step = self.steps.send_again(record, event, at=at, now=now)
        except StepNeverSettles:
            return None
        if step is None:
            return None
        self._keep(record, step, now, again=True)
        return Reaction("step", event, record.connection_id, step, again=True)

    def _end(self, record: Record, now: float) -> None:
        if self.definition.retain > 0:
            self._timers.forget(now + self.definition.retain, record.identity.connection_id)
        else:
            self._forget(record.identity.connection_id)

    def _change_timers(
        self, before: tuple[Timer, ...], after: tuple[Timer, ...], armed: int, fired: Timer | None
    ) -> None:
        """Arm the last ``armed`` of those that run now, and cancel those that ran and do so no longer."""
        kept = len(after) - armed
        for timer in after[kept:]:
            self._timers.arm(timer)
        if len(before) > kept + (fired is not None):
            for timer in before:
                if timer is not fired and (not kept or timer not in after):
                    self._timers.cancel(timer)

    def starts_on(self, event: Event) -> bool:
        """Whether this event registers a connection that is not yet known."""
        # News about a connection just forgotten must not begin it anew by way of a pattern.
        return any(
            (pattern == event.type if event.type in NOT_ADDRESSED else matches(pattern, event.type))
            and (when is True or (when is not False and when(self.steps.blank, event)))
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
        taken = None if call_id is None else self.keys.living_holder((CALL_ID, call_id))
        tenant_id = event.tenant_id or _text(event.field("tenant_id"))
        identity = Identity(connection_id, call_id if taken is None else None, tenant_id, None, _NOTHING, at)
        try:
            created = event if event.type == CREATED else self._created(identity, required, event)
        except CausalityLoop as error:
            return [Reaction("failed", event, connection_id, error=error)]
        reactions = self._admit(identity, required, created, (event,), at, now)
        if taken is not None and connection_id in self.records:
            self._note(connection_id, _taken(event, (CALL_ID, call_id or ""), taken))
        return reactions

    def _admit(
        self, identity: Identity, required: int, created: Event, first: Iterable[Event], at: float, now: float
    ) -> list[Reaction]:
        """Let a connection in; then process its first events, and those that came early."""
        connection_id = identity.connection_id
        try:
            step = self.steps.register(identity, required, created, at=at, now=now)
        except StepNeverSettles as error:
            return [Reaction("failed", created, connection_id, error=error)]
        keys = keys_of(identity) if identity.call_id is not None or identity.keys else []
        self.keys.bind(keys, connection_id)
        after = self.records[connection_id] = step.after
        for timer in after.timers:
            self._timers.arm(timer)
        if after.situation.final:
            self._end(after, now)
        reactions = [Reaction("registered", created, connection_id, step)]
        for event in first:
            reactions += self._arrived_first(connection_id, event, at, now)
        if not self.early.held:
            return reactions
        return reactions + self._release(connection_id, [("connection_id", connection_id), *keys], at, now)

    def _release(self, connection_id: str, keys: Iterable[Key], at: float, now: float) -> list[Reaction]:
        """Process what came early for a connection."""
        return [
            evolve(reaction, released=True)
            for event in self.early.take(keys)
            for reaction in self._arrived_first(connection_id, event, at, now)
        ]

    def _required(self, names: Iterable[Any] | None) -> int:
        if names is None:
            return self.layout.required_by_default
        required = 0
        for name in names:
            required |= self.steps.bit(str(name))
        return required

    def _created(self, identity: Identity, required: int, cause: Event | None) -> Event:
        created = Event(
            CREATED,
            identity.connection_id,
            {
                "call_id": identity.call_id,
                "dependencies": list(self.layout.named(required)),
            },
            call_id=identity.call_id,
            tenant_id=identity.tenant_id,
            timestamp=identity.created_at,
        )
        return _linked(created, cause)

    def _unaddressed(self, event: Event) -> list[Reaction]:
        """An event without any id: of no interest, unless the definition names it."""
        if event.type in NOT_ADDRESSED or not self.names(event.type):
            return []
        self.strays.append(Stray(event.type, None, None))
        self.counts.unknown += 1
        return [Reaction("unknown", event, None)]

    def _nobody(self, keys: tuple[Key, ...], event: Event, now: float) -> list[Reaction]:
        if event.type in NOT_ADDRESSED:
            return []
        self.strays.append(_stray(event, [kind for kind, _ in keys]))
        if self.early.keep_s > 0 and self.names(event.type):
            self.counts.early += 1
            gone = self.early.hold(keys, event, now)
            return [Reaction("early", event, event.connection_id), *(self._expired(old) for old in gone)]
        self.lost.append(self.strays[-1])
        self.counts.unknown += 1
        return [Reaction("unknown", event, event.connection_id)]

    def _expired(self, event: Event) -> Reaction:
        self.lost.append(_stray(event, [kind for kind, _ in self.keys.named_by(event)]))
        self.counts.expired += 1
        return Reaction("expired", event, event.connection_id)

    def _finished(self, record: Record, event: Event) -> Reaction:
        self.counts.finished += 1
        return Reaction("finished", event, record.connection_id)

    def _foreign(self, record: Record, event: Event) -> Reaction:
        self.counts.foreign += 1
        self._note(record.connection_id, Note("foreign", event.type, str(event.tenant_id)))
        return Reaction("foreign", event, record.connection_id)

    def _due(self, due: Due, at: float, now: float) -> list[Reaction]:
        connection_id = due[2]
        record = self.records[connection_id]
        if not isinstance(due, Timer):
            self._forget(connection_id)
            return []
        data = {"timer": due.spec.after.written, "state": self.layout.ids[due.spec.state]}
        event = Event(TIMER_FIRED, connection_id, data, timestamp=at)
        try:
            step = self.steps.fire(record, due, event, at=at, now=now)
        except StepNeverSettles as error:
            # It has fired, for nothing: kept, it would only be due again at once.
            left = tuple(other for other in record.timers if other is not due)
            self.records[connection_id] = evolve(record, timers=left)
            return self._cut(record, event, error)
        return self._made(record, step, at, now)

    def _forget(self, connection_id: str) -> None:
        record = self.records.pop(connection_id)
        for timer in record.timers:
            self._timers.cancel(timer)
        self.forgotten.append((connection_id, record.situation.phase))
        self._notes.pop(connection_id, None)
        self.keys.release(record.identity)

    def _refuse_duplicate(self, connection_id: str, keys: list[Key]) -> None:
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
        for kind, value in keys:
            holder = self.keys.living_holder((kind, value))
            if holder is not None:
                shown = f"{kind} '{value}'" if kind == CALL_ID else f"this {kind}"  # which may be a phone number
                raise DuplicateConnection(f"connection '{connection_id}' cannot have {shown}: '{holder}' holds it")

    def _note(self, connection_id: str, note: Note) -> None:
        if connection_id not in self.records:  # it may just have ended and been forgotten
            return
        notes = self._notes.get(connection_id, ())
        self._notes[connection_id] = (*(other for other in notes if other != note), note)[-MAX_NOTES:]

    def _note_step(self, step: Step, record: Record) -> None:
        """Keep what may explain later why the connection is where it is."""
        during = step.during
        if during is record or (during.ready == record.ready and during.failed == record.failed):
            if self.steps.plan(step.event.type).readies & ~record.ready:
                self._note(record.connection_id, Note("condition", step.event.type))
        else:
            self._note_taken_away(step, record)
        if step.outcome.held:
            self._note(record.connection_id, Note("held", step.event.type))

    def _note_taken_away(self, step: Step, record: Record) -> None:
        event, during = step.event, step.during
        gone, failed = record.ready & ~during.ready, during.failed & ~record.failed
        for name, bit in self.layout.bits.items() if gone | failed else ():
            if (gone | failed) & bit:
                kind: Literal["failed", "lost"] = "failed" if failed & bit else "lost"
                self._note(record.connection_id, Note(kind, event.type, str(event.error or ""), name))


def _known_by(identity: Identity, keys: Iterable[Key]) -> Identity:
    """The identity with more keys."""
    call_id = next((str(value) for kind, value in keys if kind == CALL_ID), identity.call_id)
    declared = tuple(key for key in keys if key[0] != CALL_ID)
    return evolve(identity, call_id=call_id, keys=identity.keys + declared)


def _taken(event: Event, key: Key, holder: str) -> Note:
    kind, value = key
    return Note("key", event.type, kind, holder, str(value) if kind == CALL_ID else "")  # others may be phone numbers


def _stray(event: Event, kinds: Iterable[str]) -> Stray:
    declared = tuple(kind for kind in kinds if kind not in ("connection_id", CALL_ID))
    return Stray(event.type, event.connection_id, event.call_id, declared)


def _linked(event: Event, cause: Event | None) -> Event:
    return event if cause is None else caused_by(event, cause)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
