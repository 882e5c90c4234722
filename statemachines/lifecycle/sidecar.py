"""A lifecycle beside a gateway in any language: events in as lines, everything that follows out as events.

``phasebus run`` is this with files and a terminal around it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio
from attrs import frozen

from bus.bus import EventBus
from bus.errors import PhasebusError
from bus.event import Event
from bus.interchange import payload_to_plain
from bus.middleware import Recovery, Validation
from statemachines.connections.reaction import Reaction
from statemachines.connections.trace import Entry, entries_of
from statemachines.errors import Problem
from statemachines.language.definition import Call, Definition
from statemachines.lifecycle.clock import Clock, SystemClock
from statemachines.lifecycle.lifecycle import ConnectionLifecycle
from statemachines.table.step import CREATED


@frozen
class Input:
    """One event to publish. ``at`` is seconds since the first one, ``path`` and ``line`` where it was read."""

    event: Event
    at: float
    path: str
    line: int


@frozen
class Sidecar:
    """What to do with what comes.

    :param published: called with each event that followed (not with those that were read)
    :param entry: called with each line of the timeline
    :param settled: called after each input, once everything that follows from it is done; makes the run wait for that
    :param refused: called with the problem of each event that cannot be published
    :param started: called with the bus and the lifecycle once both run
    :param ending: called when nothing is read any more, however the run ends, before the two are closed
    :param paced: publish each event at its time instead of as it comes
    :param linger_s: seconds that living connections get after the last event to come to their end
    """

    definition: Definition
    published: Callable[[Event], None] = lambda event: None
    entry: Callable[[Entry], None] = lambda entry: None
    refused: Callable[[Problem], None] = lambda problem: None
    settled: Callable[[], None] | None = None
    started: Callable[[EventBus, ConnectionLifecycle], None] = lambda bus, lifecycle: None
    ending: Callable[[], None] = lambda: None
    paced: bool = False
    linger_s: float = 0.0

    async def run(self, inputs: AsyncIterator[Input], clock: Clock | None = None) -> ConnectionLifecycle:
        """Publish every input, wait for what follows, and return the lifecycle, closed but readable."""
        clock = clock or SystemClock()
        async with (
            EventBus(middleware=[Recovery(), Validation()]) as bus,
            ConnectionLifecycle(bus, self.definition, clock=clock) as lifecycle,
        ):
            began = clock.monotonic()
            own: set[str] = set()
            self._listen(bus, lifecycle, lambda: clock.monotonic() - began, own)
            self.started(bus, lifecycle)
            try:
                async for given in inputs:
                    if self.paced:
                        await anyio.sleep(max(0.0, began + given.at - clock.monotonic()))
                    await self._take(bus, lifecycle, given, own)
                await bus.drain()
                with anyio.move_on_after(self.linger_s):
                    await _all_ended(lifecycle)
                await bus.drain()
            finally:
                self.ending()
        return lifecycle

    async def _take(self, bus: EventBus, lifecycle: ConnectionLifecycle, given: Input, own: set[str]) -> None:
        """Publish one input, as what it is: not something that followed."""
        own.add(given.event.id)
        try:
            await _publish(bus, lifecycle, given.event)
        except PhasebusError as error:
            self.refused(Problem(given.path, given.line, 1, "error", str(error)))
        finally:
            own.discard(given.event.id)
        if self.settled is not None:
            await bus.drain()
            self.settled()

    def _listen(self, bus: EventBus, lifecycle: ConnectionLifecycle, time: Callable[[], float], own: set[str]) -> None:
        """Tell of everything that happens, in the order it does."""

        def output(event: Event) -> None:
            if event.id not in own:
                data = payload_to_plain(event.data)
                self.entry(Entry(time(), event.connection_id, "publish", {"type": event.type, "data": data}))
                self.published(event)

        def observe(reaction: Reaction) -> None:
            for entry in entries_of(reaction, time()):
                self.entry(entry)

        def say_call(name: str) -> Callable[[Event], None]:
            return lambda event: self.entry(Entry(time(), event.connection_id, "call", {"name": name}))

        bus.subscribe("*", output, inline=True)
        lifecycle.observe(observe)
        for name in {action.name for action in self.definition.actions() if isinstance(action, Call)}:
            lifecycle.hook(name, say_call(name))


async def _publish(bus: EventBus, lifecycle: ConnectionLifecycle, event: Event) -> None:
    """Publish an event. ``connection.created`` registers, even if the definition does not start on it."""
    if event.type != CREATED or event.connection_id is None or lifecycle.starts_on(event):
        await bus.publish_event(event)
        return
    await lifecycle.register_connection(
        event.connection_id,
        call_id=event.call_id or event.field("call_id"),
        tenant_id=event.tenant_id or event.field("tenant_id"),
        dependencies=event.field("dependencies"),
    )


async def _all_ended(lifecycle: ConnectionLifecycle) -> None:
    """Wait until every connection has ended."""
    living = {state.id for state in lifecycle.get_all_connections().values() if not state.ended}
    if not living:
        return
    async for state in lifecycle.changes():
        if state.ended:
            living.discard(state.id)
        if not living:
            return
