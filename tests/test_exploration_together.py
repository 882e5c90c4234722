"""Several definitions on one bus: they hear each other, share one clock, and keep their own ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings

from statemachines import StepNeverSettles, load_definition, parse_definition
from statemachines.exploration import explore_together
from statemachines.exploration.result import properties_of
from statemachines.exploration.search import Bounds, search
from statemachines.exploration.together import Together
from statemachines.exploration.worlds import Worlds
from statemachines.language.definition import Definition
from statemachines.language.traffic import read_traffic
from statemachines.table import chart
from tests.cli_helpers import Command
from tests.exploration_helpers import timed_definitions

CALL = """
name: call
states:
  ringing: {initial: true, transitions: [{event: call.answered, target: talking, on: [{publish: billing.started}]}]}
  talking: {transitions: [{event: call.ended, target: over}, {event: credit.exhausted, target: over}]}
  over: {final: true}
properties:
  nobody_talks_for_ever: {leads_to: ["In('talking')", "In('over')"], within: 60s}
"""
BILLING = """
name: billing
states:
  idle: {initial: true, transitions: [{event: billing.started, target: counting}]}
  counting: {after: {60s: {target: empty, on: [{publish: credit.exhausted}]}}}
  empty: {final: true}
properties:
  counts: {sometimes: "In('counting')"}
"""


def test_what_one_publishes_the_other_hears() -> None:
    found = explore_together([parse_definition(CALL), parse_definition(BILLING)])
    assert found.complete
    judged = {one.name: one for one in found.properties}
    assert judged["billing.counts"].witness is not None
    assert judged["billing.counts"].witness.steps == ("billing.started",)
    assert judged["billing.counts"].witness.phases == ("ringing + counting",)
    # Somebody may start the billing long before the call is answered: then nothing ends it.
    assert judged["call.nobody_talks_for_ever"].holds is False


@pytest.mark.parametrize("texts", [(CALL,), (CALL, BILLING)])
def test_properties_have_the_names_that_an_exploration_has_for_them(texts: tuple[str, ...]) -> None:
    definitions = [parse_definition(text) for text in texts]
    found = explore_together(definitions)
    assert list(properties_of(definitions)) == [one.name for one in found.properties]


def test_what_nobody_else_publishes_comes_only_from_there() -> None:
    alone = BILLING.replace("billing.started, target", "call.answered, target")
    found = explore_together([parse_definition(CALL), parse_definition(alone)])
    judged = {one.name: one for one in found.properties}
    assert judged["call.nobody_talks_for_ever"].holds is True
    assert found.unreachable_states == ()


def test_definitions_that_have_nothing_in_common_combine() -> None:
    call = parse_definition(CALL)
    other = parse_definition(CALL.replace("call", "door").replace("credit", "key").replace("billing", "light"))
    found = explore_together([call, other])
    assert found.configurations == 9


def test_a_traffic_reaches_all_of_them() -> None:
    call, billing = parse_definition(CALL), parse_definition(BILLING)

    def judged(sources: str) -> dict[str, bool | None]:
        traffic = read_traffic(f"sources: {sources}", "<traffic>", call)
        found = explore_together([call, billing], traffic=traffic)
        assert found.complete
        return {one.name: one.holds for one in found.properties}

    # Nobody but the call starts the billing now, and so it ends the call if nobody hangs up.
    assert judged("{phone: [call.answered]}") == {"call.nobody_talks_for_ever": True, "billing.counts": True}
    assert judged("{phone: [call.ended]}")["billing.counts"] is False
    started_before = judged("{other: [billing.started], phone: [call.answered]}")
    assert started_before["call.nobody_talks_for_ever"] is False


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(timed_definitions())
def test_one_alone_is_explored_as_ever(definition: Definition) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chart, "MAX_MICROSTEPS", 60)
        try:
            world = Worlds([definition]).make(None)
            fast = search(world, Bounds(150, None))
        except StepNeverSettles:
            assume(False)
        assume(fast.complete)
        general = Worlds([definition]).make(None)
        slow = search(Together([general.moves]), Bounds(None, None))

    def spots(graph: object) -> set[tuple[object, ...]]:
        assert isinstance(graph, type(fast))
        cases = graph.world.moves.cases
        return {
            (
                r.situation.configuration,
                r.situation.history,
                r.ready,
                r.failed,
                r.remembered,
                r.visits,
                cases.timers.of(c),
            )
            for c in graph
            for r in (cases.record(c),)
        }

    assert spots(fast) == spots(slow)


def test_the_command_takes_several(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    phasebus = Command(monkeypatch, capfd)
    for name, text in (("call", CALL), ("billing", BILLING)):
        (tmp_path / f"{name}.yaml").write_text(text)
    done = phasebus("explore", tmp_path / "call.yaml", tmp_path / "billing.yaml", "--json")
    assert done.status == 1
    assert set(done.lines[0]["properties"]) == {"call.nobody_talks_for_ever", "billing.counts"}
    assert "call.nobody_talks_for_ever" in phasebus("explore", tmp_path / "call.yaml", tmp_path / "billing.yaml").out
    wrong = phasebus("explore", tmp_path / "call.yaml", "whatsapp_call", "--scenarios", tmp_path)
    assert wrong.status == 2
    assert load_definition(tmp_path / "call.yaml").name == "call"
