"""A fact's condition and value may ask where the connection was when the event came; properties may ask anything."""

from __future__ import annotations

import pytest

from bus import Event
from statemachines import load_definition, parse_definition, shipped_definitions
from statemachines.simulation.simulator import Simulation
from statemachines.table.step import Steps

DOOR = """
name: door
dependencies: {key: {ready_on: {event: key.found, when: "In('locked')"}, lost_on: door.pushed}}
remember: {knocked_while: {on: {event: door.knocked, when: "In('locked') or In('ajar')"}, value: "In('locked')"}}
states:
  locked: {initial: true, transitions: [{cond: key, target: ajar}]}
  ajar: {transitions: [{event: door.pushed, target: wide}]}
  wide: {transitions: [{event: door.pulled, target: locked}]}
"""


def after(*events: str) -> Simulation:
    """The door after these events."""
    simulation = Simulation(parse_definition(DOOR))
    simulation.register("d")
    for event in events:
        simulation.publish(Event(event, "d"))
    return simulation


def fact(simulation: Simulation) -> object:
    return simulation.connections.records["d"].remembered[0]


def test_a_fact_is_learnt_only_where_its_condition_says() -> None:
    assert fact(after("door.knocked")) is True
    assert fact(after("key.found", "door.knocked")) is False
    assert fact(after("key.found", "door.pushed", "door.knocked")) is None


def test_a_dependency_is_ready_only_where_its_condition_says() -> None:
    assert after("key.found").summary.connections["d"].phase == "ajar"
    state = after("key.found", "door.pushed", "key.found", "door.pulled").summary.connections["d"]
    assert (state.phase, state.dependencies) == ("locked", {"key": "pending"})


@pytest.mark.parametrize("name", shipped_definitions())
def test_whatever_a_property_asks_is_counted_and_remembered(name: str) -> None:
    steps = Steps(load_definition(name))
    for wanted in steps.definition.properties.values():
        for asked in (wanted.always, wanted.never, wanted.sometimes, *(wanted.leads_to or ())):
            if asked is not None:
                guard = steps.table.compiler.guard(asked)
                assert isinstance(guard, bool) or guard(steps.blank, Event("a.b")) in (True, False)
    assert steps.table.compiler.failures == 0
