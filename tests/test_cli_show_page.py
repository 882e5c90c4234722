"""``phasebus show --format html``: a file, opened with a scenario or not, and what is refused."""

from __future__ import annotations

from pathlib import Path

from tests.cli_helpers import Command

SCENARIO = "connections: {a: {}}\nsteps:\n  - publish: lamp.broken\n    at: 2s\n"


def test_a_page_is_written_whole(phasebus: Command, tmp_path: Path) -> None:
    file = tmp_path / "light.html"
    assert phasebus("show", "traffic_light", "--format", "html", "-o", file).status == 0
    page = file.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>")
    assert '"called":"\\"traffic_light\\""' in page
    assert phasebus("show", "traffic_light", "--format", "html").out == page


def test_a_scenario_is_found_by_path_and_by_name(phasebus: Command, tmp_path: Path) -> None:
    file = tmp_path / "broken.scenario.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    shown = phasebus("show", "traffic_light", "--format", "html", "--scenario", file)
    assert '"events":[[2.0,' in shown.out
    shown = phasebus("show", "traffic_light", "--format", "html", "--scenario", "no_such")
    assert shown.status == 1
    assert "no such scenario" in shown.err


def test_a_scenario_that_no_page_plays_leaves_the_file_as_it_was(phasebus: Command, tmp_path: Path) -> None:
    scenario, page = tmp_path / "ended.scenario.yaml", tmp_path / "page.html"
    scenario.write_text(f"{SCENARIO}  - terminate: a\n", encoding="utf-8")
    page.write_text("as it was", encoding="utf-8")
    shown = phasebus("show", "traffic_light", "--format", "html", "--scenario", scenario, "-o", page)
    assert shown.status == 1
    assert f"{scenario}:5:1: error: a page has no step 'terminate'; phasebus simulate plays it" in shown.err
    assert page.read_text(encoding="utf-8") == "as it was"


def test_a_scenario_goes_with_a_page_only(phasebus: Command) -> None:
    shown = phasebus("show", "traffic_light", "--format", "svg", "--scenario", "x")
    assert shown.status == 2
    assert "--scenario goes with --format html" in shown.err
