"""A fact's condition, and a value, may ask where the connection was when the event came."""

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
  wide:
    enter: [{publish: {event: door.moved, data: {from_ajar: {expr: "In('ajar')"}}}}]
    transitions: [{event: door.pulled, target: locked}]
"""


def after(*events: str) -> tuple[Simulation, list[dict[str, object]]]:
    """The door after these events, and what it published of its own."""
    told: list[dict[str, object]] = []
    simulation = Simulation(
        parse_definition(DOOR),
        lambda entry: told.append(dict(entry.details)) if entry.details.get("type") == "door.moved" else None,
    )
    simulation.register("d")
    for event in events:
        simulation.publish(Event(event, "d"))
    return simulation, told


def fact(simulation: Simulation) -> object:
    return simulation.connections.records["d"].remembered[0]


def test_a_fact_is_learnt_only_where_its_condition_says() -> None:
    assert fact(after("door.knocked")[0]) is True
    assert fact(after("key.found", "door.knocked")[0]) is False
    assert fact(after("key.found", "door.pushed", "door.knocked")[0]) is None


def test_a_dependency_is_ready_only_where_its_condition_says() -> None:
    assert after("key.found")[0].summary.connections["d"].phase == "ajar"
    state = after("key.found", "door.pushed", "key.found", "door.pulled")[0].summary.connections["d"]
    assert (state.phase, state.dependencies) == ("locked", {"key": "pending"})


def test_a_value_that_is_published_knows_where_the_step_began() -> None:
    assert after("key.found", "door.pushed")[1] == [{"type": "door.moved", "data": {"from_ajar": True}}]


@pytest.mark.parametrize("name", shipped_definitions())
def test_whatever_a_property_asks_is_counted_and_remembered(name: str) -> None:
    steps = Steps(load_definition(name))
    for wanted in steps.definition.properties.values():
        for asked in (wanted.always, wanted.never, wanted.sometimes, *(wanted.leads_to or ())):
            if asked is not None:
                guard = steps.table.compiler.guard(asked)
                assert isinstance(guard, bool) or guard(steps.blank, Event("a.b")) in (True, False)
    assert steps.table.compiler.failures == 0
