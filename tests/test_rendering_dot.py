"""The Graphviz graph: everything that a definition says is in it, and no text of a definition becomes markup."""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachines.language import load_definition, parse_definition, parse_expression, shipped_definitions
from statemachines.language.definition import Call, Definition, Publish, State, Transition
from statemachines.rendering.dot import render_dot
from statemachines.rendering.dot_labels import lines, quoted
from statemachines.rendering.highlight import parse_highlight
from statemachines.rendering.main_path import main_path
from statemachines.rendering.words import words

HOSTILE = [
    'say "no" \\N \\',
    "<script>alert(1)</script>",
    "</td></tr></table>> x [label=y] }",
    "two\nlines\r\x00\x1b[31m",
    "%%{init: {}}%% ]] --> &amp; &#0;",
    "\ud800 \u2028 \u202e",
]


def _words(drawn: str) -> str:
    without = re.sub(
        r"</?(?:table|tr|td|font|b|i|br)\b[^>]*>", lambda m: " " if m[0][1:3] in ("br", "/t") else "", drawn
    )
    return " ".join(html.unescape(without).split())


@pytest.mark.parametrize("name", shipped_definitions())
def test_states_events_guards_timers_actions_and_facts_are_in_the_graph(name: str) -> None:
    definition = load_definition(name)
    drawn = _words(render_dot(definition))
    for state in definition.walk():
        assert state.id in drawn
        for transition in (*state.transitions, *(after.transition for after in state.after)):
            for text in (*transition.event, transition.cond, transition.unless):
                assert text is None or " ".join(str(text).split()) in drawn
        for invoke in state.invoke:
            assert invoke.call in drawn
        for event in state.defer:
            assert event in drawn
        for after in state.after:
            assert after.written in drawn
    for _, history in definition.histories():
        assert history.id in drawn
    for action in definition.actions():
        assert (f"call {action.name}" if isinstance(action, Call) else f"publish {action.event}") in drawn
    for part in (definition.dependencies, definition.remember, definition.keys, definition.timeouts):
        assert all(each in drawn for each in part)
    assert all(f"{name}: " in drawn for name in definition.properties)


def test_final_states_have_a_double_border_and_initial_ones_a_dot_before_them() -> None:
    drawn = render_dot(load_definition("whatsapp_call")).splitlines()
    final = [line for line in drawn if "peripheries=2" in line]
    assert [line.split()[0] for line in final] == ['"terminated"']
    assert any(line.strip().startswith('"live:begins" -> "created"') for line in drawn)


def test_regions_are_dashed_and_a_history_is_a_circle() -> None:
    drawn = render_dot(load_definition("whatsapp_call"))
    region = drawn[drawn.index('subgraph "cluster_conversation"') :]
    assert region.splitlines()[1].strip().startswith('style="rounded,filled,dashed"')
    assert re.search(r'"greeting_as_it_was" \[shape=ellipse, label=.*H\*', drawn)


def test_transitions_between_the_same_states_share_an_arrow_and_timers_alone_are_dashed() -> None:
    text = """\
name: x
states:
  a: {initial: true, after: {5s: b}, transitions: [{event: a.left, target: b}, {event: a.stayed, on: [giggle]}]}
  b: {after: {6s: a}}
"""
    drawn = render_dot(parse_definition(text)).splitlines()
    there, back = (
        next(line for line in drawn if line.strip().startswith('"a" -> "b" [') and f"{s}s" in line) for s in "56"
    )
    assert "a.left" in there
    assert "dashed" not in there
    assert "dashed" in back
    assert "dir=back" in back  # what comes later in the file stands further down
    assert "stays on a.stayed / call giggle" in _words("\n".join(drawn))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("whatsapp_call", "created initializing ready terminating terminated"),
        ("tcp", "closed listen syn_received established fin_wait_1 fin_wait_2 time_wait deleted"),
        ("traffic_light", "red red_and_amber settling yielding amber red"),
    ],
)
def test_the_main_path_is_the_one_that_a_reader_of_the_file_would_name(name: str, path: str) -> None:
    assert list(main_path(load_definition(name)).states) == path.split()


@pytest.mark.parametrize("name", shipped_definitions())
def test_every_step_of_the_main_path_is_a_transition(name: str) -> None:
    definition = load_definition(name)
    real = {
        (state.id, transition.target)
        for state in definition.walk()
        for transition in (*state.transitions, *(after.transition for after in state.after))
    }
    assert main_path(definition).ways <= real


def test_a_highlighted_path_is_another_graph_and_sets_states_and_arrows_apart() -> None:
    definition = load_definition("tcp")
    drawn = render_dot(definition, parse_highlight("closed,syn_sent", definition)).splitlines()
    lit = [line.split("[")[0].strip() for line in drawn if "#c43e00" in line]
    assert lit == ['"closed"', '"syn_sent"', '"closed" -> "syn_sent"']


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_description_stays_text(text: str) -> None:
    definition = attrs.evolve(load_definition("traffic_light"), description=text)
    label = next(line for line in render_dot(definition).splitlines() if "version 1" in line)
    markup = label[label.index("<<table") + 1 : label.index("</table>>") + 8]
    ElementTree.fromstring(markup)
    assert "script" not in re.findall(r"<(\w+)", markup)


@given(st.text(max_size=80), st.integers(5, 40))
def test_lines_are_well_formed_whatever_they_say(text: str, width: int) -> None:
    markup = lines(words(text), width)
    root = ElementTree.fromstring(f"<x>{markup}</x>")
    assert {element.tag for element in root.iter()} <= {"x", "br"}


@given(st.text(max_size=80) | st.sampled_from(HOSTILE))
def test_a_quoted_string_ends_where_it_should(text: str) -> None:
    assert re.fullmatch(r'"(?:[^"\\]|\\\\|\\")*"', quoted(text))
    assert "\n" not in quoted(text)


@settings(max_examples=30)
@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
    | st.sampled_from(HOSTILE[:3])
)
def test_no_guard_or_payload_adds_a_line_to_the_graph(text: str) -> None:
    def drawn(said: str) -> str:
        cond = parse_expression(f"data.x == {said!r}")
        actions = (Publish("said.so", {"said": said}),)
        state = State("a", initial=True, enter=actions, transitions=(Transition(("b.c",), "a", cond, on=actions),))
        return render_dot(Definition("x", (state,)))

    assert drawn(text).count("\n") == drawn("plain").count("\n")
