"""Why a connection is where it is: what it waits for, and what went wrong with the events that should have moved it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from attrs import field, frozen

from bus.event import Event
from bus.names import matches
from statemachines.connections.connections import Connections
from statemachines.errors import suggestion
from statemachines.language.definition import Trigger
from statemachines.language.expressions import Expression, parse_expression
from statemachines.table.record import Record
from statemachines.table.step import dependency_status


@frozen
class PendingDependency:
    """A required dependency that is not ready, and what would make it so."""

    name: str
    status: str
    ready_on: tuple[Trigger, ...]

    def __str__(self) -> str:
        events = " or ".join(
            trigger.event + (f" when {trigger.when}" if trigger.when is not None else "") for trigger in self.ready_on
        )
        if self.status == "failed":
            return f"{self.name}, which failed and needs a later {events}"
        return f"{self.name} (made ready by {events})" if events else f"{self.name} (only marked ready by hand)"


@frozen
class HeldTransition:
    """A transition that waits for nothing but its guard, and the part of the guard that holds it back."""

    source: str
    target: str | None
    guard: str
    because: str


@frozen
class RunningTimer:
    """A timer, how long it still runs, and where it leads."""

    name: str
    state: str
    remaining_s: float
    target: str | None

    def __str__(self) -> str:
        where = f"leads to {self.target}" if self.target else "acts"
        return f"the timer {self.name} of {self.state} {where} in {max(0.0, self.remaining_s):.1f} s"


@frozen
class Waiting:
    """What a connection waits for; ``str()`` of it is one sentence.

    :ivar phase: None if it is not registered
    :ivar since: Unix seconds of when it came into its configuration; None if it is not registered
    :ivar waited_s: how long that is
    :ivar hints: what went wrong with events that should have moved it, in words
    """

    connection_id: str
    lifecycle: str
    phase: str | None = None
    since: float | None = None
    waited_s: float = 0.0
    ended: bool = False
    dependencies: tuple[PendingDependency, ...] = ()
    guards: tuple[HeldTransition, ...] = ()
    timers: tuple[RunningTimer, ...] = ()
    hints: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        if self.phase is None:
            text = f"{self.connection_id} was never registered with {self.lifecycle}, or has ended and was forgotten"
        elif self.ended:
            text = f"{self.connection_id} has ended in {self.phase or 'no phase'}: nothing moves it any more"
        else:
            text = f"{self.connection_id} has been in {self.phase} for {self.waited_s:.1f} s" + self._what_for()
        return "; ".join([text, *self.hints, *(str(timer) for timer in self.timers)])

    def _what_for(self) -> str:
        if self.dependencies:
            return ", waiting for " + " and ".join(str(dependency) for dependency in self.dependencies)
        if self.guards:
            return ", where " + " and ".join(
                f"the way to {held.target or 'its actions'} is closed because {held.because}" for held in self.guards
            )
        return ", with every dependency ready; only an event moves it on"


def why(connections: Connections, connection_id: str, *, at: float, now: float) -> Waiting:
    """What a connection waits for. One that is not registered waits for that."""
    name = connections.definition.name
    record = connections.records.get(connection_id)
    if record is None:
        return Waiting(connection_id, name, hints=tuple(_absent(connections, connection_id)))
    if record.ended:
        return Waiting(connection_id, name, record.situation.phase, record.since, at - record.since, ended=True)
    pending = tuple(_pending(connections, record))
    return Waiting(
        connection_id,
        name,
        record.situation.phase,
        record.since,
        at - record.since,
        dependencies=pending,
        guards=tuple(_held(connections, record)),
        timers=tuple(
            RunningTimer(
                timer.spec.after.written,
                connections.layout.ids[timer.spec.state],
                timer.deadline - now,
                timer.spec.after.transition.target,
            )
            for timer in record.timers
        ),
        hints=tuple(_hints(connections, record, pending)),
    )


def _pending(connections: Connections, record: Record) -> Iterator[PendingDependency]:
    for name, bit in connections.layout.bits.items():
        if record.required & bit and not record.ready & bit:
            ready_on = connections.definition.dependencies[name].ready_on
            yield PendingDependency(name, dependency_status(record, bit), ready_on)


def _held(connections: Connections, record: Record) -> Iterator[HeldTransition]:
    for number in record.situation.states:
        state = connections.layout.states[number]
        for transition in state.transitions:
            if transition.event:
                continue
            for guard, wanted in ((transition.cond, True), (transition.unless, False)):
                if guard is not None and _holds(connections, record, guard) is not wanted:
                    because = _because(connections, record, guard, wanted)
                    text = str(guard) if wanted else f"unless {guard}"
                    yield HeldTransition(state.id, transition.target, text, because)


def _because(connections: Connections, record: Record, guard: Expression, wanted: bool) -> str:
    """The smallest part of a guard that already decides it, in words."""
    tree = guard.tree
    while isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
        tree, wanted = tree.operand, not wanted
    decisive = ast.And if wanted else ast.Or
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, decisive) else [tree]
    expressions = [parse_expression(ast.unparse(part)) for part in parts]
    wrong = [e for e in expressions if _holds(connections, record, e) is not wanted] or expressions
    return " and ".join(f"'{expression}' is {'not true' if wanted else 'true'}" for expression in wrong)


def _holds(connections: Connections, record: Record, guard: Expression) -> bool:
    inside = {name: name in record.situation.configuration for name, _ in guard.states}
    compiled = connections.steps.table.compiler.guard(guard, inside)
    return compiled if isinstance(compiled, bool) else compiled(record, _NOTHING)


_NOTHING = Event("nothing.happened", id="", timestamp=0.0)


def _hints(connections: Connections, record: Record, pending: tuple[PendingDependency, ...]) -> Iterator[str]:
    awaited = [trigger for dependency in pending for trigger in dependency.ready_on]
    for note in connections.notes(record.connection_id):
        conditions = [str(t.when) for t in awaited if t.when is not None and matches(t.event, note.event_type)]
        if note.kind == "condition" and conditions:
            yield f"{note.event_type} came, but {' or '.join(conditions)} did not hold"
        elif note.kind == "foreign":
            own = record.identity.tenant_id
            yield (
                f"{note.event_type} of tenant '{note.detail}' was rejected, since this connection "
                + (f"belongs to tenant '{own}'" if own is not None else "belongs to no tenant")
            )
        elif note.kind == "failed":
            yield f"{note.event_type} could not be applied: {note.detail}"
    yield from _strays(connections, [trigger.event for trigger in awaited])


def _strays(connections: Connections, awaited: list[str]) -> Iterator[str]:
    """Awaited events that came for a connection that does not exist: perhaps a wrong id."""
    seen = set()
    for event_type, connection_id in connections.strays:
        if (event_type, connection_id) in seen or connection_id in connections.records:
            continue
        if any(matches(pattern, event_type) for pattern in awaited):
            seen.add((event_type, connection_id))
            whom = f"for '{connection_id}', which is not registered" if connection_id else "without a connection id"
            yield f"{event_type} came {whom}"


def _absent(connections: Connections, connection_id: str) -> Iterator[str]:
    waiting = connections.early.waiting_for(("connection_id", connection_id))
    if waiting:
        types = ", ".join(dict.fromkeys(event.type for event in waiting))
        yield f"{types} came for it and will be kept {connections.early.keep_s:g} s for the registration"
    came = {event_type for event_type, stray in connections.strays if stray == connection_id}
    if came and not waiting:
        yield f"{', '.join(sorted(came))} came for it, too early or too late"
    near = suggestion(connection_id, list(connections.records)[:1000])
    if near:
        yield near.strip(" ()")
