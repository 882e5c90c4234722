"""A shipped definition is shown on its page as it is: its picture, phases, events and hooks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from statemachines import load_definition, shipped_definitions
from statemachines.language.definition import Call
from statemachines.rendering.mermaid import render_mermaid
from tests.protocol_helpers import PROTOCOLS

PAGES = Path(__file__).parent.parent / "docs" / "definitions"


def page_of(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_picture_is_what_the_command_draws(name: str) -> None:
    (picture,) = re.findall(r"^```mermaid\n(.*?)^```", page_of(name), re.MULTILINE | re.DOTALL)
    assert picture.rstrip() == render_mermaid(load_definition(name)).rstrip(), (
        f"put the output of 'phasebus show {name} --format mermaid' on the page"
    )


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_table_has_every_phase_and_no_other(name: str) -> None:
    (rows,) = re.findall(r"^\| phase \|.*?\n\|---.*?\n(.*?)\n\n", page_of(name), re.MULTILINE | re.DOTALL)
    listed = re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)
    assert listed == [state.id for state in load_definition(name).walk() if not state.states]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_it_names_every_hook(name: str) -> None:
    definition, page = load_definition(name), page_of(name)
    hooks = {action.name for action in definition.actions() if isinstance(action, Call)}
    hooks |= {invoke.call for state in definition.walk() for invoke in state.invoke}
    assert sorted(hook for hook in hooks if f"`{hook}`" not in page) == []


@pytest.mark.parametrize("name", shipped_definitions())
def test_the_index_has_every_definition(name: str) -> None:
    assert re.search(rf"^\| \[?{name}\b", page_of("README"), re.MULTILINE)
