"""The diagram: structure that mermaid reads as it is meant, and no text that could be taken for mermaid's own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachines.language import load_definition, parse_definition, parse_expression, shipped_definitions
from statemachines.language.definition import Call, Definition, Publish, State, Transition
from statemachines.rendering.mermaid import escape, render_mermaid

NESTED = """\
name: nested
states:
  outer:
    initial: true
    enter: [hello]
    transitions: [{event: a.left, target: other}, {event: a.stayed, on: [giggle]}]
    states:
      one: {initial: true, transitions: [{event: a.next, target: two}]}
      two: {exit: [bye], transitions: [{event: a.left_deep, target: other}, {event: a.up, target: outer}]}
  other: {after: {1s: two}, transitions: [{event: a.done, target: end}]}
  end: {final: true}
"""
LINE = re.compile(
    r"""\s*(?:
        stateDiagram-v2 | \} | end\ note
      | state\ [a-z]\w*\ \{ | state\ "[a-z]\w*"\ as\ [a-z]\w*
      | note\ right\ of\ [a-z]\w*
      | (?:\[\*\]|[a-z]\w*)\ -->\ (?:\[\*\]|[a-z]\w*)(?:\ :\ (?P<label>.+))?
      | [a-z]\w*(?:\ :\ (?P<action>.+))?
      | (?P<note>.+)
    )""",
    re.VERBOSE,
)


def unescaped(text: str) -> str:
    return re.sub(r"#(\d+);", lambda match: chr(int(match.group(1))), text)


def lines(definition: Definition) -> list[str]:
    return [line.strip() for line in render_mermaid(definition).splitlines()]


def block(drawn: list[str], opening: str) -> list[str]:
    """The lines between an opening brace and its closing one."""
    start, depth = drawn.index(opening), 0
    for number in range(start, len(drawn)):
        depth += drawn[number].endswith("{") - (drawn[number] == "}")
        if depth == 0:
            return drawn[start + 1 : number]
    raise AssertionError(opening)


def test_transitions_between_levels_stand_outside_every_state() -> None:
    """Mermaid moves a state that a compound state's lines name into that compound state."""
    drawn = lines(parse_definition(NESTED))
    inside = block(drawn, "state outer {")
    assert "one --> two : a.next" in inside
    for crossing in ("two --> other : a.left_deep", "two --> outer : a.up", "other --> two : after 1s"):
        assert crossing in drawn
        assert crossing not in inside
    assert not any(re.search(r"\bother\b|\bend\b", line) for line in inside)


def test_initial_and_final_states_are_marked_where_they_are() -> None:
    drawn = lines(parse_definition(NESTED))
    assert "[*] --> outer" in drawn
    assert "[*] --> one" in block(drawn, "state outer {")
    assert "end_ --> [*]" in drawn


def test_actions_are_a_leafs_description_and_a_compound_states_note() -> None:
    drawn = lines(parse_definition(NESTED))
    assert "two : exit / call bye" in drawn
    note = drawn.index("note right of outer")
    assert drawn[note + 1 : note + 3] == ["enter / call hello", "end note"]


def test_a_transition_without_target_says_that_it_stays() -> None:
    assert "outer --> outer : stays#58; a.stayed / call giggle" in lines(parse_definition(NESTED))


@pytest.mark.parametrize("name", shipped_definitions())
def test_guards_timers_actions_and_dependencies_are_in_the_diagram(name: str) -> None:
    definition = load_definition(name)
    drawn = unescaped(render_mermaid(definition))
    for state in definition.walk():
        assert re.search(rf"\b{state.id}\b", drawn)
        for transition in (*state.transitions, *(after.transition for after in state.after)):
            for text in (*transition.event, transition.cond, transition.unless):
                assert text is None or " ".join(str(text).split()) in drawn
        for after in state.after:
            assert after.written in drawn
    for action in definition.actions():
        assert (f"call {action.name}" if isinstance(action, Call) else f"publish {action.event}") in drawn
    for dependency, said in definition.dependencies.items():
        assert f"{dependency}{'' if said.required else ' (not required)'}:" in drawn
        for trigger in (*said.ready_on, *said.lost_on, *said.failed_on):
            assert trigger.event in drawn
            assert trigger.when is None or " ".join(trigger.when.text.split()) in drawn


@pytest.mark.parametrize(
    "name",
    ["end", "state", "note", "class", "default", "click", "direction", "root", "constructor", "change_direction"],
)
def test_a_state_that_mermaid_would_take_for_a_word_gets_another_id(name: str) -> None:
    text = "name: x\nstates: {a: {initial: true, transitions: [{event: b.c, target: NAME}]}, NAME: {final: true}}\n"
    drawn = lines(parse_definition(text.replace("NAME", name)))
    assert f'state "{name}" as {name}_' in drawn
    assert f"a --> {name}_ : b.c" in drawn


def test_that_other_id_is_nobody_elses() -> None:
    text = "name: x\nstates: {end: {initial: true, transitions: [{event: b.c, target: end_}]}, end_: {final: true}}\n"
    assert "end__ --> end_ : b.c" in lines(parse_definition(text))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("data.a == 'b'", "data.a == 'b'"),
        ("webrtc.*", "webrtc.#42;"),
        ('x < 3; y: "z"', "x #60; 3#59; y#58; #34;z#34;"),
        ("#1 [*] --> {a}", "#35;1 #91;#42;#93; #45;#45;#62; #123;a#125;"),
        ("a_b _c_ -1", "a_b #95;c#95; #45;1"),
        ("new direction LR", "new directio#110; LR"),
        ("two\n  lines", "two lines"),
        ("über", "über"),
        ("ﬂ°°58¶ß", "#64258;#176;#176;58#182;ß"),
    ],
)
def test_escaping(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@given(st.text())
def test_a_reader_gets_back_what_was_escaped(text: str) -> None:
    assert unescaped(escape(text)) == " ".join(text.split())


QUOTED = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
ODD = QUOTED | st.sampled_from(
    ["direction TB", "<<fork>>", "[*] --> x", "%%{init: {}}%%", "end note", "style x:#f;", "a:::b", "#quot;", "}\n}"]
)


@given(ODD, ODD)
def test_no_guard_or_payload_can_break_the_diagram(guard: str, other: str) -> None:
    condition = parse_expression(f"data.x == {guard!r}")
    actions = (Call("hook"), Publish("said.so", {"said": other}))
    state = State(
        "a",
        initial=True,
        enter=actions,
        transitions=(Transition(("b.*",), "a", condition, on=actions),),
        states=(State("c", initial=True, exit=actions),),
    )
    drawn = render_mermaid(Definition("x", (state,)))
    assert drawn.count("\n") == 11
    for line in drawn.splitlines():
        match = LINE.fullmatch(line)
        assert match is not None
        label = match["label"] or match["action"] or match["note"] or ""
        assert not re.search(r'[:<>"{}\[\]`*|\\%&~^$]', label), line
        assert not re.search(r"(?i)direction(\s|$)", label)
        assert ";" not in re.sub(r"#\d+;", "", label)
        assert "#" not in re.sub(r"#\d+;", "", label)
