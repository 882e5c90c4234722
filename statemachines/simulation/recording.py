"""Recorded events on the virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bus.event import Event
from statemachines.connections.connections import Connections
from statemachines.errors import Problem
from statemachines.simulation.event_lines import EventLine, read_event_lines
from statemachines.simulation.scenario import Registration
from statemachines.simulation.simulator import Simulation, Summary
from statemachines.table.step import CREATED


def run_events(
    simulation: Simulation,
    lines: Iterable[str | bytes],
    path: str,
    refused: Callable[[Problem], None],
    until: float | None = None,
) -> Summary:
    """Run JSON lines of events, each at its time; to the last one, or to ``until`` if that is later.

    An event ``connection.created`` registers its connection. If the file has none, and the definition starts on none of
    its events, every connection that occurs is registered at the start. Lines that are no events go to ``refused``.
    """
    events = read_recording(lines, path, refused)
    connections = simulation.connections
    for connection_id in registered_at_start(connections, events):
        simulation.register(connection_id)
    for line in events:
        simulation.advance_to(line.at)
        registration = registration_by(connections, line.event)
        if registration is not None and line.event.connection_id is not None:
            simulation.register(line.event.connection_id, registration)
        else:
            simulation.publish(line.event)
    if until is not None:
        simulation.advance_to(until)
    return simulation.summary


def read_recording(lines: Iterable[str | bytes], path: str, refused: Callable[[Problem], None]) -> list[EventLine]:
    """All events of a recording. Lines that are no events go to ``refused``."""
    events: list[EventLine] = []
    for read in read_event_lines(lines, path):
        if isinstance(read, EventLine):
            events.append(read)
        else:
            refused(read)
    return events


def registered_at_start(connections: Connections, events: Iterable[EventLine]) -> list[str]:
    """The connections that a recording takes for granted: all that occur, if none is registered in it."""
    events = list(events)
    if any(line.event.type == CREATED or connections.starts_on(line.event) for line in events):
        return []
    named = (line.event.connection_id for line in events)
    return list(dict.fromkeys(connection_id for connection_id in named if connection_id is not None))


def registration_by(connections: Connections, event: Event) -> Registration | None:
    """How a recorded event registers its connection; None if it is an event like any other."""
    if event.type != CREATED or event.connection_id is None or connections.starts_on(event):
        return None
    return _registration(event)


def _registration(event: Event) -> Registration:
    dependencies = event.field("dependencies")
    return Registration(
        call_id=event.call_id or event.field("call_id"),
        tenant_id=event.tenant_id or event.field("tenant_id"),
        dependencies=tuple(dependencies) if isinstance(dependencies, list) else None,
    )
