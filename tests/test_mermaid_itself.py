"""Mermaid itself, in a browser, reads every diagram and draws it, with each state and each word of it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from playwright.sync_api import Browser, Error

from statemachines.language import load_definition, shipped_definitions
from statemachines.language.definition import Definition
from statemachines.rendering.highlight import parse_highlight
from statemachines.rendering.mermaid import render_mermaid
from tests.test_rendering_dot import HOSTILE

MERMAID = Path(__file__).parent / "node" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
DRAW = """
async (text) => {
  await mermaid.parse(text);
  const { svg } = await mermaid.render('drawn', text);
  document.body.innerHTML = svg;
  return document.body.innerText + ' ' + document.body.textContent;
}
"""


@pytest.fixture(scope="module")
def mermaid(chromium: Browser) -> Iterator[Callable[[str], str]]:
    """Draws a diagram and returns the words in its picture; raises if Mermaid does not like it."""
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_script_tag(path=MERMAID)
    page.evaluate("mermaid.initialize({startOnLoad: false, securityLevel: 'strict'})")
    yield lambda text: str(page.evaluate(DRAW, text))
    page.close()
    assert asked == []


def words(text: str) -> str:
    return re.sub(r"\s+", "", html.unescape(text))


@pytest.mark.parametrize("name", shipped_definitions())
def test_every_shipped_definition_is_read_and_drawn(name: str, mermaid: Callable[[str], str]) -> None:
    definition = load_definition(name)
    drawn = words(mermaid(render_mermaid(definition)))
    for state in definition.walk():
        assert state.id in drawn
        for transition in state.transitions:
            for event in transition.event:
                assert event in drawn
            if transition.cond is not None:
                assert words(transition.cond.text) in drawn


def test_a_highlighted_one_is_too(mermaid: Callable[[str], str]) -> None:
    definition = load_definition("whatsapp_call")
    assert mermaid(render_mermaid(definition, parse_highlight("created,initializing,ready", definition)))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_drawn_as_text(text: str, mermaid: Callable[[str], str]) -> None:
    definition: Definition = attrs.evolve(load_definition("traffic_light"), description=text)
    assert "red_and_amber" in mermaid(render_mermaid(definition))


def test_what_is_no_diagram_is_refused_here(mermaid: Callable[[str], str]) -> None:
    with pytest.raises(Error, match=r"(?i)parse|lexical"):
        mermaid("stateDiagram-v2\n    a --> : : {")
