"""What exploring merges changes nothing: random charts with random properties, with all of it and with none of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from statemachines import StepNeverSettles, parse_definition
from statemachines.exploration import deferral, liveness
from statemachines.exploration.exploring import all_cases
from statemachines.exploration.findings import Findings
from statemachines.exploration.judging import Judge
from statemachines.exploration.search import Bounds, Graph, search
from statemachines.exploration.worlds import Worlds
from statemachines.language.definition import Definition, Property, Remembered, State, Trigger
from statemachines.language.expressions import parse_expression
from statemachines.table import chart, step
from tests.exploration_helpers import timed_definitions
from tests.plain_charts import PATTERNS, expressions

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
MOST = 1_500


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Circles are cut early, and so few events wait that all their orders can be tried."""
    monkeypatch.setattr(chart, "MAX_MICROSTEPS", 60)
    monkeypatch.setattr(step, "MAX_DEFERRED", 2)
    monkeypatch.setattr(deferral, "MAX_DEFERRED", 2)


@st.composite
def judged_definitions(draw: st.DrawFn, *, defers: bool) -> Definition:
    """Random definitions with random properties; some of their states defer some events."""
    definition = draw(timed_definitions())
    ids = [state.id for state in definition.walk()]

    def deferring(state: State) -> State:
        inner = tuple(deferring(child) for child in state.states)
        wanted = (
            draw(st.lists(st.sampled_from(PATTERNS), max_size=1)) if draw(st.booleans()) and not state.final else []
        )
        return evolve(state, states=inner, defer=tuple(wanted))

    if defers:
        definition = evolve(definition, states=tuple(deferring(state) for state in definition.states))
    told = Remembered((Trigger(draw(st.sampled_from(PATTERNS))),), parse_expression("data.n"))
    remember = {**definition.remember, "told": told, "unread": told}
    asked = expressions(ids)
    both = st.tuples(asked, st.sampled_from(ids)).map(
        lambda drawn: parse_expression(f"({drawn[0].text}) and In('{drawn[1]}')")
    )
    properties = {
        "always": Property(always=draw(asked)),
        "never": Property(never=draw(both)),
        "never_told": Property(never=parse_expression(f"In('{draw(st.sampled_from(ids))}') and meta.told == 1")),
        "sometimes": Property(sometimes=draw(both)),
        "reachable": Property(always_reachable=draw(st.sampled_from(ids))),
        "leads": Property(leads_to=(draw(both), draw(asked))),
        "in_time": Property(leads_to=(draw(both), draw(asked)), within=draw(st.sampled_from([1.0, 3.0, 7.0]))),
        "closes": Property(closes={f"act_{draw(st.integers(1, 6))}": f"act_{draw(st.integers(1, 6))}"}),
    }
    return evolve(definition, remember=remember, properties=properties)


def _everything(graph: Graph, definition: Definition) -> dict[str, Any]:
    world, moves = graph.world, graph.world.moves
    findings = Findings(world, graph, moves)
    judged = list(Judge(world, graph, moves, findings.entered).all())
    found = findings.exploration(definition, tuple(judged), [], 0.0)
    return {
        "verdicts": {one.name: (one.holds, one.vacuous) for one in judged},
        "ways": {one.name: _length(one) for one in judged},
        "places": set(_places(graph)),
        "dead_ends": set(found.dead_ends),
        "unfired": found.unfired_transitions,
        "conflicts": found.conflicts,
        "livelocks": found.livelocks,
    }


def _length(judged: Any) -> int | None:
    way = judged.counterexample or judged.witness
    return None if way is None else len(way.steps)


def _places(graph: Graph) -> Iterator[Any]:
    cases = graph.world.moves.cases
    for case in graph:
        situation = cases.situation(case)
        yield situation.configuration, situation.history, cases.timers.of(case), len(cases.record(case).deferred)


def compare(definition: Definition) -> None:
    try:
        plain = search(Worlds([definition]).make(None), Bounds(MOST, None))
        assume(plain.complete)
        merged = all_cases(Worlds([definition]), Bounds(None, None))
    except StepNeverSettles:
        assume(False)
    assert len(merged.cases) <= len(plain.cases)
    assert _everything(merged, definition) == _everything(plain, definition)


@settings(max_examples=200 if SOAK else 8, deadline=None, suppress_health_check=list(HealthCheck))
@given(judged_definitions(defers=False))
def test_facts_that_are_left_out_where_nothing_reads_them_change_nothing(definition: Definition) -> None:
    compare(definition)


@settings(max_examples=200 if SOAK else 8, deadline=None, suppress_health_check=list(HealthCheck))
@given(judged_definitions(defers=True))
def test_deferred_events_that_are_merged_change_nothing(definition: Definition) -> None:
    compare(definition)


LATE = """
name: late
remember: {kept: {on: {event: a.came, when: In('first')}, value: data.n}}
states:
  first: {initial: true, transitions: [{event: b.came, target: second}]}
  second: {transitions: [{event: b.came, target: third}]}
  third: {transitions: [{event: b.came, cond: meta.kept == 1, target: bad}, {event: c.came, target: good}]}
  good: {transitions: [{event: a.never, target: good}]}
  bad: {final: true}
properties:
  found: {sometimes: "In('bad')"}
"""


def test_a_fact_that_is_read_three_states_on_is_kept_until_then_and_no_longer() -> None:
    definition = parse_definition(LATE)
    merged = all_cases(Worlds([definition]), Bounds(None, None))
    plain = search(Worlds([definition]).make(None), Bounds(None, None))
    assert _everything(merged, definition) == _everything(plain, definition)
    kept = [merged.world.moves.cases.states(case) for case in merged]
    assert {kept.count(states) for states in kept} == {1, 2}, "good and bad once, the others twice: is it 1, or not?"


ORDERS = """
name: orders
dependencies:
  late: {ready_on: [{event: a.came, when: not In('closed')}, {event: b.came, when: not In('closed')}]}
states:
  closed: {initial: true, defer: [a.came, b.came], transitions: [{event: door.opened, target: open}]}
  open:
    transitions:
      - {event: a.came, unless: late, target: a_first}
      - {event: b.came, unless: late, target: b_first}
  a_first: {transitions: [{event: b.came, unless: late, target: both}]}
  b_first: {transitions: [{event: a.came, unless: late, target: wrong}]}
  both: {final: true}
  wrong: {final: true}
properties:
  in_order: {never: "In('wrong')"}
  both_come: {sometimes: "In('both')"}
"""


def test_orders_of_deferred_events_are_told_apart_as_far_as_they_lead_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(step, "MAX_DEFERRED", 8)
    monkeypatch.setattr(deferral, "MAX_DEFERRED", 8)
    definition = parse_definition(ORDERS)
    merged = all_cases(Worlds([definition]), Bounds(None, None))
    plain = search(Worlds([definition]).make(None), Bounds(None, None))
    assert _everything(merged, definition) == _everything(plain, definition)
    # Nothing, only a, only b, a before b, b before a: so many classes at most for each of eight lengths.
    assert len(merged.cases) <= 1 + 8 * 4 + 9 < len(plain.cases)


def test_where_there_are_too_many_configurations_all_facts_are_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "MAX_CONFIGURATIONS", 2)
    definition = parse_definition(LATE)
    merged = all_cases(Worlds([definition]), Bounds(None, None))
    plain = search(Worlds([definition]).make(None), Bounds(None, None))
    assert len(merged.world.moves.dead) == 1
    assert _everything(merged, definition) == _everything(plain, definition)
