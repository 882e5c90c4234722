"""What is exported as SCXML reads back equal, and other documents are read as far as phasebus can express them."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachines import DefinitionError, load_definition, parse_definition, shipped_definitions
from statemachines.errors import CannotExport, Problem
from statemachines.interchange.scxml import render_scxml
from statemachines.language.definition import Definition, State, Trigger
from statemachines.language.loading import check_source
from statemachines.language.scxml import read_scxml
from statemachines.language.structuring import attempt
from statemachines.language.vocabulary import definition_converter
from tests.plain_charts import RICH, definitions
from tests.test_interchange_scxml import without_odd_internals

EVERYTHING = """
name: everything
version: 3
description: "Says <all> & \\"more\\"."
starts_on: [call.started, {event: call.rung, when: data.line == 'a & b'}]
retain: 1.5s
early: 0s
keys: {number: {on: [call.started, call.rung], value: data.number}}
timeouts: {setup: 90s, other_5s: 2m}
dependencies:
  audio: {ready_on: [{event: ["media.*", call.heard], when: data.n > 3}], lost_on: media.lost, required: false}
  model: {ready_on: ai.sent, failed_on: ai.died}
remember: {who: {on: {event: call.started, when: audio}, value: data.who}}
states:
  history:
    initial: true
    defer: ["late.*", call.late]
    invoke: [{call: dial, done: dial.done, failed: dial.failed}, {call: ring}]
    enter:
      - hello
      - {publish: {event: call.met, data: {who: {expr: meta.who}, deep: [1, {x: {expr: data.n + 1}}, null]}}}
    after:
      setup: {target: model, backoff: 1.5, max: 2h}
      500ms: {on: [bye], cond: "visits.history < 3", unless: audio}
      other_5s: model
    transitions:
      - {event: "*", cond: "data.text == 'null && true'", target: was}
      - {event: [call.ended, "media.*"], unless: "In('model')", target: model, on: [bye]}
  model:
    parallel: true
    history: {was: {type: deep, transitions: [{target: left_one}]}}
    transitions: [{event: done.state.model, target: ended}, {cond: any_failed, target: ended}]
    states:
      left:
        initial: true
        states:
          left_one: {initial: true, transitions: [{event: a.left, target: left_end}]}
          left_end: {final: true}
      right:
        transitions: [{event: a.turned, on: [bye]}]
        states:
          right_one: {initial: true, transitions: [{event: a.left, target: right_end}]}
          right_end: {final: true}
  ended: {final: true, enter: [bye], exit: [never]}
ignore: {unconventional-event: "on purpose, <really>"}
examples: {it_ends: {steps: [{publish: call.ended}, {expect: {phase: history}}]}}
properties:
  fine: {always: "not In('model') or audio"}
  way: {leads_to: [audio, "In('ended')"], within: 3m}
  pairs: {closes: {hello: bye}}
  end: {always_reachable: ended}
  some: {sometimes: model}
  none: {never: "audio and model"}
"""


def read_back(definition: Definition) -> Definition | None:
    source = read_scxml(render_scxml(definition).encode(), "x.scxml")
    assert source.problems == ()
    read, faults = attempt(source.data, Definition, definition_converter())
    assert faults == [], [fault.message for fault in faults]
    return read


def as_written(states: tuple[State, ...]) -> tuple[State, ...]:
    """A timer of the language is never internal."""
    return tuple(
        evolve(
            state,
            states=as_written(state.states),
            after=tuple(
                evolve(a, transition=evolve(a.transition, internal=False))
                for a in state.after
                if a.transition.target or a.transition.on
            ),
        )
        for state in states
    )


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(definitions())
def test_random_definitions_read_back_equal(definition: Definition) -> None:
    kept = evolve(definition.remember["kept"], on=definition.remember["kept"].on or (Trigger("x.one"),))
    states = as_written(without_odd_internals(definition.states))
    definition = evolve(definition, states=states, remember={"kept": kept})
    assert read_back(definition) == definition


@pytest.mark.parametrize("text", [RICH, EVERYTHING], ids=["rich", "everything"])
def test_all_that_a_definition_can_say_reads_back_equal(text: str) -> None:
    definition = parse_definition(text)
    assert read_back(definition) == definition
    assert check_source(read_scxml(render_scxml(definition).encode(), "x.scxml"))[0] == definition


@pytest.mark.parametrize("name", shipped_definitions())
def test_shipped_definitions_load_equal_from_their_scxml(name: str, tmp_path: Path) -> None:
    file = tmp_path / "call.scxml"
    file.write_text(render_scxml(load_definition(name)), encoding="utf-8")
    assert load_definition(str(file)) == load_definition(name)


FOREIGN = """\
<?xml version="1.0"?>
<scxml xmlns="http://www.w3.org/2005/07/scxml" xmlns:phasebus="urn:phasebus:scxml:1" name="phone" initial="idle">
  <phasebus:definition>
    <phasebus:dependency name="audio"><phasebus:ready_on event="media.started"/></phasebus:dependency>
  </phasebus:definition>
  <state id="idle">
    <onentry><send event="light_off"/></onentry>
    <transition event="call.started" cond="audio &amp;&amp; !(_event.data.n === null)" target="talking"/>
  </state>
  <state id="talking">
    <initial><transition target="open"/></initial>
    <state id="held"><transition event="call.resumed.*" target="open"/></state>
    <state id="open"><transition event="call.held" type="internal"><send event="call.shown"/></transition>
      <transition event="call.parked" target="held"/></state>
    <transition event="call.ended" target="over"/>
  </state>
  <final id="over"/>
</scxml>
"""

SAME = """
name: phone
dependencies: {audio: media.started}
states:
  idle:
    initial: true
    enter: [light_off]
    transitions: [{event: [call.started, call.started.*], cond: "audio and not (data.n == None)", target: talking}]
  talking:
    transitions: [{event: [call.ended, call.ended.*], target: over}]
    states:
      held: {transitions: [{event: [call.resumed, call.resumed.*], target: open}]}
      open:
        initial: true
        transitions:
          - {event: [call.held, call.held.*], internal: true, on: [{publish: call.shown}]}
          - {event: [call.parked, call.parked.*], target: held}
  over: {final: true}
"""


def read(text: str) -> tuple[Definition | None, list[Problem]]:
    return check_source(read_scxml(text.encode(), "x.scxml"))


def test_a_document_of_others_is_read_with_the_meaning_that_scxml_gives_it() -> None:
    definition, problems = read(FOREIGN)
    assert problems == []
    assert definition == parse_definition(SAME)


@pytest.mark.parametrize(
    ("line", "what", "instead"),
    [
        (6, "<onentry><script>evil()</script></onentry>", "5: error: <script> runs code"),
        (6, '<onentry><assign location="x" expr="1"/></onentry>', "14: error: <assign> changes data"),
        (6, '<onentry><foreach array="a" item="b"/></onentry>', "14: error: <foreach> repeats"),
        (6, '<onentry><send event="a.b" delay="1s"/></onentry>', "14: error: a delayed <send>"),
        (6, '<invoke src="child.scxml"/>', "5: error: <invoke> starts another session"),
        (6, '<transition event="start" target="over"/>', "5: error: 'start' is no event of phasebus"),
        (6, '<transition event="a.b" cond="f(1)" target="over"/>', "5: error: nothing can be called"),
        (6, '<transition event="a.b" target="ovr"/>', "5: error: target 'ovr' does not exist (did you mean 'over'?)"),
        (6, '<transition event="a.b" target="over held"/>', "5: error: a transition to several states"),
    ],
)
def test_what_cannot_be_expressed_is_refused_at_its_place(line: int, what: str, instead: str) -> None:
    text = FOREIGN.replace('  <state id="idle">\n', f'  <state id="idle">\n    {what}\n')
    _, problems = read(text)
    column = instead.partition(":")[0]
    expected = (7, int(column) if what.startswith(("<inv", "<tra")) else 14, instead.partition("error: ")[2])
    errors = [problem for problem in problems if problem.severity == "error"]
    assert [p for p in errors if (p.line, p.column) == expected[:2] and expected[2] in p.message], problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]>\n<scxml>&b;</scxml>', "1:1: error: a document type (<!DOCTYPE …>) is refused"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd">\n<scxml/>', "1:1: error: a document type"),
        ("<scxml>\n  <state>\n</scxml>", "3:3: error: not XML: mismatched tag"),
        ("<scxml>&other;</scxml>", "1:8: error: not XML: undefined entity"),
        ("<states/>", "1:1: error: the root is <states>"),
        ("<scxml>" + "<state>" * 100, "nested more than 60 levels"),
        ("", "1:1: error: not XML: no element found"),
        ("<scxml>" + " " * 1_100_000 + "</scxml>", "larger than the limit of 1 MiB"),
    ],
)
def test_hostile_and_broken_xml_is_refused(text: str, message: str) -> None:
    definition, problems = read(text)
    assert definition is None
    assert message in str(problems[0])


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='<>/="&; !scxmlstateid', max_size=60), st.integers(0, 1200))
def test_damaged_documents_are_refused_and_never_raise(garbage: str, at: int) -> None:
    definition, problems = read(FOREIGN[:at] + garbage + FOREIGN[at:])
    assert definition is not None or problems


def test_an_internal_transition_to_its_own_state_is_refused() -> None:
    text = "name: x\nstates: {a: {initial: true, transitions: [{event: a.b, target: a, internal: true}]}}\n"
    with pytest.raises(CannotExport, match="without leaving it"):
        render_scxml(parse_definition(text))


def test_a_missing_file_says_so() -> None:
    with pytest.raises(DefinitionError, match="there is no such file"):
        load_definition("nowhere.scxml")
