"""The machinery of a live lifecycle: what it is to the bus and to the clock.

The way of an event here: the bus hands it over inside its fan-out (:meth:`Engine.receive`); facts and table make the
step, at once and without waiting; its effects go to the connection's outbox; the publisher's task carries them out
before ``publish`` returns. When that task is cancelled, or was no publisher's but a timer's, a worker of the lifecycle
takes the outbox over. So a connection's effects are published in order, each once, whatever becomes of the publisher.

Everything runs in one event loop and every step is one piece of code that never waits: no lock is needed anywhere.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from inspect import isawaitable
from math import inf
from typing import Any

import anyio
from attrs import evolve

from bus.bus import EventBus
from bus.causality import MAX_CAUSATION_DEPTH as _DEEPEST
from bus.causality import as_handler_of, caused_by
from bus.errors import PhasebusError
from bus.event import Event
from bus.handlers import is_failure
from bus.workers import Workers
from statemachines.connections.connections import NOT_ADDRESSED, Connections
from statemachines.connections.consequences import (
    UNKNOWN,
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
from statemachines.connections.state import state_of
from statemachines.language.definition import Definition
from statemachines.lifecycle.clock import Clock
from statemachines.lifecycle.invocations import Invocations
from statemachines.lifecycle.lanes import Lanes
from statemachines.lifecycle.outbox import Outbox
from statemachines.lifecycle.watching import Watchers
from statemachines.table.step import Step

logger = logging.getLogger("phasebus.lifecycle")

Hook = Callable[[Event], Any]
"""A function of the event that led to the call; ``async`` or plain. Its ``connection_id`` is always set."""
Observer = Callable[[Reaction], None]


class Engine:
    """Steps connections as events and time come in, and carries out what follows."""

    def __init__(self, bus: EventBus, definition: Definition, clock: Clock) -> None:
        self.definition = definition
        self.connections = Connections(definition)
        self.layout = self.connections.layout
        self._plan = self.connections.steps.plan
        self.hooks: dict[str, Hook] = {}
        self.invocations = Invocations(bus, definition.name, self.hooks)
        self.watchers = Watchers()
        self.observers: list[Observer] = []
        self._bus = bus
        self._clock = clock
        self._time, self._monotonic = clock.time, clock.monotonic
        self._lanes: Lanes | None = None
        self._closed = False
        self._stopped = False
        self._missing_hooks: set[str] = set()
        self._outboxes: dict[str, Outbox] = {}
        self._found: dict[int, str] = {}
        """Whose step an event without a connection id made, until what follows is carried out: by the event's identity,
        since the connection may be forgotten by then."""
        self._unfinished = 0
        self._quiet: anyio.Event | None = None
        self._next_known = inf
        self._rescheduled = anyio.Event()

    def __str__(self) -> str:
        return f"lifecycle {self.definition.name}"

    async def start(self, workers: Workers) -> None:
        """Begin to work, in tasks of ``workers``. Returns once the clock drives this."""
        self._lanes = Lanes(workers, f"phasebus: {self.definition.name}")
        self.invocations.run_in(workers)
        driven = anyio.Event()

        async def drive() -> None:
            driven.set()  # whoever waits for this runs only after the clock has got hold of us
            await self._clock.drive(self)

        workers.start_soon(drive, name=f"phasebus: timers of {self.definition.name}")
        await driven.wait()

    def close(self) -> None:
        """Make no more steps. Who watches is told so; effects and hooks that have begun go on."""
        self._closed = True
        self.invocations.cancel_all()
        self.watchers.close()

    def stop(self) -> None:
        """Begin nothing more. What is not carried out by now never will be."""
        self.close()
        self._stopped = True
        self._outboxes.clear()
        self._bus.pending.finished(self._unfinished)
        self._unfinished = 0
        self._tell_quiet()

    async def quiet(self) -> None:
        """Wait until all effects and hooks are done."""
        while self._unfinished:
            if self._quiet is None:
                self._quiet = anyio.Event()
            await self._quiet.wait()

    def times(self) -> tuple[float, float]:
        """Unix and monotonic time, after doing what was due before now: at equal times timers come first."""
        at, now = self._time(), self._monotonic()
        if self._next_known <= now:
            self._fire_due(at, now)
        return at, now

    def react(self, reactions: list[Reaction], received: Event | None) -> None:
        """Note what follows from reactions. ``received`` is the bus's event that led to them, if one did."""
        watchers = self.watchers
        for reaction in reactions:
            for observer in self.observers:
                observer(reaction)
            step, connection_id = reaction.step, reaction.connection_id or ""
            if step is None:
                if reaction.error is not None:
                    self._follow(connection_id, consequences(reaction, received))
                elif reaction.kind == "unknown" or reaction.kind == "expired":
                    self._tell_unknown(reaction)
                continue
            before, outcome = step.before, step.outcome
            if step.after is before:
                continue
            if outcome.cancels or outcome.invokes:
                self._invoke(connection_id, step)
            if before is None or outcome.moved or outcome.has_effects:
                self._follow(connection_id, consequences(reaction, received))
            if (watchers.waiters or watchers.changes) and watchers.any_for(connection_id):
                self._tell_watchers(step)
        earliest = self.connections.earliest()
        if earliest is not None and earliest < self._next_known:
            self._next_known = _or_never(self.connections.next_deadline())
            self._rescheduled.set()
            self._rescheduled = anyio.Event()

    # -- on the bus (bus.reactor.Reactor) --

    def names(self, event_type: str) -> bool:
        """Whether the definition names events of this type."""
        return self._plan(event_type).named

    def receive(self, event: Event) -> bool:
        """Make the step of an event; whether effects are to be carried out. Called by the bus inside its fan-out."""
        connection_id = event.connection_id
        try:
            if (self._outboxes or event.type in NOT_ADDRESSED) and self._is_own_news(event):
                return (connection_id or "") in self._outboxes
            at, now = self.times()
            reactions = self.connections.receive(event, at=at, now=now)
            self.react(reactions, event)
            if connection_id is None and reactions and reactions[0].connection_id in self._outboxes:
                self._found[id(event)] = reactions[0].connection_id
                return True
        except Exception as error:
            logger.exception("%s could not process %s", self.definition.name, event.type)
            self._outbox(connection_id or "").items.append(Failure(event, error))
        return (connection_id or "") in self._outboxes

    async def carry_out(self, event: Event) -> None:
        """Publish what followed from an event. Called by the bus after its fan-out."""
        if self._outboxes or self._found:
            key = self._key(event)
            if key in self._outboxes:
                await self.carry_out_for(key)

    def take_over(self, event: Event) -> None:
        """The publisher was cancelled: let a worker publish what followed. Called by the bus."""
        key = self._key(event)
        if key in self._outboxes:
            self._carry_out_later(key)

    # -- on the clock (clock.Timed) --

    def next_deadline(self) -> float | None:
        """When something is due next."""
        deadline = None if self._closed else self.connections.next_deadline()
        self._next_known = _or_never(deadline)
        return deadline

    def fire_due(self) -> None:
        """Do what is due by now; its effects are carried out by workers, so that a slow one delays no timer."""
        self._fire_due(self._clock.time(), self._clock.monotonic())

    async def rescheduled(self) -> None:
        """Wait until something is due earlier than :meth:`next_deadline` said."""
        await self._rescheduled.wait()

    async def settled(self) -> None:
        """Wait until all effects and hooks are done and nothing is queued on the bus."""
        await self._bus.drain()

    # -- details --

    def _fire_due(self, at: float, now: float) -> None:
        if self._closed:
            return
        for reaction in self.connections.fire_due(at=at, now=now):
            self.react([reaction], None)
            if reaction.connection_id is not None and reaction.connection_id in self._outboxes:
                self._carry_out_later(reaction.connection_id)
        self._next_known = _or_never(self.connections.next_deadline())

    def _follow(self, connection_id: str, items: list[Consequence]) -> None:
        """Let the connection's outbox have what follows, from the first on that somebody hears or that does something.

        What comes before that nobody hears: it is counted, and that is all.
        """
        outbox = self._outboxes.get(connection_id)
        if outbox is not None:
            outbox.items.extend(items)
            return
        for number, item in enumerate(items):
            if not self._passes_unheard(connection_id, item):
                self._outbox(connection_id).items.extend(items[number:] if number else items)
                return

    def _passes_unheard(self, connection_id: str, item: Consequence) -> bool:
        """Whether there is nothing to carry out; then it is counted here."""
        if isinstance(item, Publication):
            if self._bus.has_listener(item.event_type, connection_id) or item.step.event.causation_depth >= _DEEPEST:
                return False
            self._bus.pass_unheard(item.event_type, connection_id, item.build)
            return True
        if isinstance(item, News):
            # A lifecycle does not hear of its own registrations.
            besides, event = self if item.own_registration else None, item.event
            if self._bus.has_listener(event.type, connection_id, besides) or item.cause.causation_depth >= _DEEPEST:
                return False
            self._bus.pass_unheard(event.type, connection_id, partial(caused_by, event, item.cause))
            return True
        if isinstance(item, Failure) or item.name in self.hooks:
            return False
        if isinstance(item, HookCall):
            self._warn_of_missing(item.name)
        else:
            self.invocations.begin(item.step, item.spec)
        return True

    def _tell_watchers(self, step: Step) -> None:
        record, before = step.after, step.before
        changed = (
            before is None
            or step.changed_configuration
            or (before.ready, before.failed) != (record.ready, record.failed)
        )
        self.watchers.tell(record, lambda: state_of(record, self.layout), changed=changed)

    def _tell_unknown(self, reaction: Reaction) -> None:
        event = reaction.event
        if self._bus.has_listener(UNKNOWN, event.connection_id):
            self._outbox(event.connection_id or "").items.append(unknown_news(event))
            if reaction.kind == "expired":
                self._carry_out_later(event.connection_id or "")
        else:
            self._bus.pass_unheard(UNKNOWN)

    def _is_own_news(self, event: Event) -> bool:
        """Whether an event is one of ours coming back that means nothing here.

        Hearing it is also the sign that it has been published: it leaves the outbox here, so that a publisher that is
        cancelled a moment later does not make it come twice.
        """
        outbox = self._outboxes.get(event.connection_id or "")
        own_registration = False
        if outbox is not None and outbox.publishing == event.id:
            outbox.publishing = None
            item = outbox.items.popleft()
            own_registration = isinstance(item, News) and item.own_registration
            return own_registration or not self.connections.names(event.type)
        return event.type in NOT_ADDRESSED and not self.connections.names(event.type)

    def _outbox(self, key: str) -> Outbox:
        outbox = self._outboxes.get(key)
        if outbox is None:
            outbox = self._outboxes[key] = Outbox(deque())
            self._started()
        return outbox

    def _key(self, event: Event) -> str:
        return self._found.pop(id(event), "") if event.connection_id is None else event.connection_id

    async def carry_out_for(self, key: str) -> None:
        """Publish what followed from a connection's steps, unless a task is at it already."""
        outbox = self._outboxes.get(key)
        if outbox is None or outbox.busy:
            return
        outbox.busy = True
        try:
            while outbox.items and not self._stopped:
                item = outbox.items[0]
                await self._carry_out_item(key, outbox, item)
                if outbox.items and outbox.items[0] is item:
                    outbox.items.popleft()
        finally:
            outbox.busy = False
            outbox.publishing = None
            if outbox.items:
                self._carry_out_later(key)
            elif not self._stopped:
                del self._outboxes[key]
                self._finished()

    def _carry_out_later(self, key: str) -> None:
        """Let a worker carry out a connection's outbox, unless somebody does or will."""
        outbox = self._outboxes.get(key)
        if outbox is None or outbox.busy or outbox.handed_over or self._stopped:
            return

        async def carry_out() -> None:
            outbox.handed_over = False
            await self.carry_out_for(key)

        assert self._lanes is not None
        outbox.handed_over = True
        self._lanes.submit(f"outbox:{key}", carry_out)

    async def _carry_out_item(self, key: str, outbox: Outbox, item: Consequence) -> None:
        match item:
            case Publication(event_type=event_type, step=step):
                await self._publish(outbox, event_type, key, item.build, step.event)
            case News(event=event, cause=cause):
                await self._publish(outbox, event.type, event.connection_id, lambda: event, cause)
            case HookCall(name=name, step=step):
                self._call(key, name, step.event)
            case InvokeCall(spec=spec, step=step):
                self.invocations.begin(step, spec)
            case Failure(event=event, error=error):
                await self._bus.report_failure(str(self), event, error)

    async def _publish(
        self, outbox: Outbox, event_type: str, connection_id: str | None, build: Callable[[], Event], cause: Event
    ) -> None:
        """Publish as a handler of ``cause`` would: linked to it, and never waiting for a queue."""
        if not self._bus.has_listener(event_type, connection_id) and cause.causation_depth < _DEEPEST:
            self._bus.pass_unheard(event_type, connection_id, partial(_linked, build, cause))
            return
        with as_handler_of(self._bus, cause):
            try:
                event = caused_by(build(), cause)
                outbox.publishing = event.id
                await self._bus.publish_event(event)
            except Exception as error:
                await self._bus.report_failure(str(self), cause, error)

    def _invoke(self, connection_id: str, step: Step) -> None:
        event = step.event
        if event.connection_id != connection_id:
            event = evolve(event, connection_id=connection_id)
        self.invocations.note(step, event)

    def _call(self, key: str, name: str, cause: Event) -> None:
        hook = self.hooks.get(name)
        if hook is None:
            self._warn_of_missing(name)
            return
        event = cause if cause.connection_id == key else evolve(cause, connection_id=key)
        assert self._lanes is not None
        self._started()
        try:
            self._lanes.submit(f"hook:{key}", lambda: self._run_hook(hook, name, event))
        except PhasebusError as error:
            self._finished()
            self._outbox(key).items.append(Failure(event, error))

    def _warn_of_missing(self, name: str) -> None:
        if name not in self._missing_hooks:
            self._missing_hooks.add(name)
            logger.warning(
                "%s calls the hook '%s', but none is registered: lifecycle.hook('%s')", self.definition.name, name, name
            )

    async def _run_hook(self, hook: Hook, name: str, event: Event) -> None:
        try:
            with as_handler_of(self._bus, event):
                await self._call_hook(hook, name, event)
        finally:
            self._finished()

    async def _call_hook(self, hook: Hook, name: str, event: Event) -> None:
        try:
            result = hook(event)
            if isawaitable(result):
                await result
        except BaseException as error:
            if not is_failure(error):
                raise
            await self._bus.report_failure(f"hook {name}", event, error)

    def _started(self) -> None:
        self._unfinished += 1
        self._bus.pending.started()

    def _finished(self) -> None:
        if not self._stopped:
            self._unfinished -= 1
            self._bus.pending.finished()
            if not self._unfinished:
                self._tell_quiet()

    def _tell_quiet(self) -> None:
        if self._quiet is not None:
            self._quiet.set()
            self._quiet = None


def _or_never(deadline: float | None) -> float:
    return inf if deadline is None else deadline


def _linked(build: Callable[[], Event], cause: Event) -> Event:
    return caused_by(build(), cause)
