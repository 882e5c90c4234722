"""The page of a definition in a real browser: it plays as the simulator does, for hands, keys and ears."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from bus import Event
from statemachines.errors import CannotPlay
from statemachines.language import load_definition, parse_definition, shipped_definitions
from statemachines.language.definition import Definition
from statemachines.rendering.page import render_page
from statemachines.simulation.library import open_scenario
from statemachines.simulation.scenario_file import read_scenario
from statemachines.simulation.simulator import Simulation, run_scenario
from statemachines.simulation.testing import Outcome, run_scenarios, summary_of
from tests.test_rendering_dot import HOSTILE

MAX_CASES = 300
"""Enough for the walks here; how many a page has by default is only a matter of time."""

WALKS = 50
STEPS = 14


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of a shipped definition, made once."""
    folder = tmp_path_factory.mktemp("pages")

    def page(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_text(render_page(load_definition(name), max_cases=MAX_CASES), encoding="utf-8")
        return path

    return page


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(5_000)
    yield context
    context.close()


@pytest.fixture
def opened(context: BrowserContext) -> Iterator[Callable[..., Page]]:
    """Opens a page; at the end, nothing was asked of a network and nothing went wrong."""
    wrong: list[str] = []

    def opened(path: Path, fragment: str = "") -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("request", lambda request: None if local(request.url) else wrong.append(request.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield opened
    assert wrong == []


def local(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:"))


def script(name: str) -> str:
    return (Path(__file__).parent / "node" / name).read_text(encoding="utf-8")


def written(tmp_path: Path, definition: Definition, **more: Any) -> Path:
    path = tmp_path / "page.html"
    path.write_text(render_page(definition, **more), encoding="utf-8")
    return path


def configuration(page: Page) -> list[str]:
    return page.locator("#configuration li").all_inner_texts()


# -- the same as the simulator --


def walks() -> Iterator[tuple[str, int]]:
    names = shipped_definitions()
    for number in range(WALKS):
        yield names[number % len(names)], number


@pytest.mark.parametrize("name", shipped_definitions())
def test_random_walks_end_where_the_simulator_ends(
    name: str, pages: Callable[[str], Path], opened: Callable[..., Page]
) -> None:
    definition = load_definition(name)
    seeds = [number for found, number in walks() if found == name]
    assert len(seeds) >= 4
    taken = 0
    page = opened(pages(name))
    for seed in seeds:
        page.get_by_role("button", name="Restart", exact=True).click()
        walked = page.evaluate(script("walk.js"), [1 + 1000 * seed, STEPS])
        replayed(definition, walked["log"])
        taken += len(walked["log"]) - 1
        assert passes(definition, walked["scenario"])
        page.get_by_role("button", name="Close", exact=True).click()
    assert taken >= 3 * len(seeds)


def replayed(definition: Definition, log: list[dict[str, Any]]) -> None:
    """Let the simulator take the same steps, and hold everything that the page shows against it, after each."""
    simulation = Simulation(definition)
    simulation.register("conn_1")
    come = 0
    for seen in log:
        simulation.advance_to(seen["at"])
        if seen["count"] > come:
            come = seen["count"]
            happen(simulation, seen["event"])
        state = simulation.summary.connections["conn_1"]
        assert seen["configuration"] == (list(state.configuration) or ["no state"])
        assert seen["phase"] in (state.phase, "ended")
        for name, status in seen["dependencies"].items():
            assert status in (None, state.dependencies[name])
        record = simulation.connections.records.get("conn_1")
        if record is not None and not record.ended:
            assert sorted(seen["timers"]) == sorted(timer.deadline for timer in record.timers)
            remembered = dict(zip(simulation.connections.layout.remembered, record.remembered, strict=True))
            for name, value in seen["facts"]:
                if name.startswith("meta."):
                    assert json.loads(value) == remembered[name.removeprefix("meta.")]


def happen(simulation: Simulation, event: dict[str, Any]) -> None:
    if event["kind"] == "mark":
        if not simulation.summary.connections["conn_1"].ended:
            simulation.mark("conn_1", event["dependency"])
        return
    data = payload(event.get("data", "{}"))
    simulation.publish(Event(event["type"], "conn_1", data, timestamp=simulation.now))


def payload(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(text)


def passes(definition: Definition, text: str) -> bool:
    """Whether a copied scenario is one, and holds."""
    return run_scenario(Simulation(definition), read_scenario(text, "<scenario>", definition)).failed_expectations == 0


# -- hands --


def test_a_click_steps_lights_what_is_active_and_undo_takes_it_back(
    pages: Callable[[str], Path], opened: Callable[..., Page]
) -> None:
    page = opened(pages("traffic_light"))
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


def test_an_arrow_of_the_picture_can_be_clicked(pages: Callable[[str], Path], opened: Callable[..., Page]) -> None:
    page = opened(pages("traffic_light"))
    possible = page.locator("#picture .edge.possible")
    assert possible.count() == 1
    possible.locator("text").first.click(force=True)
    assert configuration(page) == ["flashing"]
    assert page.locator("#picture .edge.taken").count() == 1


def test_the_slider_lets_time_pass_and_goes_back(pages: Callable[[str], Path], opened: Callable[..., Page]) -> None:
    page = opened(pages("traffic_light"))
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
    page.get_by_label("Wait").fill("0.5")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator("#now")).to_have_text("12.5 s")
    page.get_by_role("button", name=re.compile("^0 s: registered")).click()
    assert configuration(page) == ["working", "red"]


def test_an_event_in_the_past_gives_up_what_came_later(
    pages: Callable[[str], Path], opened: Callable[..., Page]
) -> None:
    page = opened(pages("traffic_light"))
    page.get_by_label("Virtual time").fill("3")
    page.get_by_role("button", name="lamp.broken").click()
    page.get_by_label("Virtual time").fill("1")
    assert page.locator("#trace .ahead").count() == 1
    page.get_by_role("button", name="lamp.repaired").first.click()
    assert page.locator("#trace .ahead").count() == 0
    assert "at: 1s" in scenario(page)
    assert "lamp.broken" not in scenario(page)


def scenario(page: Page) -> str:
    page.get_by_role("button", name="Copy scenario").click()
    text = page.locator("#offer-text").input_value()
    page.get_by_role("button", name="Close", exact=True).click()
    return text


def test_the_copied_scenario_is_in_the_clipboard_and_passes(
    pages: Callable[[str], Path], opened: Callable[..., Page], tmp_path: Path
) -> None:
    page = opened(pages("traffic_light"))
    page.get_by_label("Wait").fill("19.5")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_role("button", name="button.pressed").first.click()
    page.get_by_role("button", name="Mark lamps ready").click()
    page.get_by_label("Virtual time").fill("21")
    text = scenario(page)
    expect(page.locator("#copied")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == text
    assert passes(load_definition("traffic_light"), text)
    assert not passes(load_definition("traffic_light"), text.replace("amber]", "red]"))
    path = tmp_path / "played.scenario.yaml"
    path.write_text(text, encoding="utf-8")
    summary = summary_of([outcome for outcome in run_scenarios([str(path)]) if isinstance(outcome, Outcome)])
    assert (summary["scenarios"], summary["passed"]) == (1, 1)


def test_a_link_leads_back_to_the_state_of_play(pages: Callable[[str], Path], opened: Callable[..., Page]) -> None:
    page = opened(pages("traffic_light"))
    page.get_by_label("Virtual time").fill("2.5")
    page.get_by_role("button", name="lamp.broken").click()
    page.get_by_label("Virtual time").fill("4")
    fragment = page.evaluate("location.hash")
    again = opened(pages("traffic_light"), fragment)
    assert configuration(again) == ["flashing"]
    assert scenario(again) == scenario(page)
    again.evaluate("location.hash = '#0~lamp.repaired&now=1'")
    again.wait_for_function("play.now === 1")
    assert configuration(again) == ["working", "red"]


@pytest.mark.parametrize(
    "fragment", ["#0~no.such_event&now=1", "#5~lamp.broken,2~lamp.broken&now=9", "#%E0%A4%A&now=1", "#<b>"]
)
def test_a_link_that_is_none_does_no_harm(
    fragment: str, pages: Callable[[str], Path], opened: Callable[..., Page]
) -> None:
    page = opened(pages("traffic_light"), fragment)
    assert configuration(page)
    expect(page.locator("#notice")).to_be_visible(visible="~" in fragment)


# -- keys and ears --


def test_the_keyboard_alone_plays(pages: Callable[[str], Path], opened: Callable[..., Page]) -> None:
    page = opened(pages("traffic_light"))
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").startswith("lamp.broken"):
            break
    page.keyboard.press("Enter")
    assert configuration(page) == ["flashing"]
    assert page.evaluate("document.activeElement.dataset.key").startswith("event ")  # it stays among the events
    page.keyboard.press("Control+z")
    assert configuration(page) == ["working", "red"]
    page.keyboard.press("Control+y")
    assert configuration(page) == ["flashing"]
    page.get_by_label("Virtual time").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("play.now") > 0


def test_the_picture_is_moved_and_zoomed_by_keys_and_by_the_wheel(
    pages: Callable[[str], Path], opened: Callable[..., Page]
) -> None:
    page = opened(pages("traffic_light"))
    view = "document.querySelector('#picture > svg').getAttribute('viewBox')"
    page.locator("#picture").focus()
    seen = [page.evaluate(view)]
    for key in ("+", "ArrowRight", "ArrowDown", "-", "0"):
        page.keyboard.press(key)
        seen.append(page.evaluate(view))
    assert len(set(seen[:-1])) == len(seen) - 1
    assert seen[-1] == seen[0]
    page.locator("#picture").hover()
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"{view} !== {json.dumps(seen[0])}")
    before = page.evaluate(view)
    page.mouse.down()
    page.mouse.move(300, 300, steps=3)
    page.mouse.up()
    assert page.evaluate(view) != before


def test_what_happened_is_said_to_those_who_listen(pages: Callable[[str], Path], opened: Callable[..., Page]) -> None:
    page = opened(pages("traffic_light"))
    live = page.get_by_role("status").first
    page.get_by_role("button", name="lamp.broken").click()
    expect(page.locator("#announce")).to_have_text(re.compile(r"lamp\.broken.*flashing"))
    assert live.count()
    expect(page.locator("#picture > svg")).to_have_attribute("aria-label", re.compile("flashing lit"))


def test_everything_that_can_be_used_has_a_name_a_role_and_room(
    pages: Callable[[str], Path], opened: Callable[..., Page]
) -> None:
    page = opened(pages("whatsapp_call"))
    for role in ("button", "slider", "spinbutton"):
        for found in page.get_by_role(role).all():  # type: ignore[arg-type]
            named = found.evaluate("e => e.getAttribute('aria-label') || e.textContent || e.labels?.[0]?.textContent")
            assert named
            assert named.strip()
    assert page.get_by_role("heading").all_inner_texts()[1:] == [
        text.upper() for text in ("What can come now", "Timers", "Facts", "What came so far")
    ]
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.evaluate(
        "[...document.querySelectorAll('[id]')].length === new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_in_light_and_in_dark(scheme: Any, chromium: Browser, pages: Callable[[str], Path]) -> None:
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(pages("whatsapp_call").as_uri())
    ratios = page.evaluate(script("contrast.js"))
    context.close()
    assert len(ratios) > 20
    assert {name: ratio for name, ratio in ratios if ratio < 4.5} == {}


def test_a_phone_shows_it_without_scrolling_sideways(chromium: Browser, pages: Callable[[str], Path]) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(pages("whatsapp_call").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    button = page.get_by_role("button", name="whatsapp.call_terminated")
    button.tap()
    assert "terminating" in configuration(page)
    box = page.locator("#picture").bounding_box()
    assert box is not None
    assert box["width"] > 300
    context.close()


# -- hostile texts --


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_description_stays_text(text: str, tmp_path: Path, opened: Callable[..., Page]) -> None:
    hostile = f"{text} </script><script>window.hurt = 1</script> --> <!-- ]]> {{{{data}}}} ' onload=x"
    definition = parse_definition(
        """
        name: x
        states:
          a: {initial: true, transitions: [{event: go.now, cond: "data.word == 'w'", target: b}]}
          b: {final: true}
        """
    )
    path = written(tmp_path, attrs.evolve(definition, description=hostile))
    page = opened(path)
    shown = page.locator(".description").inner_text()
    assert "</script><script>window.hurt = 1</script>" in shown
    assert page.evaluate("window.hurt") is None
    assert page.locator("script").count() == 2
    page.get_by_role("button", name="go.now").first.click()
    assert configuration(page) == ["b"]


def test_hostile_payloads_and_scenarios_stay_text_and_come_back_whole(
    tmp_path: Path, opened: Callable[..., Page]
) -> None:
    guarded = "</script><img src=x onerror=hurt()> ' & <!--"
    word = guarded + ' " \\ \u2028 \U0001f600 \x7f'
    definition = parse_definition(
        f"""
        name: x
        states:
          a: {{initial: true, transitions: [{{event: go.now, cond: {json.dumps(f'data.word != "{guarded}"')}, target: b}}]}}
          b: {{final: true}}
        """
    )
    scenario_text = json.dumps(
        {
            "description": word,
            "connections": {"conn_1": {"metadata": {"x": word}}},
            "steps": [{"publish": "go.now", "data": {"word": word, "other": word}}],
        }
    )
    path = written(tmp_path, definition, scenario=read_scenario(scenario_text, "<scenario>", definition))
    page = opened(path)
    assert configuration(page) == ["b"]
    assert page.locator("img").count() == 0
    copied = read_scenario(scenario(page), "<scenario>", definition)
    assert copied.description == word
    assert copied.steps[0].action.data == {"word": word, "other": word}  # type: ignore[union-attr]


def test_nothing_but_the_page_s_own_script_may_run(pages: Callable[[str], Path], context: BrowserContext) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', pages("tcp").read_text(encoding="utf-8"))
    assert policy is not None
    assert "default-src &#x27;none&#x27;" in policy[1]
    assert "unsafe" not in policy[1]
    page = context.new_page()
    page.goto(pages("tcp").as_uri())
    refused = page.evaluate(
        """() => new Promise((done) => {
          document.addEventListener('securitypolicyviolation', (event) => done(event.violatedDirective));
          const added = document.createElement('script');
          added.textContent = 'window.hurt = 1';
          document.body.append(added);
        })"""
    )
    assert refused.startswith("script-src")
    assert page.evaluate("window.hurt") is None


# -- scenarios, bounds, highlights --


def test_a_scenario_opens_where_it_ends_with_its_steps_to_go_back_through(
    tmp_path: Path, opened: Callable[..., Page]
) -> None:
    definition = load_definition("whatsapp_call")
    told = open_scenario("whatsapp_call", definition, "happy_call")
    page = opened(written(tmp_path, definition, scenario=told, max_cases=1))
    simulated = run_scenario(Simulation(definition), told)
    (state,) = simulated.connections.values()
    assert configuration(page) == list(state.configuration)
    assert page.locator("#story").is_visible()
    assert passes(definition, scenario(page))
    steps = page.locator("#trace .event").count()
    while page.get_by_role("button", name="Undo").is_enabled():
        page.get_by_role("button", name="Undo").click()
    assert page.locator("#trace .ahead").count() == steps


def test_a_counterexample_of_a_search_is_played(tmp_path: Path, opened: Callable[..., Page]) -> None:
    from statemachines.exploration import explore
    from statemachines.exploration.scenarios import counterexamples

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
    (text,) = counterexamples(explore(definition)).values()
    page = opened(written(tmp_path, definition, scenario=read_scenario(text, "<scenario>", definition)))
    assert configuration(page) == ["talking"]
    assert page.locator("#facts dd.status").inner_text().strip().endswith("pending")
    assert passes(definition, scenario(page))


def test_a_scenario_that_a_page_cannot_play_is_refused_with_its_line() -> None:
    definition = load_definition("traffic_light")
    text = "connections: {a: {}}\nsteps:\n  - publish: lamp.broken\n  - terminate: a\n"
    with pytest.raises(CannotPlay, match=r"<scenario>:4:1: error: a page has no step 'terminate'; phasebus simulate"):
        render_page(definition, scenario=read_scenario(text, "<scenario>", definition))
    with pytest.raises(CannotPlay, match="plays one connection, and it registers 2"):
        render_page(
            definition, scenario=read_scenario("connections: {a: {}, b: {}}\nsteps: []\n", "<scenario>", definition)
        )


def test_beyond_its_bound_a_page_says_so_and_guesses_nothing(tmp_path: Path, opened: Callable[..., Page]) -> None:
    page = opened(written(tmp_path, load_definition("traffic_light"), max_cases=2))
    assert "Not all of it: the 2 cases nearest" in page.locator("#bound").inner_text()
    page.get_by_label("Wait").fill("60")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator("#beyond")).to_be_visible()
    assert page.locator("#events button").count() == 0
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#beyond")).to_be_hidden()


def test_a_highlight_is_in_the_page_too(tmp_path: Path) -> None:
    from statemachines.rendering.highlight import parse_highlight

    definition = load_definition("traffic_light")
    plain = render_page(definition)
    lit = render_page(definition, parse_highlight("amber", definition))
    assert '<path fill="#ffd54f"' not in plain
    assert '<path fill="#ffd54f"' in lit


def test_the_same_definition_gives_the_same_page() -> None:
    assert render_page(load_definition("tcp")) == render_page(load_definition("tcp"))


def test_a_page_stays_below_its_size(pages: Callable[[str], Path]) -> None:
    random.seed(0)
    for name in shipped_definitions():
        assert pages(name).stat().st_size < 4_000_000
