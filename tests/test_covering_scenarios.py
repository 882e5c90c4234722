"""``phasebus explore --scenarios``: few scenarios, which hold and cover all that exploring reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from statemachines import StepNeverSettles, load_definition, shipped_definitions
from statemachines.exploration import Bounds, Exploration, explore
from statemachines.exploration.covering import _Walker
from statemachines.explored_scenarios import MARK, Suite, counterexamples, covering_suite, write_scenarios
from statemachines.language.definition import Definition
from statemachines.language.loading import parse_definition
from statemachines.language.traffic import read_traffic
from statemachines.simulation.mutation import survivors
from statemachines.simulation.scenario import Publish
from statemachines.simulation.testing import Covered, Outcome, run_scenarios
from statemachines.simulation.trial import run_trial
from statemachines.table.coverage import Coverage, Goal
from tests.exploration_helpers import timed_definitions

SMALL = Bounds(1_200, 20)
"""Not all cases of every definition: it is what was reached that must be covered."""

CALL = """
name: call
dependencies:
  audio: {ready_on: media.connected, lost_on: media.lost}
states:
  waiting:
    initial: true
    after: {5s: over}
    transitions: [{cond: all_ready, target: talking}]
  talking:
    enter: [{publish: call.ready}, start_audio]
    exit: [stop_audio]
    transitions:
      - {unless: all_ready, target: waiting}
      - {event: call.ended, cond: data.code > 3, target: over}
      - {event: call.moved, unless: all_ready, target: spare}
  spare: {after: {1s: over}}
  over: {final: true}
"""


def suite_of(definition: Definition, bounds: Bounds = SMALL) -> tuple[Exploration, Suite]:
    found = explore(definition, bounds, cover=True)
    return found, covering_suite(definition, found)


def covered_by_each(definition: Definition, suite: Suite) -> Iterator[set[Goal]]:
    """What each scenario covers alone."""
    coverage = Coverage(definition)
    for written in suite.scenarios:
        coverage.covered = set()
        assert run_trial(definition, written.scenario, coverage.see).ok
        yield coverage.covered


@pytest.mark.parametrize("name", shipped_definitions())
def test_scenarios_of_shipped_definitions_hold_and_cover_all_that_was_reached(name: str, tmp_path: Path) -> None:
    found, suite = suite_of(load_definition(name))
    assert found.covering is not None
    assert found.covering.reached <= suite.coverage.covered
    write_scenarios(suite.scenarios, tmp_path, name)
    told = list(run_scenarios([tmp_path], coverage=True))
    assert [one.failures for one in told if isinstance(one, Outcome) and not one.ok] == []
    (covered,) = [one for one in told if isinstance(one, Covered)]
    assert covered.coverage.covered == suite.coverage.covered
    if found.complete:
        assert not suite.missing


@settings(max_examples=10, deadline=None)
@given(timed_definitions(), st.data())
def test_scenarios_of_random_definitions_hold_and_cover_all_that_was_reached(
    definition: Definition, data: st.DataObject
) -> None:
    try:
        found, suite = suite_of(definition, Bounds(data.draw(st.sampled_from([10, 60])), 5))
    except StepNeverSettles:
        reject()
    assert found.covering is not None
    assert found.covering.reached <= suite.coverage.covered
    assert not any(why.startswith("reached, but") for why in suite.missing.values())


@pytest.mark.parametrize(("name", "more"), [("sip_invite", 0), ("traffic_light", 1), ("tcp", 2), ("sip_dialog", 5)])
def test_there_are_hardly_more_scenarios_than_there_are_ways_to_end(name: str, more: int) -> None:
    """A connection ends once: each transition into a last state needs a scenario of its own."""
    definition = load_definition(name)
    last = [state.id for state in definition.states if state.final]
    transitions = [one for state in definition.walk() for one in state.transitions]
    transitions += [timer.transition for state in definition.walk() for timer in state.after]
    ends = sum(transition.target in last for transition in transitions)
    _, suite = suite_of(definition)
    assert len(suite.scenarios) <= ends + more


@pytest.mark.parametrize(("name", "score"), [("sip_invite", 1.0), ("traffic_light", 0.95), ("media_stream", 0.95)])
def test_they_notice_most_changes_of_the_definition_and_every_change_of_a_guard(name: str, score: float) -> None:
    definition = load_definition(name)
    _, suite = suite_of(definition)
    mutants, unnoticed = survivors(definition, [written.scenario for written in suite.scenarios])
    assert 1 - len(unnoticed) / mutants >= score
    assert [str(mutant) for mutant in unnoticed if mutant.change.startswith("guard")] == []


@pytest.mark.parametrize(("limit", "value"), [("MAX_LOOKED_AT", 1), ("_Walker._is_late", lambda walker: True)])
def test_all_is_covered_though_nothing_near_is_found(limit: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = load_definition("sip_dialog")
    _, usual = suite_of(definition)
    monkeypatch.setattr(f"statemachines.exploration.covering.{limit}", value)
    _, suite = suite_of(definition)
    assert suite.coverage.covered == usual.coverage.covered
    assert len(suite.scenarios) >= len(usual.scenarios)
    for number, alone in enumerate(each := list(covered_by_each(definition, suite))):
        others = set[Goal]().union(*each[:number], *each[number + 1 :])
        assert not alone <= others, f"{suite.scenarios[number].name} is needless"


def test_an_interrupt_leaves_the_scenarios_found_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = load_definition("sip_dialog")
    walk, walks = _Walker._walk, []

    def interrupted(walker: Any, missing: Any) -> Any:
        walks.append(walk(walker, missing))
        if len(walks) == 3:
            raise KeyboardInterrupt
        return walks[-1]

    monkeypatch.setattr(_Walker, "_walk", interrupted)
    _, suite = suite_of(definition)
    assert len(suite.scenarios) == 2
    assert set(suite.missing.values()) == {"reached, but interrupted before a way was found"}


def test_what_is_not_covered_is_told_with_the_reason() -> None:
    definition = parse_definition(CALL)
    _, suite = suite_of(definition)
    assert [suite.coverage.goals[goal] for goal in suite.missing] == [
        "spare",
        "talking: call.moved to spare",
        "spare: after 1s to over",
        "talking: call.moved to spare: unless `all_ready` was never false",
    ]
    assert set(suite.missing.values()) == {
        "not reached by any event or time-out, in any order, for a connection registered so"
    }
    _, cut = suite_of(definition, Bounds(3, None))
    assert "not reached within the bound: there are more than 3 cases" in cut.missing.values()


def test_a_state_to_which_only_a_hand_leads_is_told_so() -> None:
    text = "name: door\nstates: {shut: {initial: true, transitions: [{event: door.pushed}]}, gone: {final: true}}"
    _, suite = suite_of(parse_definition(text))
    assert list(suite.missing.values()) == ["only terminate_connection leads there"]


def test_scenarios_expect_what_each_step_did_and_at_last_everything() -> None:
    _, suite = suite_of(parse_definition(CALL))
    text = " ".join("".join(written.text for written in suite.scenarios).split())
    assert (
        "expect: {phase: talking, dependencies: {audio: ready}, published: [call.ready], called: [start_audio]}" in text
    )
    assert "not_published: [call.ready]" in text
    assert "not_called: [start_audio, stop_audio]" in text


def test_the_same_exploration_writes_the_same_files() -> None:
    definition = load_definition("sip_dialog")
    first, second = ([(written.name, written.text) for written in suite_of(definition)[1].scenarios] for _ in range(2))
    assert first == second
    assert len({name for name, _ in first}) == len(first)


def test_traffic_is_covered_as_far_as_it_goes_and_with_its_faults() -> None:
    definition = parse_definition(CALL)
    traffic = read_traffic("sources: {media: [media.connected]}\nfaults: {lose: 1}\n", "<traffic>", definition)
    suite = covering_suite(definition, explore(definition, traffic=traffic, cover=True))
    assert {suite.coverage.goals[goal] for goal in suite.coverage.covered if goal[0] == "state"} == {
        "waiting",
        "talking",
        "over",
    }
    sent = {
        step.action.type
        for written in suite.scenarios
        for step in written.scenario.steps
        if isinstance(step.action, Publish)
    }
    assert sent == {"media.connected"}
    assert any("what the traffic brings" in why for why in suite.missing.values())


def test_a_file_that_somebody_else_wrote_is_kept_and_told(tmp_path: Path) -> None:
    definition = parse_definition(CALL)
    _, suite = suite_of(definition)
    first, *others = [tmp_path / f"{written.name}.scenario.yaml" for written in suite.scenarios]
    first.write_text("steps: []\n")
    old = tmp_path / "cover_what_was.scenario.yaml"
    old.write_text(f"# {MARK}\nsteps: []\n")
    own = tmp_path / "own.scenario.yaml"
    own.write_text("steps: []\n")
    for _ in range(2):  # its own files it writes again
        files = write_scenarios(suite.scenarios, tmp_path, "call")
        assert files.kept == (first,)
        assert list(files.written) == others
        assert files.left == (old,)
    assert first.read_text() == "steps: []\n"


def test_counterexamples_are_named_by_their_property() -> None:
    definition = parse_definition(CALL + "properties: {quiet: {never: \"In('talking')\"}}\n")
    (written,) = counterexamples(definition, explore(definition, cover=True))
    assert written.name == "quiet"
    assert "- publish: media.connected\n" in written.text


def test_nothing_is_watched_when_no_scenarios_are_asked_for() -> None:
    assert explore(parse_definition(CALL)).covering is None


def test_an_answer_is_known_without_asking_the_chart_again(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = load_definition("sip_dialog")
    _, suite = suite_of(definition)
    asked = []
    again = Coverage._ask_again

    def count(*given: Any) -> Any:
        asked.append(given)
        return again(*given)

    monkeypatch.setattr(Coverage, "_ask_again", count)
    found = explore(definition, SMALL, cover=True)
    assert found.covering is not None
    assert len(asked) < found.cases
    assert covering_suite(definition, found).coverage.covered == suite.coverage.covered
