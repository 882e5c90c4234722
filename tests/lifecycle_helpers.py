"""Small things that the tests of the lifecycle share: a lifecycle on a virtual clock, and a few short definitions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from attrs import frozen

from bus import Event, EventBus
from statemachines import (
    Clock,
    ConnectionLifecycle,
    Definition,
    VirtualClock,
    load_definition,
    parse_definition,
)

DOOR = """
name: door
dependencies: {a: a.came, b: {ready_on: b.came, lost_on: b.went, failed_on: b.broke}}
states:
  closed: {initial: true, transitions: [{cond: all_ready, target: open}]}
  open:
    enter: [{publish: door.opened}]
    transitions: [{unless: all_ready, target: closed}, {event: door.left, target: gone}]
  gone: {final: true, enter: [{publish: door.shut}]}
"""
"""Open when ``a`` and ``b`` came, closed when ``b`` went, gone when left."""


@frozen
class World:
    """A bus, a lifecycle on it, and its clock."""

    bus: EventBus
    lifecycle: ConnectionLifecycle
    clock: VirtualClock

    async def publish(self, event_type: str, connection_id: str | None = "c", data: Any = None, **fields: Any) -> Event:
        """Publish an event for connection ``c``, or another."""
        return await self.bus.publish(event_type, data, connection_id=connection_id, **fields)

    def phase(self, connection_id: str = "c") -> str:
        """The phase of connection ``c``, or another."""
        return self.lifecycle.get_connection_state(connection_id).phase


@cache
def _loaded(given: str) -> Definition:
    return parse_definition(given) if "\n" in given else load_definition(given)


def definition_of(given: str | Definition) -> Definition:
    """A definition from its text, or a shipped one by its name."""
    return given if isinstance(given, Definition) else _loaded(given)


@asynccontextmanager
async def running(given: str | Definition = DOOR, *, middleware: Iterable[Any] = ()) -> AsyncIterator[World]:
    """A lifecycle that runs on a bus of its own and on virtual time."""
    clock = VirtualClock()
    async with (
        EventBus(middleware=middleware) as bus,
        ConnectionLifecycle(bus, definition_of(given), clock=clock) as lifecycle,
    ):
        yield World(bus, lifecycle, clock)


def lifecycle_on(bus: EventBus, given: str | Definition = DOOR, clock: Clock | None = None) -> ConnectionLifecycle:
    """A lifecycle to enter, on virtual time unless another clock is given."""
    return ConnectionLifecycle(bus, definition_of(given), clock=clock or VirtualClock())


def assert_nothing_is_kept(lifecycle: ConnectionLifecycle, bus: EventBus) -> None:
    """Every map of a lifecycle without connections is empty, and ``drain`` waits for nothing."""
    engine, connections = lifecycle._engine, lifecycle._connections
    assert bus.pending.count == 0
    assert engine._unfinished == 0
    assert engine._outboxes == {}
    assert engine._found == {}
    assert engine._lanes is not None
    assert engine._lanes._lanes == {}
    assert connections.records == {}
    assert len(connections.keys) == 0
    assert connections._notes == {}
    assert len(connections.early) == 0
    assert connections.early._by_key == {}
    assert len(connections._timers) == 0
    assert engine.watchers.waiters == {}
    assert engine.watchers.changes == {}
