"""--highlight: a phase or a path, checked, and set apart in every drawing."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachines.errors import UnknownPhase
from statemachines.language import load_definition
from statemachines.rendering.highlight import parse_highlight
from statemachines.rendering.mermaid import render_mermaid
from tests.cli_helpers import Command


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def test_a_step_is_every_transition_that_leads_from_one_state_to_the_next() -> None:
    call = load_definition("whatsapp_call")
    lit = parse_highlight("created, initializing, ready, reconnecting, terminated", call)
    assert lit.ways == {("created", "initializing"), ("initializing", "ready"), ("ready", "reconnecting")}


def test_a_step_may_begin_at_a_state_around_and_end_at_one_inside_or_a_history() -> None:
    call = load_definition("whatsapp_call")
    assert ("live", "terminating") in parse_highlight("ready,terminating", call).ways
    assert ("reconnecting", "greeting_as_it_was") in parse_highlight("restarting_ice,ready", call).ways
    assert ("red_and_amber", "green") in parse_highlight(
        "red_and_amber,settling", load_definition("traffic_light")
    ).ways


def test_an_unknown_state_is_refused_with_the_nearest_right_name() -> None:
    with pytest.raises(UnknownPhase, match=r"tcp has no state 'lisen' .did you mean 'listen'"):
        parse_highlight("closed,lisen", load_definition("tcp"))


def test_mermaid_sets_the_states_apart_and_marks_the_arrows() -> None:
    light = load_definition("traffic_light")
    drawn = render_mermaid(light, parse_highlight("red,red_and_amber", light))
    assert "class red,red_and_amber highlighted" in drawn
    assert "red --> red_and_amber : #9679; after 10s (walking)" in drawn.replace("●", "#9679;")
    assert "classDef" not in render_mermaid(light)


def test_the_tree_marks_states_and_transitions(command: Command) -> None:
    done = command("show", "traffic_light", "--highlight", "red,red_and_amber")
    marked = [line.strip("│├└─ ") for line in done.out.splitlines() if "◀" in line]
    assert marked == ["● red  ◀", "→ red_and_amber ◀  after 10s (walking)", "○ red_and_amber  ◀"]


@pytest.mark.parametrize("form", ["tree", "mermaid", "dot", "svg", "png", "json"])
def test_every_format_goes_to_a_file(command: Command, tmp_path: Path, form: str) -> None:
    path = tmp_path / "drawn"
    done = command("show", "traffic_light", "--format", form, "-o", path)
    assert (done.status, done.out, done.err) == (0, "", "")
    assert path.stat().st_size > 500


def test_a_wrong_highlight_leaves_the_file_as_it_was(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "drawn.svg"
    path.write_text("before")
    done = command("show", "tcp", "--format", "svg", "--highlight", "nowhere", "-o", path)
    assert done.status == 1
    assert "tcp has no state 'nowhere'" in done.err
    assert path.read_text() == "before"


def test_json_takes_no_highlight(command: Command) -> None:
    done = command("show", "tcp", "--format", "json", "--highlight", "closed")
    assert done.status == 2
    assert "--highlight is for drawings" in done.err
