"""Recorded events on the virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice

from bus.event import Event
from statemachines.connections.connections import Connections
from statemachines.errors import Problem
from statemachines.simulation.event_lines import EventLine, read_event_lines
from statemachines.simulation.scenario import Registration
from statemachines.simulation.simulator import Simulation, Summary
from statemachines.table.step import CREATED

_BATCH = 500


def run_events(
    simulation: Simulation,
    lines: Iterable[str | bytes],
    path: str,
    refused: Callable[[Problem], None],
    until: float | None = None,
) -> Summary:
    """Run JSON lines of events, each at its time; to the last one, or to ``until`` if that is later.

    An event ``connection.created`` registers its connection. If the file has none, and the definition starts on none of
    its events, every connection that occurs is registered at the start: so the lines up to the first that registers
    are kept, and those after it are run as they are read. Lines that are no events go to ``refused``.
    """
    connections = simulation.connections
    read = recorded_events(lines, path, refused)
    first: list[EventLine] = []
    for line in read:
        first.append(line)
        if _registers(connections, line.event):
            break
    for connection_id in registered_at_start(connections, first):
        simulation.register(connection_id)
    for line in _in_batches(chain(first, read)):
        simulation.advance_to(line.at)
        registration = registration_by(connections, line.event)
        if registration is not None and line.event.connection_id is not None:
            simulation.register(line.event.connection_id, registration)
        else:
            simulation.publish(line.event)
    if until is not None:
        simulation.advance_to(until)
    return simulation.summary


def recorded_events(lines: Iterable[str | bytes], path: str, refused: Callable[[Problem], None]) -> Iterator[EventLine]:
    """The events of a recording, as they are read. Lines that are no events go to ``refused``."""
    for read in read_event_lines(lines, path):
        if isinstance(read, EventLine):
            yield read
        else:
            refused(read)


def registered_at_start(connections: Connections, events: Collection[EventLine]) -> list[str]:
    """The connections that a recording takes for granted: all that occur, if none is registered in it."""
    if any(_registers(connections, line.event) for line in events):
        return []
    named = (line.event.connection_id for line in events)
    return list(dict.fromkeys(connection_id for connection_id in named if connection_id is not None))


def registration_by(connections: Connections, event: Event) -> Registration | None:
    """How a recorded event registers its connection; None if it is an event like any other."""
    if event.type != CREATED or event.connection_id is None or connections.starts_on(event):
        return None
    return _registration(event)


def _registers(connections: Connections, event: Event) -> bool:
    return event.type == CREATED or connections.starts_on(event)


def _in_batches(lines: Iterator[EventLine]) -> Iterator[EventLine]:
    """The same lines, read some at a time: to read and to run in turns, line by line, costs a fifth more."""
    while batch := list(islice(lines, _BATCH)):
        yield from batch


def _registration(event: Event) -> Registration:
    dependencies = event.field("dependencies")
    return Registration(
        call_id=event.call_id or event.field("call_id"),
        tenant_id=event.tenant_id or event.field("tenant_id"),
        dependencies=tuple(dependencies) if isinstance(dependencies, list) else None,
    )
