"""What explore finds is what a machine of python-statemachine can be driven to, and every way that it tells replays."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, assume, given, settings

from statemachines.connections.consequences import PHASE_CHANGED
from statemachines.exploration.stories import tell
from statemachines.explored_scenarios import Written, play
from statemachines.language.definition import Definition
from statemachines.simulation.scenario_file import read_scenario
from statemachines.simulation.simulator import Simulation, run_scenario
from statemachines.table import chart
from statemachines.table.step import Steps, dependency_status
from tests import exploration_reference
from tests.exploration_helpers import (
    EVERY_EVENT,
    Plain,
    PlainTable,
    dependencies_that_matter,
    explored,
    place,
    timed_definitions,
)
from tests.plain_charts import DEPENDENCIES

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"


def examples(usual: int, soak: int) -> settings:
    return settings(max_examples=soak if SOAK else usual, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def circles_are_cut_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random charts are small and often go in circles: a thousand rounds each time would take most of the time."""
    monkeypatch.setattr(chart, "MAX_MICROSTEPS", 60)
    monkeypatch.setattr(exploration_reference, "MAX_TRANSITIONS", 60)
    monkeypatch.setattr(exploration_reference, "EVENTS", EVERY_EVENT)


@examples(5, 500)
@given(timed_definitions())
def test_the_same_is_reached_as_by_driving_the_library_through_everything(definition: Definition) -> None:
    compare(definition, Plain(definition), cases=40, spots=80)


@examples(6, 500)
@given(timed_definitions())
def test_the_same_is_reached_as_by_driving_the_table_through_everything(definition: Definition) -> None:
    compare(definition, PlainTable(definition), cases=400, spots=1_500)


def compare(definition: Definition, plain: Plain, *, cases: int, spots: int) -> None:
    # What is driven here does not hear what it publishes.
    assume(not Steps(definition).plan(PHASE_CHANGED).named)
    world, graph = explored(definition, cases)
    assume(graph.complete)
    found = plain.explore(spots)
    assume(found is not None)
    assert found is not None
    wanted = dependencies_that_matter(world)
    theirs = {
        (spot.configuration, tuple(dict(zip(DEPENDENCIES, spot.status, strict=True))[name] for name in wanted))
        for spot in found
    }
    assert {place(world, case) for case in graph} == theirs


@examples(6, 300)
@given(timed_definitions())
def test_every_way_replays_in_the_simulation(definition: Definition) -> None:
    world, graph = explored(definition, 150)
    facts = world.moves.relevance.facts.dependencies
    for number in range(0, len(graph.cases), max(1, len(graph.cases) // 6)):
        way = tell(world, graph, graph.path(number))
        scenario = read_scenario(Written("way", play(definition, way)[0]).text, "<told>", definition)
        summary = run_scenario(Simulation(definition), scenario)
        assert summary.failed_expectations == 0, (way, summary)
        if not world.moves.ended(graph.cases[number]):
            record = world.moves.cases.record(graph.cases[number])
            for name, bit in world.moves.steps.layout.bits.items():
                if facts & bit and not world.moves.cases.timers.of(graph.cases[number])[:1]:
                    status = summary.connections["conn_1"].dependencies[name]
                    assert status == dependency_status(record, bit), (way, name)
