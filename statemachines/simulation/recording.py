"""Recorded events on the virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from bus.event import Event
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
    read = _events(lines, path, refused)
    starts_on = simulation.connections.starts_on
    first: list[EventLine] = []
    for line in read:
        first.append(line)
        if line.event.type == CREATED or starts_on(line.event):
            break
    else:
        for connection_id in dict.fromkeys(line.event.connection_id for line in first):
            if connection_id is not None:
                simulation.register(connection_id)
    for line in _in_batches(chain(first, read)):
        simulation.advance_to(line.at)
        if line.event.type == CREATED and line.event.connection_id is not None and not starts_on(line.event):
            simulation.register(line.event.connection_id, _registration(line.event))
        else:
            simulation.publish(line.event)
    if until is not None:
        simulation.advance_to(until)
    return simulation.summary


def _in_batches(lines: Iterator[EventLine]) -> Iterator[EventLine]:
    """The same lines, read some at a time: to read and to run in turns, line by line, costs a fifth more."""
    while batch := list(islice(lines, _BATCH)):
        yield from batch


def _events(lines: Iterable[str | bytes], path: str, refused: Callable[[Problem], None]) -> Iterator[EventLine]:
    for read in read_event_lines(lines, path):
        if isinstance(read, EventLine):
            yield read
        else:
            refused(read)


def _registration(event: Event) -> Registration:
    dependencies = event.field("dependencies")
    return Registration(
        call_id=event.call_id or event.field("call_id"),
        tenant_id=event.tenant_id or event.field("tenant_id"),
        dependencies=tuple(dependencies) if isinstance(dependencies, list) else None,
    )
