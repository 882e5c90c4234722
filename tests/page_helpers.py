"""Pages opened in a browser, for the tests of what they do there."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from attrs import Factory, define
from playwright.sync_api import Browser, Page

from statemachines.language import load_definition
from statemachines.language.definition import Definition
from statemachines.rendering.page import render_page
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.scenario_file import read_scenario
from statemachines.simulation.simulator import Simulation, run_scenario

MAX_CASES = 300
"""Enough for what is played here; how many a page has by default is only a matter of time."""


@define
class Pages:
    """Opens pages, each in a profile of its own, and keeps what went wrong in them or was asked of a network."""

    browser: Browser
    folder: Path
    wrong: list[str] = Factory(list)

    def shipped(self, name: str, fragment: str = "", **context: Any) -> Page:
        """The page of a shipped definition."""
        path = self.folder / f"{name}.html"
        path.write_text(page_of(name), encoding="utf-8")
        return self.open(path, fragment, **context)

    def made(self, definition: Definition, **more: Any) -> Page:
        """The page of a definition."""
        path = self.folder / "page.html"
        path.write_text(render_page(definition, **more), encoding="utf-8")
        return self.open(path)

    def open(self, path: Path, fragment: str = "", **context: Any) -> Page:
        """The page in a file."""
        made = self.browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
        made.grant_permissions(["clipboard-read", "clipboard-write"])
        made.set_default_timeout(10_000)
        page = made.new_page()
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda message: self.wrong.append(message.text))
        page.on("request", lambda request: self._asked(request.url))
        page.goto(path.as_uri() + fragment)
        return page

    def close(self) -> None:
        """Close all pages."""
        for context in self.browser.contexts:
            context.close()

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.wrong.append(url)


@cache
def page_of(name: str) -> str:
    """The page of a shipped definition, made once."""
    return render_page(load_definition(name), max_cases=MAX_CASES)


def script(name: str) -> str:
    """A function to run in a page."""
    return (Path(__file__).parent / "node" / name).read_text(encoding="utf-8")


def configuration(page: Page) -> list[str]:
    """The active states that a page shows."""
    return page.locator("#configuration li").all_inner_texts()


def wait(page: Page, seconds: str) -> None:
    """Let time pass on a page."""
    page.get_by_label("Wait").fill(seconds)
    page.get_by_role("button", name="Go", exact=True).click()


def copied(page: Page) -> str:
    """The scenario that a page gives."""
    page.get_by_role("button", name="Copy scenario").click()
    text = page.locator("#offer-text").input_value()
    page.get_by_role("button", name="Close", exact=True).click()
    return text


def parsed(text: str, definition: Definition) -> Scenario:
    """A scenario's text, read."""
    return read_scenario(text, "<scenario>", definition)


def passes(definition: Definition, text: str) -> bool:
    """Whether a copied scenario is one, and holds."""
    return run_scenario(Simulation(definition), parsed(text, definition)).failed_expectations == 0
