"""What a rule says never happens does not happen: random charts, driven by random events, against what was found.

An error refuses a file, so that one found wrongly would refuse a good one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from bus import Event
from statemachines import StepNeverSettles
from statemachines.errors import Problem
from statemachines.language.definition import Definition, Transition
from statemachines.language.expressions import Expression
from statemachines.language.places import Placed
from statemachines.language.rules import find_rule
from statemachines.language.source import Location, Source
from statemachines.language.truth import Asked
from statemachines.table.compiling import Compiler
from statemachines.table.layout import Layout
from statemachines.table.record import Identity, Record
from statemachines.table.step import Step, Steps
from statemachines.table.truth import truth_of
from tests.statechart_strategies import definitions, expressions, happenings

Driven = list[tuple[str, Any, int]]


def drive(definition: Definition, actions: Driven) -> Iterator[Step]:
    """The steps of one connection; none more once a step never settles."""
    steps = Steps(definition)
    identity = Identity("c", None, None, None, {}, 0.0)
    try:
        step = steps.register(identity, steps.layout.required_by_default, Event("connection.created", "c"), at=0, now=0)
        yield step
        for kind, what, number in actions:
            record = step.after
            if kind == "timer" and record.timers:
                timer = record.timers[what % len(record.timers)]
                step = steps.fire(record, timer, Event("timer.fired", "c"), at=0, now=0)
            elif kind == "event":
                step = steps.event(record, Event(what, "c", {"n": number}), at=0, now=0)
            yield step
    except StepNeverSettles:
        return


def at(definition: Definition, rule: str) -> set[Location]:
    """Where a rule finds something in a definition that was never a file."""
    placed = Placed(definition, Source("random", data={}), truth=truth_of(definition))
    return {found.location for found in find_rule(rule).check(placed)}


def known_in_order(definition: Definition) -> list[Transition]:
    """The transitions as the table numbers them: those of each state, its timers last, the states in document order."""
    return [
        transition
        for state in definition.walk()
        for transition in (*state.transitions, *(after.transition for after in state.after))
    ]


def transitions(definition: Definition) -> dict[Location, Transition]:
    placed = Placed(definition, Source("random", data={}))
    return {moved.at: moved.transition for moved in placed.transitions}


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), definitions(), happenings(40))
def test_what_never_happens_does_not(data: st.DataObject, definition: Definition, actions: Driven) -> None:
    """One connection is driven for all rules at once, since drawing a chart costs the most."""
    states = [state.id for state in definition.walk()]
    guard, owner = data.draw(expressions(states)), data.draw(st.sampled_from(states))
    definition = _with(definition, Transition(event=("unheard.of",), cond=guard))
    truth, known = truth_of(definition), transitions(definition)
    unreachable = {location[-1] for location in at(definition, "unreachable-state")}
    shadowed = [known[location] for location in at(definition, "shadowed-transition")]
    never_ready = {location[-1] for location in at(definition, "dependency-never-ready")}
    said = truth((guard,), Asked(owner))
    for name, some in (("unreachable", unreachable), ("shadowed", shadowed), ("never ready", never_ready)):
        event(f"{name}: {bool(some)}")
    for step in drive(definition, actions):
        after, layout = step.after, step.layout
        assert unreachable.isdisjoint(after.situation.configuration)
        taken = [known_in_order(definition)[number] for number in step.outcome.transitions]
        assert not any(one is other for one in taken for other in shadowed)
        assert not any(after.ready & layout.bits[str(name)] for name in never_ready)
        if owner in after.situation.configuration:
            assert said is None or (_evaluate(layout, guard, after, step.event),) in said, str(guard)


def _with(definition: Definition, transition: Transition) -> Definition:
    """The definition with one transition more, so that what its guard reads is counted and remembered."""
    first, *rest = definition.states
    return evolve(definition, states=(evolve(first, transitions=(*first.transitions, transition)), *rest))


def _evaluate(layout: Layout, guard: Expression, record: Record, happened: Event) -> bool:
    inside = {name: name in record.situation.configuration for name, _ in guard.states}
    compiled = Compiler(layout).guard(guard, inside)
    return compiled if isinstance(compiled, bool) else compiled(record, happened)


def test_problems_sort_with_and_without_a_rule() -> None:
    assert sorted([Problem("f", 1, 1, "error", "m", "r"), Problem("f", 1, 1, "error", "m")])[0].rule == ""
