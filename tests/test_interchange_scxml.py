"""An exported chart goes the same way in python-statemachine's SCXML reader as in the table."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bus import Event
from statemachines import StepNeverSettles, load_definition, parse_definition, shipped_definitions
from statemachines.errors import CannotExport
from statemachines.interchange.naming import state_id
from statemachines.interchange.scxml import render_scxml
from statemachines.language.definition import Call, Definition, State
from statemachines.table.record import Identity
from statemachines.table.step import Steps
from tests.plain_charts import RICH, actions_of, definitions
from tests.scxml_machine import Circle, ScxmlMachine

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
"""Not shrinking: a chart takes python-statemachine's reader tens of milliseconds."""


def in_reading_order(states: tuple[State, ...]) -> tuple[State, ...]:
    """python-statemachine reads <state> before <final> before <parallel> among siblings; SCXML reads as written."""
    inner = [evolve(state, states=in_reading_order(state.states)) for state in states]
    return tuple(sorted(inner, key=lambda state: 2 if state.parallel else 1 if state.final else 0))


def without_odd_internals(states: tuple[State, ...]) -> tuple[State, ...]:
    """An internal transition to its own state is refused, and has a test of its own."""
    return tuple(
        evolve(
            state,
            states=without_odd_internals(state.states),
            transitions=tuple(evolve(t, internal=t.internal and t.target != state.id) for t in state.transitions),
            after=tuple(evolve(a, transition=evolve(a.transition, internal=False)) for a in state.after),
        )
        for state in states
    )


def go_the_same_way(definition: Definition, document: str, actions: list[tuple[str, Any, int]]) -> None:
    steps = Steps(definition)
    layout = steps.layout
    machine = ScxmlMachine(document, [state_id(name) for name in layout.ids])
    identity = Identity("c", None, None, None, {}, 0.0)
    created = Event("connection.created", "c")
    try:
        step = steps.register(identity, layout.required_by_default, created, at=0, now=0)
    except StepNeverSettles:
        with pytest.raises(Circle):
            machine.start()
        return
    same(step, machine, machine.start())
    record = step.after
    for kind, what, number in actions:
        if record.situation.final or (kind == "timer" and not record.timers):
            continue
        timer = record.timers[what % len(record.timers)] if kind == "timer" else None
        event = Event(what, "c", {"n": number}) if timer is None else Event("timer.fired", "c")
        try:
            if timer is None:
                step = steps.event(record, event, at=0, now=0)
            else:
                step = steps.fire(record, timer, event, at=0, now=0)
        except StepNeverSettles:
            with pytest.raises(Circle):
                send(machine, layout, timer, what, number)
            return
        same(step, machine, send(machine, layout, timer, what, number))
        record = step.after


def send(machine: ScxmlMachine, layout: Any, timer: Any, what: str, number: int) -> list[tuple[str, dict[str, Any]]]:
    if timer is None:
        return machine.send(what, {"n": number})
    position = layout.timers_of[timer.spec.state].index(timer.spec)
    return machine.fire(f"Timer.{state_id(layout.ids[timer.spec.state])}.{position}")


def same(step: Any, machine: ScxmlMachine, sent: list[tuple[str, dict[str, Any]]]) -> None:
    assert machine.configuration == [state_id(name) for name in step.after.situation.configuration]
    assert sent == [(name, data or {}) for name, data in step.effects()]


@pytest.mark.slow
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=PHASES,
)
@given(definitions(), st.lists(actions_of, max_size=25))
def test_random_charts_go_the_same_way(definition: Definition, actions: list[tuple[str, Any, int]]) -> None:
    definition = evolve(definition, states=in_reading_order(without_odd_internals(definition.states)))
    go_the_same_way(definition, render_scxml(definition), actions)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=PHASES,
)
@given(st.lists(actions_of, min_size=5, max_size=60))
def test_regions_histories_and_ends_go_the_same_way(actions: list[tuple[str, Any, int]]) -> None:
    definition = parse_definition(RICH)
    go_the_same_way(definition, render_scxml(definition), actions)


SHIPPED = shipped_definitions()


@pytest.mark.parametrize("name", SHIPPED)
@settings(
    max_examples=40 if SOAK else 12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=PHASES,
)
@given(st.data())
def test_shipped_definitions_go_the_same_way(name: str, data: st.DataObject) -> None:
    definition = shipped(name)
    go_the_same_way(definition, render_scxml(definition), data.draw(steps_of(definition)))


shipped = cache(load_definition)


def steps_of(definition: Definition) -> st.SearchStrategy[list[tuple[str, Any, int]]]:
    """Random events of those that a definition names."""
    names = {event for state in definition.walk() for t in state.transitions for event in t.event}
    for dependency in definition.dependencies.values():
        names |= {t.event for t in (*dependency.ready_on, *dependency.lost_on, *dependency.failed_on)}
    names = {name.replace("*", "something_else") for name in names if not name.startswith("done.state.")}
    events = st.tuples(st.just("event"), st.sampled_from(sorted(names)), st.integers(0, 3))
    return st.lists(
        st.one_of(events, events, events, st.tuples(st.just("timer"), st.integers(0, 3), st.just(0))), min_size=15
    )


def test_a_hook_and_an_event_are_told_apart() -> None:
    definition = parse_definition("name: one\nstates:\n  only: {initial: true, enter: [hello], final: true}\n")
    assert definition.states[0].enter == (Call("hello"),)
    assert '<send event="hello" target="#_parent" />' in render_scxml(definition)


TIMED = """
name: timed
timeouts: {ring: 90s}
states:
  calling:
    initial: true
    after: {1s: {backoff: 2, max: 3s, target: waiting}, ring: waiting, 1.5m: waiting}
  waiting: {transitions: [{event: call.tried, target: calling}]}
"""


def delays(machine: ScxmlMachine) -> dict[str, float]:
    queue = machine.machine._engine.external_queue.queue.queue
    return {str(timer.send_id): timer.event.delay for timer in queue if not timer.cancelled}


def test_timers_are_delayed_as_the_definition_says_and_end_with_their_state() -> None:
    machine = ScxmlMachine(render_scxml(parse_definition(TIMED)), ["calling", "waiting"])
    machine.start()
    seen = [delays(machine)]
    for _ in range(3):
        machine.fire("Timer.calling.0")
        assert delays(machine) == {}
        machine.send("call.tried")
        seen.append(delays(machine))
    assert [found["Timer.calling.0"] for found in seen] == [1000, 2000, 3000, 3000]
    assert {(found["Timer.calling.1"], found["Timer.calling.2"]) for found in seen} == {(90_000, 90_000)}


HARD = """
name: hard
remember: {n: {on: n.told, value: data.n}}
dependencies: {high: {ready_on: {event: n.told, when: data.n > 10}}}
states:
  a:
    initial: true
    transitions:
      - {cond: "meta.n / 2 > 3 and not In('b')", target: b}
      - {event: n.asked, cond: "data.text == 'null && true'", target: b}
      - {event: n.asked, cond: "data.text in ['one', 'two'] or data.n is not None", target: c}
  b:
    final: true
    enter: [{publish: {event: b.entered, data: {twice: {expr: meta.n * 2}, deep: [{x: {expr: meta.n}}, null]}}}]
  c:
    enter: [{publish: {event: c.entered, data: {sum: {expr: data.n + data.text}}}}]
    transitions: [{event: n.told, target: a}]
"""


@pytest.mark.parametrize(
    "told",
    [
        [("n.told", {"n": 8})],
        [("n.told", {"n": 6}), ("n.asked", {"text": "null && true"})],
        [("n.told", {"n": "text"}), ("n.asked", {"text": "one"}), ("n.told", {"n": 11})],
        [("n.told", {}), ("n.asked", {"n": 1, "text": "a"}), ("n.told", {"n": None}), ("n.asked", {"text": "three"})],
        [("n.told.more", {"n": 8}), ("n.asked", {"n": 1})],
    ],
)
def test_what_cannot_be_evaluated_is_false_there_too(told: list[tuple[str, dict[str, Any]]]) -> None:
    definition = parse_definition(HARD)
    steps = Steps(definition)
    machine = ScxmlMachine(render_scxml(definition), list(steps.layout.ids))
    identity = Identity("c", None, None, None, {}, 0.0)
    step = steps.register(identity, steps.layout.required_by_default, Event("connection.created", "c"), at=0, now=0)
    same(step, machine, machine.start())
    for name, data in told:
        step = steps.event(step.after, Event(name, "c", data), at=0, now=0)
        same(step, machine, machine.send(name, data))


def test_names_that_mean_something_to_the_reader_are_renamed() -> None:
    definition = parse_definition(
        "name: x\nstates:\n  model: {initial: true, transitions: [{event: a.b, target: states}]}\n"
        "  states: {transitions: [{event: a.b, cond: \"In('states')\", target: model}]}\n"
    )
    go_the_same_way(definition, render_scxml(definition), [("event", "a.b", 0)] * 3)


def test_an_expression_without_words_in_scxml_is_refused() -> None:
    cond, message = "'a' in data.list", "needs a list written out"
    text = f'name: x\nstates: {{a: {{initial: true, transitions: [{{event: a.b, cond: "{cond}", target: a}}]}}}}\n'
    with pytest.raises(CannotExport, match=message):
        render_scxml(parse_definition(text))


FIRST = """
name: first
dependencies: {told: call.told}
states:
  a:
    initial: true
    transitions:
      - {event: "call.told.*", target: c}
      - {event: call.told, target: b}
      - {cond: told, target: c}
  b: {transitions: [{event: "call.*", target: a}]}
  c: {transitions: [{event: call.told.early, target: a}]}
"""


@pytest.mark.parametrize("events", [["call.told"], ["call.told.early"], ["call.told.early.more"], ["call.tolder"]])
def test_the_event_comes_before_what_its_facts_enable_and_names_match_whole(events: list[str]) -> None:
    definition = parse_definition(FIRST)
    go_the_same_way(definition, render_scxml(definition), [("event", event, 0) for event in [*events, *events]])


def test_an_event_that_also_enables_another_way_leads_to_its_own_target() -> None:
    machine = ScxmlMachine(render_scxml(parse_definition(FIRST)), ["a", "b", "c"])
    machine.start()
    machine.send("call.told")
    assert machine.configuration == ["b"]
