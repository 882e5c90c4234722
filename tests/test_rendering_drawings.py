"""The tree and the diagram: everything that a definition says is in them, and nothing breaks their grammar."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from statemachines import load_definition, parse_definition
from statemachines.language.definition import Call, Definition, Publish
from statemachines.rendering.mermaid import escape, render_mermaid
from statemachines.rendering.tree import render_tree

LAMP = """\
name: lamp
dependencies: {power: {ready_on: grid.came_back, lost_on: grid.went_down}}
states:
  dark:
    initial: true
    transitions: [{event: switch.pressed, cond: power, target: lit}]
  lit:
    enter: [{publish: lamp.lit}, warm_up]
    after: {5m: dark}
"""


@pytest.fixture
def call() -> Definition:
    return load_definition("whatsapp_call")


def tree(definition: Definition, width: int = 200) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(render_tree(definition))
    return file.getvalue()


def said(definition: Definition) -> set[str]:
    """The names that a drawing of the states has to have."""
    names = {state.id for state in definition.walk()}
    for state in definition.walk():
        for transition in (*state.transitions, *(after.transition for after in state.after)):
            names |= set(transition.event)
        names |= {after.written for after in state.after}
    for action in definition.actions():
        names.add(action.name if isinstance(action, Call) else action.event)
    return names


def test_the_tree_says_everything(call: Definition) -> None:
    text = tree(call)
    guards = {str(t.cond) for state in call.walk() for t in state.transitions if t.cond is not None}
    for name in said(call) | guards | set(call.dependencies) | set(call.remember) | set(call.properties):
        assert name in text, name


def test_the_tree_is_exact() -> None:
    assert tree(parse_definition(LAMP)).splitlines()[3:10] == [
        "├── States (● initial, ○ other, ◉ final)",
        "│   ├── ● dark",
        "│   │   └── → lit  on switch.pressed when power",
        "│   └── ○ lit",
        "│       ├── enter   publish lamp.lit, call warm_up",
        "│       └── → dark  after 5m",
        "└── Dependencies",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_tree_fits_its_width(call: Definition, width: int) -> None:
    assert max(len(line) for line in tree(call, width).splitlines()) <= width


def test_the_diagram_says_everything(call: Definition) -> None:
    text = re.sub(r"#(\d+);", lambda match: chr(int(match.group(1))), render_mermaid(call))
    for name in said(call):
        assert name in text, name


def test_the_diagram_nests_and_marks_initial_and_final(call: Definition) -> None:
    lines = [line.strip() for line in render_mermaid(call).splitlines()]
    assert lines[0] == "stateDiagram-v2"
    assert any(line.startswith("state ") and "live" in line and line.endswith("{") for line in lines)
    assert "[*] --> live" in lines
    assert any(re.fullmatch(r"terminated --> \[\*\]", line) for line in lines)
    assert lines.count("}") >= 2


@given(st.text(max_size=60))
def test_no_text_can_leave_its_label(text: str) -> None:
    label = escape(text)
    assert "\n" not in label
    assert not re.search(r"[<>\"{}\[\]:`|\\%&]", label)
    assert all(re.fullmatch(r"#\w+", part[part.rfind("#") :]) for part in label.split(";")[:-1])


def test_a_published_payload_is_drawn() -> None:
    definition = parse_definition(LAMP.replace("lamp.lit}", "{event: lamp.lit, data: {watts: 40}}}"))
    assert any(isinstance(action, Publish) and action.data for action in definition.actions())
    assert "watts: 40" in tree(definition)
