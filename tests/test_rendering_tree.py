"""The tree: all that a definition says, readable at any width, without colour and without unicode."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest
from rich.console import Console

from statemachines.language import Expression, load_definition, parse_definition, shipped_definitions
from statemachines.language.definition import After, Definition, Transition
from statemachines.rendering.tree import render_tree

EVERYTHING = """\
name: everything
version: 7
description: Says all that can be said.
starts_on: [call.requested, {event: call.transferred, when: data.warm}]
retain: 1500ms
early: 0s
timeouts: {patience: 2m}
dependencies:
  audio: {ready_on: [{event: audio.came, when: data.kind == 'voice'}, audio.back], lost_on: audio.went}
  model: {ready_on: "model.*", failed_on: model.broke, required: false}
remember: {who: {on: [call.requested, {event: call.named, when: data.sure}], value: data.name}}
states:
  outer:
    initial: true
    enter: {publish: {event: outer.entered, data: {why: {expr: data.reason}, tags: [a, 1]}}}
    exit: [tidy_up]
    transitions:
      - {event: outer.poked, on: [{call: giggle}]}
      - {event: outer.turned, target: inner, internal: true}
      - {event: [call.ended, "hang.*"], target: end, cond: audio, unless: model, on: {publish: call.over}}
    after: {patience: end}
    states:
      inner: {initial: true, after: {5s: {cond: visits.inner < 3, target: inner}, 10s: {target: end, on: [give_up]}}}
  end: {initial: false, final: true}
properties:
  a: {always: audio or not audio}
  b: {never: In('end') and audio}
  c: {sometimes: In('inner')}
  d: {always_reachable: end}
  e: {leads_to: ["In('outer')", "In('end')"], within: 3m}
  f: {closes: {giggle: give_up}}
"""


def tree(definition: Definition, width: int = 200, **options: Any) -> str:
    file = io.StringIO()
    Console(file=file, width=width, **options).print(render_tree(definition))
    return file.getvalue()


def texts(value: Any) -> Iterator[str]:
    """Every name and expression anywhere in a definition."""
    match value:
        case Expression():
            yield value.text
        case str():
            yield value
        case Mapping():
            for key, part in value.items():
                yield from (key, *texts(part))
        case tuple() | list():
            for part in value:
                yield from texts(part)
        case _ if attrs.has(type(value)):
            for field in attrs.fields(type(value)):
                yield from texts(getattr(value, field.name))


DEFINITIONS = [parse_definition(EVERYTHING), *map(load_definition, shipped_definitions())]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_the_tree_holds_every_word_of_the_definition(definition: Definition) -> None:
    drawn = tree(definition, width=1000)
    for text in texts(definition):
        assert text in drawn, text


def test_the_tree_says_what_no_word_of_the_file_says() -> None:
    drawn = tree(DEFINITIONS[0])
    for told in (
        "everything, version 7",
        "no event waits",
        "a finished connection is kept 1.5s",
        "stays    on outer.poked / call giggle",
        "→ end    on call.ended or hang.* when audio unless model / publish call.over",
        "→ inner  on outer.turned (internal)",
        "after 2m (patience)",
        "after 10s / call give_up",
        'publish outer.entered {why: data.reason, tags: ["a", 1]}',
        "audio (required)",
        "model (not required)",
        "lost   on audio.went",
        "failed  on model.broke",
        "meta.who  data.name on call.requested or call.named when data.sure",
        "● outer",
        "● inner",
        "◉ end",
    ):
        assert told in drawn, told


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_lines_fit_and_a_narrow_tree_loses_nothing(definition: Definition, width: int) -> None:
    lines = tree(definition, width).splitlines()
    assert max(map(len, lines)) <= width
    drawn = "".join(line.lstrip("│├└─ ") for line in lines).replace(" ", "")
    for text in texts(definition):
        assert text.replace(" ", "") in drawn, text


def test_long_guards_hang_below_their_beginning() -> None:
    lines = tree(load_definition("whatsapp_call"), 80).splitlines()
    number = next(number for number, line in enumerate(lines) if "on webrtc.* or" in line)
    assert lines[number].index("on webrtc.* or") + 2 == lines[number + 1].index("whatsapp.call_accepted")


def test_nothing_trails_a_line() -> None:
    assert all(line == line.rstrip() for line in tree(DEFINITIONS[0], 80).splitlines())


def test_a_pipe_gets_no_colour_codes_and_a_terminal_does() -> None:
    assert "\x1b" not in tree(DEFINITIONS[0])
    assert "\x1b" in tree(DEFINITIONS[0], force_terminal=True, color_system="standard", legacy_windows=False)


def test_an_ascii_output_gets_ascii_only() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    Console(file=file, width=80).print(render_tree(attrs.evolve(DEFINITIONS[0], description="Grüße")))
    file.seek(0)
    drawn = file.read()
    assert drawn.isascii()
    assert "-> end" in drawn
    assert "@ end" in drawn


def test_nothing_in_a_file_reaches_the_terminal_as_a_command() -> None:
    nasty = "\x1b[2J\x07 [bold]not markup[/bold] :smile:"
    definition = attrs.evolve(DEFINITIONS[0], description=nasty)
    drawn = tree(definition)
    assert "\x1b" not in drawn
    assert "[bold]not markup[/bold] :smile:" in drawn


def test_a_transition_without_conditions_is_taken_at_once() -> None:
    state = attrs.evolve(DEFINITIONS[0].states[1], transitions=(Transition(target="outer"),), after=())
    assert "→ outer  at once" in tree(attrs.evolve(DEFINITIONS[0], states=(DEFINITIONS[0].states[0], state)))


def test_an_unknown_timeout_is_told_by_its_name() -> None:
    state = attrs.evolve(DEFINITIONS[0].states[1], after=(After("soon", "soon", Transition(target="outer")),))
    assert "after soon" in tree(attrs.evolve(DEFINITIONS[0], states=(state,)))
