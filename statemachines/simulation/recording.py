"""Recorded events on the virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bus.event import Event
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
    events: list[EventLine] = []
    for read in read_event_lines(lines, path):
        if isinstance(read, EventLine):
            events.append(read)
        else:
            refused(read)
    starts_on = simulation.connections.starts_on
    if not any(line.event.type == CREATED or starts_on(line.event) for line in events):
        for connection_id in dict.fromkeys(line.event.connection_id for line in events):
            if connection_id is not None:
                simulation.register(connection_id)
    for line in events:
        simulation.advance_to(line.at)
        if line.event.type == CREATED and line.event.connection_id is not None and not starts_on(line.event):
            simulation.register(line.event.connection_id, _registration(line.event))
        else:
            simulation.publish(line.event)
    if until is not None:
        simulation.advance_to(until)
    return simulation.summary


def _registration(event: Event) -> Registration:
    dependencies = event.field("dependencies")
    return Registration(
        call_id=event.call_id or event.field("call_id"),
        tenant_id=event.tenant_id or event.field("tenant_id"),
        dependencies=tuple(dependencies) if isinstance(dependencies, list) else None,
    )
