"""Scenarios written as YAML read back as they were."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from statemachines.simulation.scenario import (
    Action,
    Expect,
    Mark,
    Publish,
    Register,
    Registration,
    Scenario,
    ScenarioStep,
    Terminate,
    Wait,
)
from statemachines.simulation.scenario_file import read_scenario
from statemachines.simulation.scenario_writing import scenario_text

TEXT = st.one_of(
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12),
    st.sampled_from(["on", "null", "1.5", "#", "a: b", "~", "yes", "'", '"', "- x", "?0", "a" * 150 + " b"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=5,
)
DATA = st.dictionaries(st.sampled_from(["a", "on", "track_type"]), VALUES, max_size=3)
SECONDS = st.integers(1, 10**9).map(lambda microseconds: round(microseconds / 10**6, 6))
NAMES = st.sampled_from(["conn_1", "other", "7", "on"])
EVENTS = st.sampled_from(["call.ended", "media.seen"])
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(Publish, EVENTS, NAMES, DATA, st.none() | st.just("7"), st.none() | st.just("null")),
    st.builds(Wait, SECONDS),
    st.builds(Mark, NAMES, st.just("media")),
    st.builds(Terminate, NAMES, st.none() | st.just("late: very")),
    st.builds(Register, NAMES, st.builds(Registration, metadata=DATA, dependencies=st.none() | st.just(("media",)))),
    st.builds(
        Expect,
        NAMES,
        phase=st.none() | st.just("on"),
        configuration=st.just(("a", "b")),
        published=st.just(()) | st.just(("call.ended",)),
    ),
)
SCENARIOS = st.builds(
    Scenario,
    definition=st.none(),
    connections=st.fixed_dictionaries({name: st.just(Registration()) for name in ("conn_1", "other", "7", "on")}),
    steps=st.lists(st.builds(ScenarioStep, ACTIONS), max_size=5).map(tuple),
    description=TEXT,
)


@given(SCENARIOS)
def test_what_is_written_reads_back_as_it_was(scenario: Scenario) -> None:
    read = read_scenario(scenario_text(scenario), scenario.path)
    assert evolve(read, steps=tuple(evolve(step, line=0) for step in read.steps)) == scenario


def test_the_only_connection_is_not_named_in_each_step() -> None:
    steps = (
        ScenarioStep(Publish("call.ended", "a")),
        ScenarioStep(Publish("call.ended", None)),
        ScenarioStep(Publish("call.ended", "a", call_id="7")),
        ScenarioStep(Mark("a", "media")),
        ScenarioStep(Expect("a", phase="on")),
    )
    scenario = Scenario(None, {"a": Registration()}, steps)
    text = scenario_text(scenario, ["found  by\nhand"])
    assert text.startswith("# found by hand\nconnections:")
    assert text.count("connection: a") == 1  # beside a call id it must be there
    assert text.count("connection:\n") == 1  # and where there is none, too
    read = read_scenario(text, scenario.path)
    assert evolve(read, steps=tuple(evolve(step, line=0) for step in read.steps)) == scenario
