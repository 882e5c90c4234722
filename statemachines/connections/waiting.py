"""Why a connection is where it is: what it waits for, and what went wrong with the events that should have moved it.

The sentence is for somebody who is called at night: whose connection, where it stands, the cause, and what cures it.
What is found out is here; how a guard is taken apart is in ``guards``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from attrs import field, frozen

from bus.names import matches
from statemachines.connections.connections import Connections, Note, Stray
from statemachines.connections.guards import ClosedGuard, closed_guards
from statemachines.connections.keys import CALL_ID, kinds_of
from statemachines.errors import suggestion
from statemachines.language.definition import Transition, Trigger
from statemachines.table.layout import TERMINATION
from statemachines.table.record import Record
from statemachines.table.step import DEPENDENCY_MARKED, dependency_status

MAX_SENTENCE = 600
MAX_LISTED = 3
MAX_SHOWN = 60

_BY_HAND = {DEPENDENCY_MARKED: "mark_dependency_ready", TERMINATION: "terminate_connection"}


@frozen
class PendingDependency:
    """A required dependency that is not ready, what would make it so, and why that has not happened, as far as known.

    :ivar status: ``pending`` or ``failed``
    :ivar ready_on: the events that make it ready
    :ivar cause: what is known about their failing to come; empty when nothing is
    """

    name: str
    status: str
    ready_on: tuple[Trigger, ...]
    cause: str = ""

    @property
    def awaited(self) -> str:
        """The events that would make it ready, with their conditions."""
        return _either(t.event + (f" with {t.when}" if t.when is not None else "") for t in self.ready_on)

    def __str__(self) -> str:
        if not self.ready_on:
            return f"{self.name}, which no event makes ready: call mark_dependency_ready(…, '{self.name}')"
        return f"{self.name}: " + (self.cause or f"no {self.awaited} has come")


@frozen
class HeldTransition:
    """A transition that only its guard holds back, and the part of the guard that does.

    :ivar event: the events that it also needs; empty if it would be taken at once
    """

    source: str
    target: str | None
    guard: str
    because: str
    event: tuple[str, ...] = ()

    def __str__(self) -> str:
        way = f"the way to {self.target}" if self.target else f"an action of {self.source}"
        return f"{way} is closed: {self.because}"


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
    """What a connection waits for; ``str()`` of it is one sentence of 600 characters at most.

    :ivar phase: None if it is not registered
    :ivar since: Unix seconds of when it came into its configuration; None if it is not registered
    :ivar waited_s: how long that is
    :ivar dependencies: the required ones that are not ready
    :ivar events: what would move it on, or do something, where it is
    :ivar hints: what else went wrong with events that concern it, in words
    :ivar path: how it came to where it is, in words, the latest last
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
    events: tuple[str, ...] = ()
    hints: tuple[str, ...] = field(default=())
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        who = shown(self.connection_id)
        if self.phase is None:
            return _sentence([f"{who} is not registered with {self.lifecycle}", *self.hints])
        if self.ended:
            return _sentence([f"{who} ended in {self.phase or 'no phase'} {self.waited_s:.1f} s ago", *self._history()])
        return _sentence([f"{who} has waited {self.waited_s:.1f} s in {self.phase}{self._what_for()}", *self._rest()])

    def _history(self) -> Iterator[str]:
        if self.path:
            yield ", then ".join(self.path)
        yield from self.hints
        if self.dependencies:
            yield "it lacked " + _listed(dependency.name for dependency in self.dependencies)

    def _what_for(self) -> str:
        if len(self.dependencies) == 1:
            return f" for {self.dependencies[0]}"
        if self.dependencies:
            return " for " + _listed((dependency.name for dependency in self.dependencies), at_most=8)
        if self.hints or self.guards:
            return ""
        if self.events:
            return f" for an event that leads on: {_either(self.events)}"
        return ", and only its timers move it on" if self.timers else ", and nothing leads on from there"

    def _rest(self) -> Iterator[str]:
        if len(self.dependencies) > 1:
            # What went wrong comes before what merely has not happened yet.
            yield from map(str, sorted(self.dependencies, key=lambda dependency: not dependency.cause))
        yield from self.hints
        yield from (str(held) for held in self.guards)
        yield from (str(timer) for timer in self.timers[:2])


def why(connections: Connections, connection_id: str, *, at: float, now: float) -> Waiting:
    """What a connection waits for. One that is not registered waits for that."""
    name = connections.definition.name
    record = connections.records.get(connection_id)
    if record is None:
        return Waiting(connection_id, name, hints=tuple(_absent(connections, connection_id)))
    timers = tuple(
        RunningTimer(
            timer.spec.after.written,
            connections.layout.ids[timer.spec.state],
            timer.deadline - now,
            timer.spec.after.transition.target,
        )
        for timer in sorted(record.timers, key=lambda timer: timer.deadline)
    )
    return Waiting(
        connection_id,
        name,
        record.situation.phase,
        record.since,
        max(0.0, at - record.since),
        ended=record.ended,
        dependencies=tuple(_pending(connections, record)),
        guards=() if record.ended else tuple(_held(connections, record)),
        timers=timers,
        events=() if record.ended else tuple(_ways_out(connections, record)),
        hints=tuple(_hints(connections, record)),
        path=tuple(_path(connections, record)),
    )


def shown(text: str) -> str:
    """An id from outside, fit for a sentence: printable, and not too long."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= MAX_SHOWN else printable[: MAX_SHOWN - 1] + "…"


# -- one that is not registered --


def _absent(connections: Connections, connection_id: str) -> Iterator[str]:
    ended = next((phase for known, phase in reversed(connections.forgotten) if known == connection_id), None)
    if ended is not None:
        yield f"it ended in {ended} and was forgotten {connections.definition.retain:g} s later (retain)"
        return
    near = suggestion(connection_id, list(connections.records)[:1000])
    if near:
        yield shown(near.strip(" ()"))
    waiting = connections.early.waiting_for(("connection_id", connection_id))
    if waiting:
        types = _listed(dict.fromkeys(event.type for event in waiting))
        yield f"{types} came for it, kept {connections.early.keep_s:g} s for its registration"
    else:
        lost = dict.fromkeys(stray.event_type for stray in connections.lost if stray.connection_id == connection_id)
        if lost:
            yield f"{_listed(lost)} came for it and went unheard"
    starts = _either(trigger.event for trigger in connections.definition.starts_on)
    yield "call register_connection" + (f" or publish {starts}" if starts else "")


# -- one that lives or has ended --


def _pending(connections: Connections, record: Record) -> Iterator[PendingDependency]:
    for name, bit in connections.layout.bits.items():
        if record.required & bit and not record.ready & bit:
            ready_on = connections.definition.dependencies[name].ready_on
            pending = PendingDependency(name, dependency_status(record, bit), ready_on)
            causes = _causes(connections, record, pending)
            yield PendingDependency(name, pending.status, ready_on, _listed(dict.fromkeys(causes), ", and ", 2))


def _causes(connections: Connections, record: Record, pending: PendingDependency) -> Iterator[str]:
    """Why a dependency is not ready, the latest first."""
    for note in reversed(connections.notes(record.connection_id)):
        awaited = [trigger for trigger in pending.ready_on if matches(trigger.event, note.event_type)]
        if note.subject == pending.name and note.kind in ("lost", "failed"):
            error = f" ({shown(note.detail)})" if note.detail else ""
            yield f"{note.kind} on {note.event_type}{error}, it needs {pending.awaited} again"
            return
        if not awaited:
            continue
        if note.kind == "condition":
            yield f"{note.event_type} came, but not with {_either(str(t.when) for t in awaited if t.when is not None)}"
        elif note.kind == "foreign":
            yield _foreign(note, record)
    wanted = [trigger.event for trigger in pending.ready_on]
    yield from _strays(connections, record, wanted)


def _foreign(note: Note, record: Record) -> str:
    own = record.identity.tenant_id
    whose = f"is of tenant '{shown(own)}'" if own is not None else "has no tenant"
    return f"{note.event_type} came with tenant_id '{shown(note.detail)}' and was refused: this connection {whose}"


def _hints(connections: Connections, record: Record) -> Iterator[str]:
    """What went wrong with events that are not about a pending dependency."""
    awaited = _awaited(connections, record)
    for note in reversed(connections.notes(record.connection_id)):
        covered = any(matches(pattern, note.event_type) for pattern in awaited)
        if note.kind == "foreign" and not covered:
            yield _foreign(note, record)
        elif note.kind == "key" and note.detail not in kinds_of(record.identity):
            yield (
                f"{note.event_type} brought {_key(note)}, which '{shown(note.subject)}' holds, "
                "so this connection has none"
            )
        elif note.kind == "cut":
            yield f"{note.event_type} could not be applied ({note.detail})"
        elif note.kind == "held" and not record.ended:
            reasons = _held_on(connections, record, note.event_type)
            if reasons:
                yield f"{note.event_type} came and changed nothing: {reasons}"
    if not record.ended:
        yield from _strays(connections, record, [e for e in _ways_out(connections, record) if e not in awaited])


def _key(note: Note) -> str:
    return f"{note.detail} '{shown(note.value)}'" if note.value else f"a {note.detail}"


def _awaited(connections: Connections, record: Record) -> list[str]:
    """The events that would make a pending required dependency ready."""
    return [
        trigger.event
        for name, bit in connections.layout.bits.items()
        if record.required & bit and not record.ready & bit
        for trigger in connections.definition.dependencies[name].ready_on
    ]


def _strays(connections: Connections, record: Record, wanted: list[str]) -> Iterator[str]:
    """Events like these that reached nobody: too early, or by a wrong id."""
    own = record.identity

    def is_wanted(stray: Stray) -> bool:
        return any(matches(pattern, stray.event_type) for pattern in wanted)

    for stray in filter(is_wanted, dict.fromkeys(reversed(connections.lost))):
        by_call_id = stray.connection_id is None and stray.call_id is not None and stray.call_id == own.call_id
        if stray.connection_id == own.connection_id or by_call_id:
            yield (
                f"{stray.event_type} came before the registration and was kept only "
                f"{connections.early.keep_s:g} s (early): register sooner or send it again"
            )
    for stray in sorted(filter(is_wanted, dict.fromkeys(reversed(connections.strays))), key=_distance(record)):
        if stray.connection_id in connections.records or (stray.connection_id is None and _found(connections, stray)):
            continue
        yield f"{stray.event_type} came {_addressed(stray, record)}"


def _found(connections: Connections, stray: Stray) -> bool:
    return stray.call_id is not None and connections.keys.holder((CALL_ID, stray.call_id)) is not None


def _distance(record: Record) -> Callable[[Stray], bool]:
    """Sorts what was probably meant for this connection before the rest."""
    known = [name for name in (record.identity.connection_id, record.identity.call_id) if name is not None]
    return lambda stray: not suggestion(stray.connection_id or stray.call_id or "", known)


def _addressed(stray: Stray, record: Record) -> str:
    own = record.identity
    if stray.connection_id:
        meant = " (meant for this one?)" if suggestion(stray.connection_id, [own.connection_id]) else ""
        return f"for '{shown(stray.connection_id)}', which is not registered{meant}"
    if stray.keys:
        return f"with a {_listed(stray.keys, ' and a ')} that no connection has"
    if stray.call_id is None:
        return "without a connection_id or call_id, so nobody got it"
    has = f"this one has '{shown(own.call_id)}'" if own.call_id is not None else "this one was registered without"
    return f"with call_id '{shown(stray.call_id)}', which no connection has; {has}"


def _held(connections: Connections, record: Record) -> Iterator[HeldTransition]:
    """The transitions that their guard alone holds back, and those that wait for an event too."""
    for source, transition in _transitions(connections, record):
        if transition.event and not any(
            note.kind == "held" and any(matches(pattern, note.event_type) for pattern in transition.event)
            for note in connections.notes(record.connection_id)
        ):
            for closed in closed_guards(connections, record, transition):
                if not closed.reads_event:
                    yield HeldTransition(source, transition.target, closed.guard, closed.because, transition.event)
        elif not transition.event:
            for closed in closed_guards(connections, record, transition):
                if not closed.is_plain_readiness:
                    yield HeldTransition(source, transition.target, closed.guard, closed.because)


def _held_on(connections: Connections, record: Record, event_type: str) -> str:
    """Which guards held an event back."""
    closed: list[ClosedGuard] = []
    for _, transition in _transitions(connections, record):
        if any(matches(pattern, event_type) for pattern in transition.event):
            closed += closed_guards(connections, record, transition)
    return _listed(dict.fromkeys(guard.because for guard in closed))


def _ways_out(connections: Connections, record: Record) -> Iterator[str]:
    """The events that a transition waits for where the connection is, the innermost state's first."""
    found: dict[str, None] = {}
    for _, transition in reversed(list(_transitions(connections, record))):
        found.update(dict.fromkeys(transition.event))
    yield from found


def _transitions(connections: Connections, record: Record) -> Iterator[tuple[str, Transition]]:
    for number in record.situation.states:
        state = connections.layout.states[number]
        for transition in state.transitions:
            yield state.id, transition


def _path(connections: Connections, record: Record) -> Iterator[str]:
    moves = connections.moves(record.connection_id)
    for move in moves:
        by = f"timer {move.timer}" if move.timer else _BY_HAND.get(move.event_type, move.event_type)
        yield f"{by} led to {move.phase or 'the end'}"


# -- words --


def _either(items: Iterable[str]) -> str:
    return _listed(dict.fromkeys(items), " or ")


def _listed(items: Iterable[str], between: str = " and ", at_most: int = MAX_LISTED) -> str:
    texts = list(items)
    more = [f"{len(texts) - at_most} more"] if len(texts) > at_most else []
    return between.join([*texts[:at_most], *more])


def _sentence(parts: Iterable[str]) -> str:
    """The parts that fit, joined; the first are the ones that matter."""
    sentence = ""
    for part in parts:
        longer = f"{sentence}; {part}" if sentence else part
        if len(longer) <= MAX_SENTENCE:
            sentence = longer
        elif not sentence:
            sentence = longer[: MAX_SENTENCE - 1] + "…"
    return sentence
