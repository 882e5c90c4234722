"""The changes between two definitions in words and as one picture: nothing is missing, and nothing is markup."""

from __future__ import annotations

import io
import itertools
from xml.etree import ElementTree

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from rich.console import Console

from statemachines import load_definition, parse_definition, shipped_definitions
from statemachines.comparison import changes, compare
from statemachines.exploration.search import Bounds
from statemachines.language.definition import Call, Definition, Publish, State
from statemachines.rendering.changes import change_data, marked
from statemachines.rendering.comparison import ComparisonReport
from statemachines.rendering.dot import render_dot
from statemachines.rendering.marks import CAME, CHANGED, WENT
from statemachines.rendering.pictures import draw
from statemachines.simulation.mutation import mutants
from tests.plain_charts import definitions
from tests.test_rendering_dot import HOSTILE

OLD = """
name: call
version: 1
early: 5s
timeouts: {setup: 30s}
dependencies: {audio: audio.ready, sdp: sdp.answered}
remember: {caller: {on: call.started, value: data.caller}}
keys: {wa_id: {on: call.started, value: data.wa_id}}
states:
  live:
    initial: true
    history: {was_live: {transitions: [{target: ringing}]}}
    transitions: [{event: call.held, target: held}]
    states:
      ringing:
        initial: true
        enter: [ring]
        invoke: {call: dial}
        defer: [call.checked]
        after: {setup: over, 5s: {target: talking}}
        transitions: [{cond: all_ready, target: talking}, {event: call.ended, target: over}]
      talking: {transitions: [{event: call.checked, target: over}]}
  held: {transitions: [{event: call.resumed, target: was_live}]}
  over: {final: true}
"""
NEW = """
name: call
version: 2
early: 9s
timeouts: {setup: 20s}
dependencies: {audio: audio.ready, greeting: ai.greeted}
remember: {caller: {on: call.started, value: data.number}}
states:
  live:
    initial: true
    transitions: [{event: call.parked, target: parked}]
    states:
      ringing:
        initial: true
        enter: [ring, light]
        exit: [dark]
        after: {setup: over, 8s: {target: talking}}
        transitions: [{event: call.ended, target: over}, {cond: audio, target: talking}]
      talking: {transitions: [{event: call.checked, target: over}]}
      parked: {transitions: [{event: call.resumed, target: talking}]}
  over: {final: true}
"""


def told(old: str, new: str) -> list[str]:
    before, after = parse_definition(old), parse_definition(new)
    return [
        " ".join(str(part) for part in change_data(one, before.timeouts, after.timeouts).values() if part)
        for one in changes(before, after)
    ]


def test_every_change_is_told_once() -> None:
    assert told(OLD, NEW) == [
        "changed definition version 1 2",
        "changed definition early 5s 9s",
        "removed history live was_live shallow history, first ringing",
        "removed transition live → held on call.held",
        "added transition live → parked on call.parked",
        "changed action ringing enter call ring call ring, call light",
        "added action ringing exit call dark",
        "removed defer ringing call.checked",
        "removed invoke ringing dial",
        "changed transition ringing → talking when all_ready → talking when audio",
        "changed transition ringing order → talking, then → over → over, then → talking",
        "changed timer ringing → talking after 5s → talking after 8s",
        "removed state held held",
        "added state parked parked",
        "removed dependency sdp ready on sdp.answered, required",
        "added dependency greeting ready on ai.greeted, required",
        "changed remember caller data.caller on call.started data.number on call.started",
        "removed key wa_id data.wa_id on call.started",
        "changed timeout setup 30s 20s",
    ]


def test_nothing_is_told_of_a_definition_and_itself() -> None:
    assert told(OLD, OLD) == []
    assert told(OLD, OLD.replace("5s: {target: talking}", "5000ms: talking")) == []


def test_each_part_of_the_picture_has_its_mark() -> None:
    old, new = parse_definition(OLD), parse_definition(NEW)
    both, marks = marked(old, new, tuple(changes(old, new)))
    assert {state.id for state in both.walk()} == {state.id for one in (old, new) for state in one.walk()}
    assert (marks.states["parked"], marks.states["held"], marks.states["ringing"]) == (CAME, WENT, CHANGED)
    assert "talking" not in marks.states
    drawn = render_dot(both, marks=marks)
    assert 'label=<<table border="0"' in drawn
    for line in (CAME.line, WENT.line, CHANGED.line):
        assert f'color="{line}"' in drawn


@pytest.mark.parametrize("name", shipped_definitions())
def test_every_shipped_definition_is_drawn_with_any_part_changed(name: str) -> None:
    old = load_definition(name)
    for mutant in itertools.islice(mutants(old), 0, None, 7):
        for one, other in ((old, mutant.definition), (mutant.definition, old)):
            found = tuple(changes(one, other))
            assert found, str(mutant)
            both, marks = marked(one, other, found)
            assert render_dot(both, marks=marks).startswith("digraph")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(definitions(), definitions())
def test_two_definitions_that_have_nothing_in_common_are_one_picture(old: Definition, new: Definition) -> None:
    both, marks = marked(old, new, tuple(changes(old, new)))
    ids = [state.id for state in both.walk()]
    assert len(ids) == len(set(ids))
    assert set(ids) == {state.id for one in (old, new) for state in one.walk()}
    render_dot(both, marks=marks)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text(text: str) -> None:
    old = Definition("x", (State("a", initial=True, enter=(Call(text),)), State(text, final=True)), description=text)
    new = evolve(old, states=(State("a", initial=True, exit=(Publish(text),)),), version=2)
    both, marks = marked(old, new, tuple(changes(old, new)))
    ElementTree.fromstring(draw(render_dot(both, marks=marks), "svg"))
    file = io.StringIO()
    found = compare(old, new, bounds=Bounds(50, 5))
    Console(file=file, width=100).print(ComparisonReport(found, old, new))
    assert "\x1b" not in file.getvalue()
    assert "\r" not in file.getvalue()


def test_the_picture_is_laid_out() -> None:
    old, new = parse_definition(OLD), parse_definition(NEW)
    both, marks = marked(old, new, tuple(changes(old, new)))
    texts = "".join(ElementTree.fromstring(draw(render_dot(both, marks=marks), "svg")).itertext())
    for word in ("was_live", "parked", "held", "light"):
        assert word in texts


def test_the_report_fits_without_colour_and_in_ascii() -> None:
    old, new = parse_definition(OLD), parse_definition(NEW)
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=file, width=80).print(ComparisonReport(compare(old, new), old, new))
    file.seek(0)
    lines = file.read().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("x gone" in line for line in lines)
