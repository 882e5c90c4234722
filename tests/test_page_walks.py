"""A page plays as the simulator does: fifty random walks by its buttons, looked at after each step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from bus import Event
from statemachines.language import load_definition, shipped_definitions
from statemachines.language.definition import Definition
from statemachines.simulation.simulator import Simulation
from statemachines.table.step import Step
from statemachines.table.table import CallEffect
from tests.page_helpers import Pages, passes, script

WALKS = 50
STEPS = 14


def walks() -> Iterator[tuple[str, int]]:
    names = shipped_definitions()
    for number in range(WALKS):
        yield names[number % len(names)], number


@pytest.mark.parametrize("name", shipped_definitions())
def test_random_walks_end_where_the_simulator_ends(name: str, pages: Pages) -> None:
    definition = load_definition(name)
    seeds = [number for found, number in walks() if found == name]
    assert len(seeds) >= 4
    taken = 0
    page = pages.shipped(name)
    for seed in seeds:
        page.get_by_role("button", name="Restart", exact=True).click()
        walked = page.evaluate(script("walk.js"), [1 + 1000 * seed, STEPS])
        steps = replayed(definition, walked["log"])
        assert walked["published"] == [name for step in steps for name in effects(step, called=False)]
        assert walked["called"] == [name for step in steps for name in effects(step, called=True)]
        taken += len(walked["log"]) - 1
        assert passes(definition, walked["scenario"])
        page.get_by_role("button", name="Close", exact=True).click()
    assert taken >= 3 * len(seeds)


def effects(step: Step, *, called: bool) -> list[str]:
    """What a step published, or what it called, in order."""
    return [
        one.name if isinstance(one, CallEffect) else one.event_type
        for one in step.outcome.effects
        if isinstance(one, CallEffect) == called
    ]


def replayed(definition: Definition, log: list[dict[str, Any]]) -> list[Step]:
    """Let the simulator take the same steps, and hold everything that the page shows against it, after each."""
    steps: list[Step] = []
    simulation = Simulation(definition, watch=steps.append)
    simulation.register("conn_1")
    come = 0
    for seen in log:
        simulation.advance_to(seen["at"])
        if seen["count"] > come:
            come = seen["count"]
            happen(simulation, seen["event"])
        state = simulation.summary.connections["conn_1"]
        assert seen["configuration"] == (list(state.configuration) or ["no state"])
        assert seen["phase"] in (state.phase, "ended")
        for name, status in seen["dependencies"].items():
            assert status in (None, state.dependencies[name])
        record = simulation.connections.records.get("conn_1")
        if record is not None and not record.ended:
            assert sorted(seen["timers"]) == sorted(timer.deadline for timer in record.timers)
            remembered = dict(zip(simulation.connections.layout.remembered, record.remembered, strict=True))
            for name, value in seen["facts"]:
                if name.startswith("meta."):
                    assert json.loads(value) == remembered[name.removeprefix("meta.")]
    return steps


def happen(simulation: Simulation, event: dict[str, Any]) -> None:
    if event["kind"] == "mark":
        if not simulation.summary.connections["conn_1"].ended:
            simulation.mark("conn_1", event["dependency"])
        return
    data = YAML(typ="safe").load(event.get("data", "{}"))
    simulation.publish(Event(event["type"], "conn_1", data, timestamp=simulation.now))
