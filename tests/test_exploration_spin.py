"""What explore finds and says is what an independent model checker finds and says: Spin, over the table in Promela."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from statemachines import parse_definition
from statemachines.exploration.clocks import NANOSECONDS, rank, whole
from statemachines.exploration.exploring import all_cases
from statemachines.exploration.judging import Judge, Predicate
from statemachines.exploration.search import Bounds, World
from statemachines.exploration.worlds import Worlds
from statemachines.language.definition import Definition, Property
from statemachines.language.expressions import Expression, parse_expression
from statemachines.table import chart
from tests import promela
from tests.exploration_helpers import Place, dependencies_that_matter, explored, place, timed_definitions
from tests.plain_charts import DEPENDENCIES, expressions
from tests.promela_rows import TooLarge

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
FEWEST_CASES, MOST_CASES = 15, 400

pytestmark = [
    pytest.mark.skipif(
        bool(promela.MISSING) and not SOAK,
        reason=f"not installed: {' '.join(promela.MISSING)} (apt-get install spin gcc)",
    ),
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),  # of the definition on which they differ
]


@pytest.fixture(autouse=True)
def circles_are_cut_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random charts often go in circles: a thousand rounds each time would take most of the time."""
    monkeypatch.setattr(chart, "MAX_MICROSTEPS", 60)


@st.composite
def judged_definitions(draw: st.DrawFn) -> Definition:
    """Random definitions, each with something that is never to be and something that is always to be."""
    definition = draw(timed_definitions())
    ids = [state.id for state in definition.walk()]
    never = parse_expression(f"({draw(expressions(ids)).text}) and In('{draw(st.sampled_from(ids))}')")
    return evolve(
        definition, properties={"never": Property(never=never), "always": Property(always=draw(expressions(ids)))}
    )


@settings(
    max_examples=100 if SOAK else 3,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a smaller chart is not worth a hundred compilations
)
@given(judged_definitions())
def test_spin_reaches_the_same_and_violates_the_same_as_soon(definition: Definition) -> None:
    try:
        with tempfile.TemporaryDirectory() as folder:
            compare(_with_the_last(definition), Path(folder))
    except TooLarge:
        assume(False)


def _with_the_last(definition: Definition) -> Definition:
    """The same with one more that is never to be: the case that was found last, since random ones are soon violated."""
    world, graph = explored(definition, MOST_CASES)
    assume(graph.complete and len(graph.cases) >= FEWEST_CASES)
    # A state that a history enters again without leaving it first has its timer twice; the model has one clock for it.
    assume(not any(_has_a_timer_twice(world, case) for case in graph.cases))
    configuration, statuses = place(world, graph.cases[-1])
    known = zip(dependencies_that_matter(world), statuses, strict=True)
    asked = [*(f"In('{state}')" for state in configuration), *(f"{a} == {status == 'ready'}" for a, status in known)]
    last = Property(never=parse_expression(" and ".join(asked)))
    return evolve(definition, properties={**definition.properties, "last": last})


def compare(definition: Definition, folder: Path) -> None:
    world, graph = explored(definition, 20_000)
    assert graph.complete
    model = promela.Model(definition)
    found = promela.search(model.text(_wrong(definition)), folder)
    wanted = [DEPENDENCIES.index(name) for name in dependencies_that_matter(world)]
    assert {_place(world, case) for case in graph} == {_place_of(model, case, wanted) for case in found.cases}
    assert _violated(definition) == found.violated


Clock = tuple[tuple[int, int, int], ...]


def _has_a_timer_twice(world: World, case: int) -> bool:
    timers = [timer for _, timer in world.moves.cases.timers.of(case)]
    return len(timers) != len(set(timers))


def _place(world: World, case: int) -> tuple[Place, Clock]:
    timers = world.moves.cases.timers.of(case)
    clock = tuple((timer, whole(left) // NANOSECONDS, rank(left)) for left, timer in timers)
    return place(world, case), () if world.moves.ended(case) else clock


def _place_of(model: promela.Model, case: promela.Case, wanted: list[int]) -> tuple[Place, Clock]:
    situation = model.rows.situations[case.situation]
    statuses = tuple(case.statuses[number] for number in wanted)
    return (situation.configuration, statuses), () if situation.final else case.clock


TIMED = """
name: timed
dependencies:
  a: {ready_on: [{event: x.one, when: data.n > 0}], lost_on: y.one}
  b: {ready_on: x.two, failed_on: z.one}
  c: {ready_on: z.one}
remember: {kept: {on: x.two, value: data.n}}
states:
  both:
    initial: true
    parallel: true
    transitions: [{event: y.deep.one, cond: all_ready and visits.on < 3, target: both}]
    states:
      left:
        states:
          off: {initial: true, after: {3s: on}}
          on: {after: {2s: {target: gone, cond: meta.kept < 2}}, transitions: [{event: z.one, target: off}]}
      right:
        states:
          idle: {initial: true, transitions: [{event: x.two, target: busy}]}
          busy: {after: {1s: {target: idle, unless: In('on')}}}
  gone: {final: true}
properties:
  both_at_once: {never: a and In('on') and In('busy')}
  not_gone_with_b: {always: "not (In('gone') and b and any_failed)"}
"""


def test_spin_agrees_about_regions_timers_and_all_that_guards_can_read(tmp_path: Path) -> None:
    compare(parse_definition(TIMED), tmp_path)


def test_a_row_that_is_missing_stops_spin(tmp_path: Path) -> None:
    model = promela.Model(parse_definition(TIMED))
    del model.rows.of[0][0]
    with pytest.raises(AssertionError, match="invalid end state"):
        promela.search(model.text([]), tmp_path)


def _wrong(definition: Definition) -> list[tuple[Expression, bool]]:
    """For each property an expression, and what it must not come out as at rest."""
    properties = definition.properties.values()
    asked = [(one.never or one.always, one.never is not None) for one in properties]
    return [(expression, wrong) for expression, wrong in asked if expression is not None]


def _violated(definition: Definition) -> dict[int, int]:
    """By explore, which properties are violated, and after how many moves."""
    graph = all_cases(Worlds([definition]), Bounds(None, None))
    judge = Judge(graph.world, graph, graph.world.moves, frozenset())
    violated = {}
    for number, (judged, (expression, wrong)) in enumerate(zip(judge.all(), _wrong(definition), strict=True)):
        if not judged.holds:
            outcome = Predicate(graph.world.moves, expression)
            violated[number] = next(len(graph.path(n)) - 1 for n, case in enumerate(graph) if outcome(case) is wrong)
    return violated
