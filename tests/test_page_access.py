"""A page is for all: by keys, by ear, in light and dark, on a phone."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.page_helpers import Pages, configuration, script


def test_the_keyboard_alone_plays(pages: Pages) -> None:
    page = pages.shipped("traffic_light")
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


def test_the_picture_is_moved_and_zoomed_by_keys_and_by_the_wheel(pages: Pages) -> None:
    page = pages.shipped("traffic_light")
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


def test_what_happened_is_said_to_those_who_listen(pages: Pages) -> None:
    page = pages.shipped("traffic_light")
    page.get_by_role("button", name="lamp.broken").click()
    expect(page.locator("#announce")).to_have_text(re.compile(r"lamp\.broken.*flashing"))
    expect(page.locator("#picture > svg")).to_have_attribute("aria-label", re.compile("flashing lit"))


def test_everything_that_can_be_used_has_a_name(pages: Pages) -> None:
    page = pages.shipped("whatsapp_call")
    for role in ("button", "slider", "spinbutton"):
        for found in page.get_by_role(role).all():
            named = found.evaluate("e => e.getAttribute('aria-label') || e.textContent || e.labels?.[0]?.textContent")
            assert named
            assert named.strip()
    assert page.get_by_role("heading").all_inner_texts()[1:] == [
        text.upper() for text in ("What can come now", "Timers", "Facts", "What came so far")
    ]
    assert page.locator("html").get_attribute("lang") == "en"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_in_light_and_in_dark(scheme: Any, pages: Pages) -> None:
    ratios = pages.shipped("whatsapp_call", color_scheme=scheme).evaluate(script("contrast.js"))
    assert len(ratios) > 20
    assert {name: ratio for name, ratio in ratios if ratio < 4.5} == {}


def test_a_phone_shows_it_without_scrolling_sideways(pages: Pages) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = pages.shipped("whatsapp_call", **phone)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    button = page.get_by_role("button", name="whatsapp.call_terminated")
    button.tap()
    assert "terminating" in configuration(page)
    box = page.locator("#picture").bounding_box()
    assert box is not None
    assert box["width"] > 300
