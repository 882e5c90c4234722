"""A scenario as the page plays it: one connection, registered at the start, to which events and time come."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import Factory, frozen

from statemachines.errors import CannotPlay
from statemachines.exploration.events import Symbol
from statemachines.exploration.rows import Mark as Marked
from statemachines.simulation.scenario import Expect, Mark, Publish, Registration, Scenario, Wait
from statemachines.table.step import DEPENDENCY_MARKED


@frozen
class Story:
    """What a page opens with: events with their seconds, and how long it goes on, in seconds."""

    description: str = ""
    registration: Registration = Factory(Registration)
    events: tuple[tuple[float, Symbol], ...] = ()
    until: float = 0.0


def story_of(scenario: Scenario) -> Story:
    """The scenario as a story. What it expects is left out: that is ``phasebus test``'s to judge.

    :raises CannotPlay: it has other steps, or not exactly one connection
    """
    if len(scenario.connections) != 1:
        raise _refused(scenario, 0, f"a page plays one connection, and it registers {len(scenario.connections)}")
    ((connection, registration),) = scenario.connections.items()
    events = tuple(_events(scenario, connection))
    until = 0.0
    for step in scenario.steps:
        until = step.at if step.at is not None else until
        until += step.action.seconds if isinstance(step.action, Wait) else 0.0
    return Story(scenario.description, registration, events, until)


def _events(scenario: Scenario, connection: str) -> Iterator[tuple[float, Symbol]]:
    now = 0.0
    for step in scenario.steps:
        now = step.at if step.at is not None else now
        match step.action:
            case Wait(seconds=seconds):
                now += seconds
            case Publish(connection_id=known) as published if known == connection:
                yield now, Symbol(published.type, dict(published.data))
            case Publish():
                raise _refused(scenario, step.line, "a page plays one connection, and this event names another")
            case Mark(dependency=dependency):
                yield now, Marked(DEPENDENCY_MARKED, {"dependency": dependency})
            case Expect():
                pass
            case other:
                raise _refused(scenario, step.line, f"a page has no step '{type(other).__name__.lower()}'")


def _refused(scenario: Scenario, line: int, reason: str) -> CannotPlay:
    place = f"{scenario.path}:{line}:1" if line else f"{scenario.path}:1:1"
    return CannotPlay(f"{place}: error: {reason}; phasebus simulate plays it")
