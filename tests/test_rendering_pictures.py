"""SVG and PNG: drawn without a system Graphviz, the same each time, safe, in time, and honest when they cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import attrs
import pytest

from benchmarks.drawing import large_definition
from statemachines.errors import PictureError
from statemachines.language import load_definition, shipped_definitions
from statemachines.language.definition import Definition
from statemachines.rendering import pictures
from statemachines.rendering.highlight import parse_highlight
from statemachines.rendering.pictures import draw, find_engine, render_picture
from tests.definition_helpers import PAGES
from tests.test_rendering_dot import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"
PNG = b"\x89PNG\r\n\x1a\n"


def svg(definition: Definition, highlight: str | None = None) -> ElementTree.Element:
    lit = None if highlight is None else parse_highlight(highlight, definition)
    return ElementTree.fromstring(render_picture(definition, "svg", lit))


def texts(root: ElementTree.Element) -> str:
    return " ".join("".join(text.itertext()) for text in root.iter(f"{SVG}text"))


@pytest.mark.parametrize("name", shipped_definitions())
def test_every_shipped_definition_is_drawn_with_every_state(name: str) -> None:
    definition = load_definition(name)
    drawn = texts(svg(definition))
    for state in definition.walk():
        assert state.id in drawn
    assert texts(ElementTree.parse(PAGES / f"{name}.svg").getroot()) == drawn, "make pictures"
    assert (PAGES / f"{name}.png").read_bytes().startswith(PNG)


def test_the_same_definition_gives_the_same_bytes() -> None:
    definition = load_definition("traffic_light")
    assert render_picture(definition, "svg") == render_picture(definition, "svg")


def test_a_png_is_one_and_large_enough_to_read() -> None:
    drawn = render_picture(load_definition("traffic_light"), "png")
    assert drawn.startswith(PNG)
    assert int.from_bytes(drawn[16:20]) > 600


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_description_is_text_in_the_picture(text: str) -> None:
    root = svg(attrs.evolve(load_definition("traffic_light"), description=text))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "g", "title", "path", "polygon", "polyline", "text", "ellipse",
    }  # fmt: skip
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on") or "href" in name]


def test_a_highlight_is_in_the_picture() -> None:
    definition = load_definition("tcp")
    assert "#c43e00" in ElementTree.tostring(svg(definition, "closed,listen"), "unicode")
    assert "#c43e00" not in ElementTree.tostring(svg(definition), "unicode")


def test_two_hundred_states_are_drawn() -> None:
    definition = large_definition(20)

    drawn = texts(svg(definition))

    assert all(state.id in drawn for state in definition.walk())


def test_without_an_engine_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(PictureError, match=r"pip install 'phasebus\[pictures\]'"):
        render_picture(load_definition("traffic_light"), "svg")


def test_an_installed_graphviz_serves_where_the_packaged_engine_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: "/opt/dot" if name == "dot" else None)
    assert find_engine() == "/opt/dot"


def test_a_layout_that_takes_too_long_is_ended_with_a_message() -> None:
    with pytest.raises(PictureError, match="longer than 0 s"):
        draw("digraph { a -> b }", "svg", timeout_s=0)


def test_an_engine_that_fails_is_quoted() -> None:
    with pytest.raises(PictureError, match=r"layout engine failed: .*syntax error"):
        draw("digraph {", "svg")


def test_the_pictures_of_the_pages_are_current() -> None:
    folder = Path(__file__).parent.parent / "docs" / "definitions"
    stale = [
        name
        for name in shipped_definitions()
        if (folder / f"{name}.svg").read_bytes() != render_picture(load_definition(name), "svg")
    ]
    assert stale == [], "make pictures"


def test_the_packaged_engine_is_taken_before_an_installed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/bin/{name}")
    assert find_engine() == f"/bin/{pictures.PACKAGED}"
