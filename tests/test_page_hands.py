"""A page is played: by clicks, along time, back and forth; as a scenario, and as a link."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from statemachines.errors import CannotPlay
from statemachines.exploration import explore
from statemachines.explored_scenarios import counterexamples
from statemachines.language import load_definition, parse_definition
from statemachines.rendering.highlight import parse_highlight
from statemachines.rendering.page import render_page
from statemachines.simulation.library import open_scenario
from statemachines.simulation.simulator import Simulation, run_scenario
from statemachines.simulation.testing import Outcome, run_scenarios, summary_of
from tests.page_helpers import Pages, configuration, copied, parsed, passes, wait


def test_a_click_steps_lights_what_is_active_and_undo_takes_it_back(pages: Pages) -> None:
    page = pages.shipped("traffic_light")
    assert configuration(page) == ["working", "red"]
    assert lit(page) == {"working", "red"}
    page.get_by_role("button", name="lamp.broken").click()
    assert configuration(page) == ["flashing"]
    assert lit(page) == {"flashing"}
    expect(page.locator("#facts dd.status")).to_have_text(re.compile("failed"))
    page.get_by_role("button", name="Undo").click()
    assert configuration(page) == ["working", "red"]
    page.get_by_role("button", name="Redo").click()
    assert configuration(page) == ["flashing"]
    page.get_by_role("button", name="Restart").click()
    assert configuration(page) == ["working", "red"]
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def lit(page: Page) -> set[str]:
    """The names in the picture that are lit."""
    names = page.locator("#picture g.active > text:first-of-type").all_text_contents()
    return {name.removesuffix(" (all at once)") for name in names}


def test_an_arrow_of_the_picture_can_be_clicked(pages: Pages) -> None:
    page = pages.shipped("traffic_light")
    possible = page.locator("#picture .edge.possible")
    assert possible.count() == 1
    possible.locator("text").first.click(force=True)
    assert configuration(page) == ["flashing"]
    assert page.locator("#picture .edge.taken").count() == 1


def test_the_slider_lets_time_pass_and_goes_back(pages: Pages) -> None:
    page = pages.shipped("traffic_light")
    slider = page.get_by_label("Virtual time")
    slider.fill("10")
    assert configuration(page) == ["working", "red_and_amber"]
    slider.fill("9.99")
    assert configuration(page) == ["working", "red"]
    page.get_by_role("button", name="Next timer").click()
    assert configuration(page) == ["working", "red_and_amber"]
    expect(page.locator("#now")).to_have_text("10 s")
    page.get_by_role("button", name=re.compile(r"until the timer 2s of red_and_amber")).click()
    assert configuration(page) == ["working", "green", "settling"]
    wait(page, "0.5")
    expect(page.locator("#now")).to_have_text("12.5 s")
    page.get_by_role("button", name=re.compile("^0 s: registered")).click()
    assert configuration(page) == ["working", "red"]


def test_an_event_in_the_past_gives_up_what_came_later(pages: Pages) -> None:
    page = pages.shipped("traffic_light")
    page.get_by_label("Virtual time").fill("3")
    page.get_by_role("button", name="lamp.broken").click()
    page.get_by_label("Virtual time").fill("1")
    assert page.locator("#trace .ahead").count() == 1
    page.get_by_role("button", name="lamp.repaired").first.click()
    assert page.locator("#trace .ahead").count() == 0
    assert "at: 1s" in copied(page)
    assert "lamp.broken" not in copied(page)


def test_the_copied_scenario_is_in_the_clipboard_and_passes(pages: Pages, tmp_path: Path) -> None:
    page = pages.shipped("traffic_light")
    wait(page, "19.5")
    page.get_by_role("button", name="button.pressed").first.click()
    page.get_by_role("button", name="Mark lamps ready").click()
    page.get_by_label("Virtual time").fill("21")
    text = copied(page)
    expect(page.locator("#copied")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == text
    assert passes(load_definition("traffic_light"), text)
    assert not passes(load_definition("traffic_light"), text.replace("amber]", "red]"))
    path = tmp_path / "played.scenario.yaml"
    path.write_text(text, encoding="utf-8")
    summary = summary_of([outcome for outcome in run_scenarios([str(path)]) if isinstance(outcome, Outcome)])
    assert (summary["scenarios"], summary["passed"]) == (1, 1)


def test_a_link_leads_back_to_the_state_of_play(pages: Pages) -> None:
    page = pages.shipped("traffic_light")
    page.get_by_label("Virtual time").fill("2.5")
    page.get_by_role("button", name="lamp.broken").click()
    page.get_by_label("Virtual time").fill("4")
    fragment = page.evaluate("location.hash")
    again = pages.shipped("traffic_light", fragment)
    assert configuration(again) == ["flashing"]
    assert copied(again) == copied(page)
    again.evaluate("location.hash = '#0~lamp.repaired&now=1'")
    again.wait_for_function("play.now === 1")
    assert configuration(again) == ["working", "red"]


@pytest.mark.parametrize(
    "fragment", ["#0~no.such_event&now=1", "#5~lamp.broken,2~lamp.broken&now=9", "#%E0%A4%A&now=1", "#<b>"]
)
def test_a_link_that_is_none_does_no_harm(fragment: str, pages: Pages) -> None:
    page = pages.shipped("traffic_light", fragment)
    assert configuration(page)
    expect(page.locator("#notice")).to_be_visible(visible="~" in fragment)


def test_a_scenario_opens_where_it_ends_with_its_steps_to_go_back_through(pages: Pages) -> None:
    definition = load_definition("whatsapp_call")
    told = open_scenario("whatsapp_call", definition, "happy_call")
    page = pages.made(definition, scenario=told, max_cases=1)
    simulated = run_scenario(Simulation(definition), told)
    (state,) = simulated.connections.values()
    assert configuration(page) == list(state.configuration)
    assert page.locator("#story").is_visible()
    assert passes(definition, copied(page))
    steps = page.locator("#trace .event").count()
    while page.get_by_role("button", name="Undo").is_enabled():
        page.get_by_role("button", name="Undo").click()
    assert page.locator("#trace .ahead").count() == steps


def test_a_counterexample_of_a_search_is_played(pages: Pages) -> None:
    definition = parse_definition(
        """
        name: call
        dependencies: {audio: {ready_on: audio.ready, lost_on: audio.lost}}
        states:
          waiting: {initial: true, after: {30s: ended}, transitions: [{cond: audio, target: talking}]}
          talking: {after: {5m: ended}}
          ended: {final: true}
        properties: {talks_with_audio: {always: "not In('talking') or audio"}}
        """
    )
    (written,) = counterexamples(definition, explore(definition))
    page = pages.made(definition, scenario=parsed(written.text, definition))
    assert configuration(page) == ["talking"]
    assert page.locator("#facts dd.status").inner_text().strip().endswith("pending")
    assert passes(definition, copied(page))


def test_a_scenario_that_a_page_cannot_play_is_refused_with_its_line() -> None:
    definition = load_definition("traffic_light")
    text = "connections: {a: {}}\nsteps:\n  - publish: lamp.broken\n  - terminate: a\n"
    with pytest.raises(CannotPlay, match=r"<scenario>:4:1: error: a page has no step 'terminate'; phasebus simulate"):
        render_page(definition, scenario=parsed(text, definition))
    with pytest.raises(CannotPlay, match="plays one connection, and it registers 2"):
        render_page(definition, scenario=parsed("connections: {a: {}, b: {}}\nsteps: []\n", definition))


def test_beyond_its_bound_a_page_says_so_and_guesses_nothing(pages: Pages) -> None:
    page = pages.made(load_definition("traffic_light"), max_cases=2)
    assert "Not all of it: the 2 cases nearest" in page.locator("#bound").inner_text()
    wait(page, "60")
    expect(page.locator("#beyond")).to_be_visible()
    assert page.locator("#events button").count() == 0
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#beyond")).to_be_hidden()


def test_a_highlight_is_in_the_page_too() -> None:
    definition = load_definition("traffic_light")
    plain = render_page(definition)
    lit = render_page(definition, parse_highlight("amber", definition))
    assert '<path fill="#ffd54f"' not in plain
    assert '<path fill="#ffd54f"' in lit


def test_the_same_definition_gives_the_same_page() -> None:
    assert render_page(load_definition("tcp")) == render_page(load_definition("tcp"))


def test_a_page_stays_below_its_size() -> None:
    largest = render_page(load_definition("device"))
    assert "Not all of it" in largest
    assert len(largest) < 4_000_000
