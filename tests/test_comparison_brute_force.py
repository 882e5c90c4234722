"""Two definitions are told apart exactly where driving both side by side tells them apart."""

from __future__ import annotations

import os
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from statemachine.exceptions import InvalidDefinition

from statemachines import StepNeverSettles
from statemachines.comparison import Comparison, compare
from statemachines.exploration.search import Bounds
from statemachines.language.definition import Definition, Publish
from statemachines.language.expressions import Expression, parse_expression
from statemachines.simulation.mutation import mutants
from statemachines.table import chart
from statemachines.table.step import Steps
from tests.comparison_helpers import Both, lives, stimuli_of
from tests.exploration_helpers import EVERY_EVENT, NUMBERS, timed_definitions

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
STIMULI: list[tuple[str, Any]] = [
    (event_type, {} if number is None else {"n": number}) for event_type in EVERY_EVENT for number in NUMBERS
]


def examples(usual: int, soak: int) -> settings:
    # To shrink a random chart takes minutes.
    phases = list(Phase) if SOAK else [Phase.explicit, Phase.reuse, Phase.generate]
    return settings(
        max_examples=soak if SOAK else usual,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=phases,
    )


@pytest.fixture(autouse=True)
def circles_are_cut_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random charts are small and often go in circles: a thousand rounds each time would take most of the time."""
    monkeypatch.setattr(chart, "MAX_MICROSTEPS", 60)


def compared(old: Definition, new: Definition, most: int = 150 if SOAK else 50) -> Comparison:
    try:
        found = compare(old, new, bounds=Bounds(most, None))
    except StepNeverSettles:
        assume(False)
    assume(found.complete)
    return found


@st.composite
def deployments(draw: st.DrawFn) -> tuple[Definition, Definition]:
    """A definition and what one change in it makes of it."""
    old = draw(timed_definitions())
    if draw(st.booleans()):
        old = telling(old)
    changed = list(mutants(old))
    assume(changed)
    new = draw(st.sampled_from(changed)).definition
    try:
        Steps(new)
    except InvalidDefinition:  # an internal transition whose other target is outside
        assume(False)
    return old, new


def telling(definition: Definition) -> Definition:
    """The definition with events published in the place of hooks, of what is known and of what came."""
    data = {"n": parse_expression("data.n"), "kept": parse_expression("meta.kept")}

    def told(actions: Any) -> Any:
        return tuple(Publish(f"told.{one.name}", data) for one in actions)

    def states(some: Any) -> Any:
        return tuple(
            evolve(
                state,
                enter=told(state.enter),
                states=states(state.states),
                transitions=tuple(evolve(one, on=told(one.on)) for one in state.transitions),
            )
            for state in some
        )

    return evolve(definition, states=states(definition.states))


@examples(3, 400)
@given(deployments())
def test_what_driving_both_tells_apart_is_told_apart_as_soon(pair: tuple[Definition, Definition]) -> None:
    found = compared(*pair)
    both = Both(*pair)
    fates = {one.configuration: one.fate for one in found.configurations}
    nearest: dict[tuple[str, ...], int] = {}
    for stand in lives(both.old, STIMULI, depth=2, most=8):
        configuration = stand.record.situation.configuration
        assert configuration in fates, "exploring did not find where driving leads"
        carried = both.deploy(stand)
        if carried is None:
            assert fates[configuration].verdict == "gone"
            continue
        apart = both.apart_by(stand, carried, STIMULI, most=2)
        if apart is not None:
            nearest[configuration] = min(apart, nearest.get(configuration, apart))
    for configuration, apart in nearest.items():
        difference = fates[configuration].difference
        assert difference is not None, f"{configuration} is told apart by {apart}"
        assert len(difference.events) <= apart


@examples(5, 600)
@given(deployments())
def test_the_events_that_tell_two_apart_replay_and_really_differ(pair: tuple[Definition, Definition]) -> None:
    found = compared(*pair)
    both = Both(*pair)
    for one in found.configurations:
        difference = one.fate.difference
        assert (difference is not None) == (one.fate.cases["changed"] > 0)
        if difference is not None:
            old, new = both.replay(stimuli_of(list(difference.way)), stimuli_of(list(difference.events)))
            assert old != new, (one.configuration, difference)


@examples(4, 200)
@given(timed_definitions())
def test_a_definition_written_otherwise_is_the_same_everywhere(definition: Definition) -> None:
    found = compared(definition, rewritten(definition))
    assert {one.fate.verdict for one in found.configurations} <= {"same"}
    assert found.registered.verdict == "same"
    assert found.pairs > 0, "only the search says so here"


def rewritten(definition: Definition) -> Definition:
    """The same, with guards of other words and the same truth, and its facts declared in another order."""

    def doubled(guard: Expression | None) -> Expression | None:
        return None if guard is None else parse_expression(f"not (not ({guard.text}))")

    def states(some: Any) -> Any:
        return tuple(
            evolve(
                state,
                states=states(state.states),
                transitions=tuple(
                    evolve(one, cond=doubled(one.cond), unless=doubled(one.unless)) for one in state.transitions
                ),
            )
            for state in some
        )

    return evolve(
        definition,
        states=states(definition.states),
        dependencies=dict(reversed(list(definition.dependencies.items()))),
    )
