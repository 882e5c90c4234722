"""A definition as data: the language written out, which loads again as the same definition."""

from __future__ import annotations

import json

import pytest

from statemachines.language import load_definition, parse_definition, shipped_definitions
from statemachines.rendering.definition_data import definition_data, render_json
from tests.test_rendering_tree import EVERYTHING


@pytest.mark.parametrize("name", shipped_definitions())
def test_what_is_shown_as_json_loads_as_the_same_definition(name: str) -> None:
    definition = load_definition(name)
    assert parse_definition(render_json(definition)) == definition


def test_a_definition_that_says_everything_does_too() -> None:
    definition = parse_definition(EVERYTHING)
    assert parse_definition(render_json(definition)) == definition


def test_shorthands_are_written_out_and_defaults_left_out() -> None:
    text = "name: x\nstates: {a: {initial: true, enter: [ring], after: {5s: b}}, b: {final: true}}\n"
    assert definition_data(parse_definition(text)) == {
        "name": "x",
        "retain": "5s",
        "early": "5s",
        "states": {
            "a": {"initial": True, "enter": [{"call": "ring"}], "after": {"5s": {"target": "b"}}},
            "b": {"final": True},
        },
    }


def test_the_json_is_plain() -> None:
    assert json.loads(render_json(load_definition("tcp"))) == definition_data(load_definition("tcp"))
